# pragma version 0.4.3
"""
@title The scenario scan of one underlying (docs/OPTIONS.md O.5, O.6)
@notice Seven moves of the price by thirds of the shock, each with volatility down, as it is and
        up; then three shocks either way with volatility up, at a weight below a third.
@dev Separable: ln(S/K) is taken once per option and ln(1 + m) once per move, and in a scenario
     they add. A result is a numerator over 3 * 10^12 * WAD: nothing is rounded before a loss is taken.
@custom:units prices, sizes WAD; shock and volatilities ppm
@custom:rounding losses up, exposures towards 0
"""

from snekmate.utils import math

from contracts.modules import pricing
from contracts.modules import terms

MOVES: constant(uint256) = 9          # the tails first and last
TABLE: constant(uint256) = 27         # volatility down, same, up of each; of the tails only up
SAME: constant(uint256) = 13          # where nothing moves
PPM: constant(uint256) = 10**6
THREE: constant(uint256) = 3 * 10**6  # 1 in thirds of ppm
LOWEST: constant(int256) = 3 * 10**4  # no scenario has a price below 1 % of the present one
WAD: constant(uint256) = 10**18
MAX_SIZE: constant(int256) = 2**96
UNIT: constant(int256) = 3 * 10**6
SCALE: constant(int256) = 3 * 10**30  # 3 * PPM * PPM * WAD
CHORDS: constant(int256[3]) = [6, 3, 2]  # twice a full shock over one of g thirds
THIRDS: constant(int256[9]) = [-9, -3, -2, -1, 0, 1, 2, 3, 9]


struct Leg:
    risk: uint256   # word of terms
    size: int256    # WAD, > 0 long


struct Point:
    index: uint256      # WAD
    shock_ppm: uint256
    scan: uint256       # word of terms


