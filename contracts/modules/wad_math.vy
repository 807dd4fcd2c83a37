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
    q: int256 = a // b
    if a < 0 and q * b != a:
        q -= 1
    return q


@internal
@pure
def _ceil_div(a: int256, b: int256) -> int256:
    """
    @notice a / b towards plus infinity; b > 0
    """
    q: int256 = a // b
    if a > 0 and q * b != a:
        q += 1
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
