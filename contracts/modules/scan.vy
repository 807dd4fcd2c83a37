# pragma version 0.4.3
"""
@title What a book can lose: the scenario scan and the add-ons on top of it
@notice Pure. For futures the worst of all scenarios is the full shock against the position,
        so the scan is one product (docs/SPEC.md 7).
@custom:rounding every requirement rounds up
@custom:units sizes and money WAD, shocks and rates ppm
"""

WAD: constant(uint256) = 10**18
PPM: constant(uint256) = 10**6
PROVISION_PARTS: constant(uint256) = 3  # 8 hours of a day


@internal
@pure
def _ceil_div(a: uint256, b: uint256) -> uint256:
    """
    @notice a / b rounded up; b > 0
    """
    if a == 0:
        return 0
    # a - 1 is no less than 0, and a quotient of it no more: one fits on top
    return unsafe_add(unsafe_div(unsafe_sub(a, 1), b), 1)


@internal
@pure
def _share(size: uint256, index: uint256, ppm: uint256) -> uint256:
    """
    @notice ppm of size * index, rounded up
    """
    return self._ceil_div(size * index * ppm, WAD * PPM)


@internal
@pure
def _future_loss(size: uint256, index: uint256, shock_ppm: uint256) -> uint256:
    """
    @notice Worst loss of a net size of futures
    @param size WAD, absolute
    """
    return self._share(size, index, shock_ppm)


@internal
@pure
def _concentration(loss: uint256, shock_ppm: uint256, k_ppm: uint256, liquidity: uint256) -> uint256:
    """
    @notice k * n * max(0, n / Lq - 1) with n = loss / shock
    """
    exposure: uint256 = self._ceil_div(loss * PPM, shock_ppm)
    if exposure <= liquidity:
        return 0
    return self._ceil_div(k_ppm * exposure * (exposure - liquidity), PPM * liquidity)


@internal
@pure
def _surcharge(
    loss: uint256, factor_ppm: uint256, shock_ppm: uint256, initial_ppm: uint256
) -> uint256:
    """
    @notice What new risk needs beyond plain initial margin while the shock is below where it
            goes, or blocks are full (docs/SPEC.md 7.5)
    @param initial_ppm the initial shock, no less than the shock
    """
    if initial_ppm == shock_ppm:
        return 0
    return self._ceil_div(loss * factor_ppm * (initial_ppm - shock_ppm), PPM * shock_ppm)


@internal
@pure
def _provision(size: uint256, index: uint256, cap_ppm_per_day: uint256) -> uint256:
    """
    @notice Eight hours of funding at its cap
    """
    return self._ceil_div(size * index * cap_ppm_per_day, PROVISION_PARTS * WAD * PPM)