@internal
@pure
def _measure(legs: DynArray[Leg, 16], at: Point, netted: bool) -> (uint256, int256):
    """
    @notice Loss of the legs together or, not netted, the sum of what each loses alone; and the
            directional exposure, 0 when not netted.
    @dev An option's time value is taken by exp where its scenarios meet the strike, and carried
         from one move to the next by ratios that all options of a period and class share.
    @return (loss WAD, exposure WAD signed)
    """
    prices: uint256[MOVES] = empty(uint256[MOVES])
    logs: int256[MOVES] = empty(int256[MOVES])
    shock: int256 = convert(at.shock_ppm, int256)
    for i: uint256 in range(MOVES):
        factor: int256 = max(LOWEST, UNIT + THIRDS[i] * shock)
        prices[i] = at.index * convert(factor, uint256) // THREE
        logs[i] = math._wad_ln(unsafe_div(factor * 10**18, UNIT))

    loss: uint256 = 0
    exposure: int256 = 0
    sums: int256[TABLE] = empty(int256[TABLE])
    roots: uint256[3] = empty(uint256[3])
    ratios: uint256[2 * TABLE] = empty(uint256[2 * TABLE])  # 0: not asked for yet
    rooted: uint256 = 0  # period and class that they belong to
    left: uint256 = len(legs)
    for leg: Leg in legs:
        # so no sum of 16 products with values below 2^128 leaves its word
        assert abs(leg.size) < MAX_SIZE, "scan: size too large"
        kind: uint256 = terms._kind(leg.risk)
        if kind == pricing.KIND_FUTURE:
            linear: int256 = leg.size * convert(at.index, int256)
            for i: uint256 in range(MOVES):
                result: int256 = linear * (UNIT + THIRDS[i] * shock)
                for k: uint256 in range(3):
                    sums[3 * i + k] += result
        elif kind >= pricing.KIND_SQUARE:
            unit: int256 = leg.size * UNIT
            sigmas: uint256[3] = terms._sigmas(at.scan, leg.risk)
            for i: uint256 in range(MOVES):
                for k: uint256 in range(3):
                    sums[3 * i + k] += unit * convert(
                        pricing._value(leg.risk, sigmas[k], prices[i])[0], int256
                    )
        else:
            unit: int256 = leg.size * UNIT
            strike: uint256 = terms._strike(leg.risk)
            shared: uint256 = 1 + (terms._period(leg.risk) | (terms._strike_class(leg.risk) << 32))
            if shared != rooted:
                rooted = shared
                sigmas: uint256[3] = terms._sigmas(at.scan, leg.risk)
                for k: uint256 in range(3):
                    roots[k] = pricing._root(sigmas[k], terms._period(leg.risk))
                ratios = empty(uint256[2 * TABLE])
            log_x: int256 = pricing._log_moneyness(min(at.index, pricing.MAX_INDEX), strike)
            above: uint256 = MOVES  # the first move that ends at or above the strike
            owed: int256[MOVES] = empty(int256[MOVES])  # payoffs
            is_call: bool = kind == pricing.KIND_CALL
            for i: uint256 in range(MOVES):
                if above == MOVES and unsafe_add(log_x, logs[i]) >= 0:
                    above = i
                price: uint256 = min(prices[i], pricing.MAX_INDEX)
                if is_call:
                    if price > strike:
                        owed[i] = unsafe_mul(unit, convert(unsafe_sub(price, strike), int256))
                elif price < strike:
                    owed[i] = unsafe_mul(unit, convert(unsafe_sub(strike, price), int256))
            for k: uint256 in range(3):
                u: uint256 = roots[k]
                first: uint256 = 1
                end: uint256 = MOVES - 1
                if k == 2:  # volatility up: the moves by three shocks too
                    first = 0
                    end = MOVES
                near: uint256 = min(max(above, first), end)
                decay: uint256 = 0
                if near < end:
                    decay = pricing._decay(unsafe_add(log_x, logs[near]), unsafe_sub(u, WAD))
                place: uint256 = unsafe_add(unsafe_mul(3, near), k)
                for i: uint256 in range(near, end, bound=MOVES):
                    time: uint256 = unsafe_div(unsafe_mul(strike, decay), u)
                    sums[place] = unsafe_add(
                        sums[place],
                        unsafe_add(owed[i], unsafe_mul(unit, convert(time, int256))),
                    )
                    next: uint256 = unsafe_add(i, 1)
                    if decay != 0 and next < end:
                        ratio: uint256 = ratios[place]
                        if ratio == 0:
                            gap: int256 = unsafe_sub(logs[next], logs[i])
                            ratio = unsafe_add(1, pricing._decay(gap, unsafe_sub(u, WAD)))
                            ratios[place] = ratio
                        decay = unsafe_div(unsafe_mul(decay, unsafe_sub(ratio, 1)), WAD)
                    place = unsafe_add(place, 3)
                near = min(above, end)
                decay = 0
                if near > first:
                    decay = pricing._decay(
                        unsafe_add(log_x, logs[unsafe_sub(near, 1)]), unsafe_add(u, WAD)
                    )
                for n: uint256 in range(near - min(near, first), bound=MOVES):
                    i: uint256 = unsafe_sub(unsafe_sub(near, 1), n)
                    place = unsafe_add(unsafe_mul(3, i), k)
                    time: uint256 = unsafe_div(unsafe_mul(strike, decay), u)
                    sums[place] = unsafe_add(
                        sums[place],
                        unsafe_add(owed[i], unsafe_mul(unit, convert(time, int256))),
                    )
                    if decay != 0 and i > first:
                        place = unsafe_add(place, TABLE)
                        ratio: uint256 = ratios[place]
                        if ratio == 0:
                            gap: int256 = unsafe_sub(logs[i], logs[unsafe_sub(i, 1)])
                            ratio = unsafe_add(1, pricing._decay(gap, unsafe_add(u, WAD)))
                            ratios[place] = ratio
                        decay = unsafe_div(unsafe_mul(decay, unsafe_sub(ratio, 1)), WAD)
        left -= 1
        if not netted or left == 0:
            same: int256 = sums[SAME]
            worst: int256 = 0
            for j: uint256 in range(3, TABLE - 3):
                sums[j] = (sums[j] - same) * 10**6
                worst = min(worst, sums[j])
            tail: int256 = convert(terms._tail_weight_ppm(at.scan), int256)
            worst = min(worst, min((sums[2] - same) * tail, (sums[TABLE - 1] - same) * tail))
            alone: uint256 = self._loss(worst)
            loss += alone
            if netted:
                exposure = self._exposure(sums, convert(alone, int256))
            else:
                sums = empty(int256[TABLE])
    return loss, exposure


@internal
@pure
def _loss(worst: int256) -> uint256:
    """
    @notice What a worst result <= 0 loses, rounded up
    """
    if worst == 0:
        return 0
    return (convert(-worst, uint256) - 1) // convert(SCALE, uint256) + 1


@internal
@pure
def _exposure(results: int256[TABLE], loss: int256) -> int256:
    """
    @notice What a move surely brings, in the money of a full shock: the smallest chord over
            both sides and all volatilities, no more than the loss; negative for a short book
    """
    gain_up: int256 = max_value(int256)    # lowest results at +g, carried on to a full shock
    lose_up: int256 = max_value(int256)    # negated highest results at +g
    gain_down: int256 = max_value(int256)
    lose_down: int256 = max_value(int256)
    for g: uint256 in range(1, 4):
        up: uint256 = 12 + 3 * g
        down: uint256 = 12 - 3 * g
        chord: int256 = CHORDS[g - 1]
        gain_up = min(gain_up, chord * min(results[up], min(results[up + 1], results[up + 2])))
        lose_up = min(lose_up, -chord * max(results[up], max(results[up + 1], results[up + 2])))
        gain_down = min(
            gain_down, chord * min(results[down], min(results[down + 1], results[down + 2]))
        )
        lose_down = min(
            lose_down, -chord * max(results[down], max(results[down + 1], results[down + 2]))
        )
    sure: int256 = min(gain_up, lose_down)
    if sure > 0:
        return min(unsafe_div(sure, 2 * SCALE), loss)
    sure = min(gain_down, lose_up)
    if sure > 0:
        return -min(unsafe_div(sure, 2 * SCALE), loss)
    return 0
