# pragma version 0.4.3
"""
@title Interest: growth of a debt over time, and its rate by how much is lent
@dev Compounded every second, so that who asks how often changes nothing (docs/SPEC.md 11).
@custom:units RAY = 10^27; rates and utilisation RAY; rates per second; curve ppm, of a year
@custom:rounding up, against the debtor
"""

from contracts.modules import scan

RAY: constant(uint256) = 10**27
PPM_RAY: constant(uint256) = 10**21              # RAY of a millionth
YEAR: constant(uint256) = 31_536_000             # seconds
LONGEST: constant(uint256) = YEAR                # of one accrual: more time counts for nothing
LONGEST_BITS: constant(uint256) = 25
MAX_INDEX: constant(uint256) = 2**128 - 1        # where interest ends
MAX_YEARLY_PPM: constant(uint256) = 2_000_000    # eightfold at most, in one accrual


@internal
@pure
def _growth(rate: uint256, seconds: uint256) -> uint256:
    """
    @notice (1 + rate)^seconds in RAY, by squaring
    """
    grown: uint256 = RAY
    base: uint256 = RAY + rate
    left: uint256 = min(seconds, LONGEST)
    for i: uint256 in range(LONGEST_BITS):
        if left & 1 == 1:
            grown = scan._ceil_div(grown * base, RAY)
        left >>= 1
        if left == 0:
            break
        base = scan._ceil_div(base * base, RAY)
    return grown


@internal
@pure
def _index_after(index: uint256, rate: uint256, seconds: uint256) -> uint256:
    """
    @notice What a debt of RAY at index RAY has grown to
    """
    if seconds == 0:
        return index
    return min(scan._ceil_div(index * self._growth(rate, seconds), RAY), MAX_INDEX)


@internal
@pure
def _rate(
    utilisation: uint256, base_ppm: uint256, kink_ppm: uint256, low_ppm: uint256, high_ppm: uint256
) -> uint256:
    """
    @notice Rate per second: from base by `low` up to the kink, from there by `high` up to one
    @param utilisation RAY, 0 to RAY
    """
    kink: uint256 = kink_ppm * PPM_RAY
    yearly: uint256 = base_ppm * PPM_RAY
    if utilisation <= kink:
        yearly += scan._ceil_div(low_ppm * PPM_RAY * utilisation, kink)
    else:
        yearly += low_ppm * PPM_RAY
        yearly += scan._ceil_div(high_ppm * PPM_RAY * (utilisation - kink), RAY - kink)
    return scan._ceil_div(yearly, YEAR)
