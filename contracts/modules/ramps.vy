# pragma version 0.4.3
"""
@title What margin and pricing are at, on the way to where they go (docs/SPEC.md 12.7, 12.8)
@notice A ramp runs from where it last began towards its goal, and whoever reads it asks for a
        moment: upwards in a straight line, downwards so that it never loses more of itself than
        its rate. Rates are logarithms, so that however often a ramp begins anew it compounds to
        no more than is promised. Instruments keeps the word.
@custom:units shocks and volatilities in ppm, times in unix seconds, rates in ppm a day
@custom:rounding a ramp is never ahead of its rate; the initial shock rounds up
@custom:layout bits, from 0 up
        ramp  shock_from 24, shock_to 24, shock_since 40, surge_ppm 24,
              sigma_from 24, sigma_to 24, sigma_since 40
"""

from contracts.modules import scan
from contracts.modules import terms as term_words
from contracts.modules import words

PPM: constant(uint256) = 10**6
DAY: constant(uint256) = 86_400
SCALE: constant(uint256) = PPM * DAY

SHOCK_RISE: constant(uint256) = 24 * 182_321  # ln 1.2 an hour
SHOCK_FALL: constant(uint256) = 51_293        # -ln 0.95 a day
SIGMA_RISE: constant(uint256) = 24 * 9_950    # ln 1.01 an hour
SIGMA_FALL: constant(uint256) = 24 * 10_050   # -ln 0.99 an hour
DEAD_BAND: constant(uint256) = 10             # a new goal is more than a tenth from the old
STRIDE: constant(uint256) = 3_600             # a sample then starts a ramp anew, goal unchanged

MASK_24: constant(uint256) = 2**24 - 1
MASK_40: constant(uint256) = 2**40 - 1


struct Ramp:
    shock_from: uint256
    shock_to: uint256     # where samples send the shock; 0 before the first
    shock_since: uint256
    surge_ppm: uint256    # by how much congestion raises the initial shock
    sigma_from: uint256
    sigma_to: uint256
    sigma_since: uint256


@internal
@pure
def _pack(ramp: Ramp) -> uint256:
    """
    @notice The ramp word; reverts when a field does not fit.
    """
    return (
        words._put_unsigned(ramp.shock_from, 0, 24)
        | words._put_unsigned(ramp.shock_to, 24, 24)
        | words._put_unsigned(ramp.shock_since, 48, 40)
        | words._put_unsigned(ramp.surge_ppm, 88, 24)
        | words._put_unsigned(ramp.sigma_from, 112, 24)
        | words._put_unsigned(ramp.sigma_to, 136, 24)
        | words._put_unsigned(ramp.sigma_since, 160, 40)
    )


@internal
@pure
def _unpack(word: uint256) -> Ramp:
    return Ramp(
        shock_from=word & MASK_24,
        shock_to=(word >> 24) & MASK_24,
        shock_since=(word >> 48) & MASK_40,
        surge_ppm=(word >> 88) & MASK_24,
        sigma_from=(word >> 112) & MASK_24,
        sigma_to=(word >> 136) & MASK_24,
        sigma_since=word >> 160,
    )


@internal
@pure
def _toward(
    start: uint256, goal: uint256, elapsed: uint256, rise: uint256, fall: uint256
) -> uint256:
    """
    @notice Where a ramp is after so many seconds.
    """
    # figures below 2^24, seconds below 2^40, rates below 2^23: no product passes 2^90
    if start == goal:
        return goal
    if goal > start:
        up: uint256 = unsafe_mul(start, unsafe_add(SCALE, unsafe_mul(elapsed, rise)))
        return min(goal, unsafe_div(up, SCALE))
    slower: uint256 = unsafe_add(SCALE, unsafe_mul(elapsed, fall))
    return max(goal, scan._ceil_div(unsafe_mul(start, SCALE), slower))


@internal
@pure
def _shock(ramp: Ramp, floor_ppm: uint256, now: uint256) -> uint256:
    """
    @notice s, what maintenance takes.
    @param floor_ppm the least that the governor allows
    """
    target: uint256 = max(floor_ppm, ramp.shock_to)
    elapsed: uint256 = unsafe_sub(now, ramp.shock_since)
    return self._toward(ramp.shock_from, target, elapsed, SHOCK_RISE, SHOCK_FALL)


@internal
@pure
def _sigma(ramp: Ramp, now: uint256) -> uint256:
    """
    @notice What options are priced at.
    """
    elapsed: uint256 = unsafe_sub(now, ramp.sigma_since)
    return self._toward(ramp.sigma_from, ramp.sigma_to, elapsed, SIGMA_RISE, SIGMA_FALL)


@internal
@pure
def _begun(floor_ppm: uint256, now: uint256) -> Ramp:
    """
    @notice The ramp of an underlying that was just listed: at the least shock.
    """
    ramp: Ramp = empty(Ramp)
    ramp.shock_from = floor_ppm
    ramp.shock_since = now
    return ramp


@internal
@pure
def _refloored(ramp: Ramp, floor_ppm: uint256, now: uint256) -> Ramp:
    """
    @notice The ramp when the governor changes the least shock: from where it is.
    @param floor_ppm the least shock before the change
    """
    after: Ramp = ramp
    after.shock_from = self._shock(ramp, floor_ppm, now)
    after.shock_since = now
    return after


@internal
@pure
def _sampled(
    ramp: Ramp,
    floor_ppm: uint256,
    shock_ppm: uint256,
    surge_ppm: uint256,
    sigma_ppm: uint256,
    now: uint256,
) -> Ramp:
    """
    @notice The ramp after a sample: it may have another goal, and never another place.
    """
    after: Ramp = ramp
    away: uint256 = max(shock_ppm, ramp.shock_to) - min(shock_ppm, ramp.shock_to)
    left: bool = away * DEAD_BAND > ramp.shock_to
    if left or now - ramp.shock_since >= STRIDE:
        after.shock_from = self._shock(ramp, floor_ppm, now)
        after.shock_since = now
    if left:
        after.shock_to = shock_ppm
    after.surge_ppm = surge_ppm
    after.sigma_from = sigma_ppm
    if ramp.sigma_from != 0:
        after.sigma_from = self._sigma(ramp, now)
    after.sigma_to = sigma_ppm
    after.sigma_since = now
    return after


@internal
@pure
def _applied(underlying: uint256, word: uint256, now: uint256, priced: bool) -> uint256:
    """
    @notice The underlying word as margin and pricing take it at this moment. Acts read it for
            every position: hence shifts, and no step for a ramp that has arrived.
    @param priced with the volatility that options are priced at; futures need none
    """
    shock: uint256 = word & MASK_24
    target: uint256 = max(term_words._shock_ppm(underlying), (word >> 24) & MASK_24)
    if shock != target:
        elapsed: uint256 = unsafe_sub(now, (word >> 48) & MASK_40)
        shock = self._toward(shock, target, elapsed, SHOCK_RISE, SHOCK_FALL)
    initial: uint256 = max(shock, target)
    surge_ppm: uint256 = (word >> 88) & MASK_24
    if surge_ppm != 0:
        # figures below 2^24
        initial = scan._ceil_div(unsafe_mul(initial, unsafe_add(PPM, surge_ppm)), PPM)
    sigma: uint256 = 0
    if priced:
        sigma = self._toward(
            (word >> 112) & MASK_24,
            (word >> 136) & MASK_24,
            unsafe_sub(now, word >> 160),
            SIGMA_RISE,
            SIGMA_FALL,
        )
    return term_words._in_force(underlying, shock, initial, sigma, target)
