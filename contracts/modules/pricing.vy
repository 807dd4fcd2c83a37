# pragma version 0.4.3
"""
@title What one unit of an instrument is worth
@notice The only place that asks which kind an instrument is. Trade, funding, margin and
        liquidation see a payoff and a fair value (docs/OPTIONS.md).
@dev Everlasting options by their closed form: with x = S/K and u = sqrt(1 + 8 / (sigma^2 T)),
     TV = (K/u) * x^((1 - u)/2) for x >= 1, (K/u) * x^((1 + u)/2) below, the same for call and
     put, so that call - put = S - K to the unit. A power p is payoff / (1 - hT).
@custom:units prices WAD quote per unit; sigma ppm a year; period seconds; logarithms WAD
@custom:rounding values down, within 2 units + 4e-18 * max(S, K) of the real ones
"""

from snekmate.utils import math

from contracts.modules import terms

KIND_FUTURE: constant(uint256) = 0
KIND_CALL: constant(uint256) = 1
KIND_PUT: constant(uint256) = 2
KIND_SQUARE: constant(uint256) = 3
KIND_CUBE: constant(uint256) = 4

WAD: constant(uint256) = 10**18
SIGNED_WAD: constant(int256) = 10**18
YEAR: constant(uint256) = 31_536_000
SQUARED_PPM: constant(uint256) = 10**12

# inputs beyond these count as the bound: nothing that is listed reaches them
MIN_SIGMA: constant(uint256) = 10_000          # 1 %
MAX_SIGMA: constant(uint256) = 10_000_000      # 1,000 %
MIN_PERIOD: constant(uint256) = 3_600
MAX_PERIOD: constant(uint256) = 90 * 86_400
MAX_INDEX: constant(uint256) = 2**96 - 1       # of what is not a future
MAX_VALUE: constant(uint256) = 2**128 - 1      # of a power
MAX_GROWTH: constant(uint256) = 10**18 // 2    # hT


@internal
@pure
def _payoff(kind: uint256, index: uint256) -> uint256:
    """
    @notice What funding pulls a listed instrument to: futures so far
    """
    assert kind == KIND_FUTURE, "pricing: kind not priced"
    return index


@internal
@pure
def _fair(kind: uint256, index: uint256) -> uint256:
    """
    @notice Fair value theta of a listed instrument; a future is worth its index
    """
    assert kind == KIND_FUTURE, "pricing: kind not priced"
    return index


@internal
@pure
def _payoff_at(risk: uint256, index: uint256) -> uint256:
    """
    @notice What funding pulls the instrument to
    @param risk word of terms
    """
    kind: uint256 = terms._kind(risk)
    if kind == KIND_FUTURE:
        return index
    price: uint256 = min(index, MAX_INDEX)
    strike: uint256 = terms._strike(risk)
    if kind == KIND_CALL:
        return max(price, strike) - strike
    if kind == KIND_PUT:
        return max(price, strike) - price
    lower: uint256 = price
    if kind == KIND_CUBE:
        lower = price * price // WAD
    return min(MAX_VALUE, lower * price // strike)


@internal
@pure
def _value(risk: uint256, sigma: uint256, index: uint256) -> (uint256, uint256):
    """
    @notice (fair value theta, payoff) at an index price; a future is worth its index
    @param sigma ppm, of the strike class
    """
    payoff: uint256 = self._payoff_at(risk, index)
    kind: uint256 = terms._kind(risk)
    if kind == KIND_FUTURE:
        return payoff, payoff
    if kind >= KIND_SQUARE:
        growth: uint256 = self._growth(kind - 1, sigma, terms._period(risk))
        return min(MAX_VALUE, payoff * WAD // (WAD - growth)), payoff
    strike: uint256 = terms._strike(risk)
    log_x: int256 = self._log_moneyness(min(index, MAX_INDEX), strike)
    u: uint256 = self._root(sigma, terms._period(risk))
    return payoff + self._time_value(strike, log_x, u), payoff


@internal
@pure
def _delta(risk: uint256, sigma: uint256, index: uint256, fair: uint256) -> int256:
    """
    @notice Slope of theta, WAD, rounded down
    @param fair theta, as _value gives it
    """
    kind: uint256 = terms._kind(risk)
    if kind == KIND_FUTURE:
        return SIGNED_WAD
    price: uint256 = max(1, min(index, MAX_INDEX))
    if kind >= KIND_SQUARE:
        return convert((kind - 1) * fair * WAD // price, int256)
    strike: uint256 = terms._strike(risk)
    u: uint256 = self._root(sigma, terms._period(risk))
    time: uint256 = fair - self._payoff_at(risk, index)
    delta: int256 = 0
    if price >= strike:
        delta = SIGNED_WAD - convert((u - WAD) * time // (2 * price), int256)
    else:
        delta = convert((u + WAD) * time // (2 * price), int256)
    if kind == KIND_PUT:
        delta -= SIGNED_WAD
    return delta


@internal
@pure
def _root(sigma: uint256, period: uint256) -> uint256:
    """
    @notice u = sqrt(1 + 8 / (sigma^2 T)), WAD, rounded down
    """
    s: uint256 = max(MIN_SIGMA, min(MAX_SIGMA, sigma))
    t: uint256 = max(MIN_PERIOD, min(MAX_PERIOD, period))
    return isqrt(WAD * WAD + 8 * WAD * WAD * SQUARED_PPM * YEAR // (s * s * t))


@internal
@pure
def _growth(exponent: uint256, sigma: uint256, period: uint256) -> uint256:
    """
    @notice hT of a power, WAD, rounded down; at most a half
    """
    s: uint256 = max(MIN_SIGMA, min(MAX_SIGMA, sigma))
    t: uint256 = max(MIN_PERIOD, min(MAX_PERIOD, period))
    grown: uint256 = exponent * (exponent - 1) * s * s * t * WAD // (2 * SQUARED_PPM * YEAR)
    return min(grown, MAX_GROWTH)


@internal
@pure
def _log_moneyness(index: uint256, strike: uint256) -> int256:
    """
    @notice ln(S / K), of the ratio above 1, so that the error is that of one unit either way
    """
    if index >= strike:
        return math._wad_ln(convert(index * WAD // strike, int256))
    return -math._wad_ln(convert(strike * WAD // max(index, 1), int256))


@internal
@pure
def _time_value(strike: uint256, log_x: int256, u: uint256) -> uint256:
    """
    @notice TV of an everlasting option, rounded down
    """
    steepness: uint256 = u - WAD
    if log_x < 0:
        steepness = u + WAD
    return strike * self._decay(log_x, steepness) // u


@internal
@pure
def _decay(distance: int256, steepness: uint256) -> uint256:
    """
    @notice exp(-|distance| * steepness / 2), all WAD
    """
    # |distance| < 2^67 as of two numbers of 96 bits, steepness < 2^75
    product: uint256 = unsafe_mul(convert(abs(distance), uint256), steepness)
    return convert(math._wad_exp(-convert(unsafe_div(product, 2 * WAD), int256)), uint256)
