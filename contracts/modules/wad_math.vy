# pragma version 0.4.3
"""
@title Signed division with a stated direction
@notice Vyper's `//` drops the fraction towards zero; money needs floor or ceiling.
        The direction is in the name.
"""

WAD: constant(int256) = 10**18
PPM: constant(int256) = 10**6


@internal
@pure
def _floor_div(a: int256, b: int256) -> int256:
    """
    @notice a / b towards minus infinity; b > 0
    """
    # b > 0: the quotient is no larger than a, and q * b lies between 0 and a
    q: int256 = unsafe_div(a, b)
    if a < 0 and unsafe_mul(q, b) != a:
        return unsafe_sub(q, 1)
    return q


@internal
@pure
def _ceil_div(a: int256, b: int256) -> int256:
    """
    @notice a / b towards plus infinity; b > 0
    """
    q: int256 = unsafe_div(a, b)
    if a > 0 and unsafe_mul(q, b) != a:
        return unsafe_add(q, 1)
    return q


@internal
@pure
def _unsigned(a: int256) -> uint256:
    """
    @notice max(0, a)
    """
    return convert(max(a, 0), uint256)


@internal
@pure
def _signed(a: uint256) -> int256:
    return convert(a, int256)
