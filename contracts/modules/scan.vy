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
def _future_exposure(size: int256, index: uint256, shock_ppm: uint256) -> int256:
    """
    @notice What a shock surely brings a net size of futures, signed as it is, towards 0
    """
    shocked: uint256 = convert(abs(size), uint256) * index * shock_ppm // (WAD * PPM)
    if size < 0:
        return -convert(shocked, int256)
    return convert(shocked, int256)


@internal
@pure
def _offset(smaller: uint256, rho_ppm: uint256) -> uint256:
    """
    @notice 2 phi of the smaller side of a cluster, phi = 1 - sqrt((1 - rho) / 2): covers every
            correlation whose pairs are at least rho; rounded down
    """
    half: uint256 = (PPM - rho_ppm) * WAD * WAD
    root: uint256 = isqrt(half // (2 * PPM))
    if root * root * 2 * PPM < half:
        root += 1
    return 2 * (WAD - root) * smaller // WAD


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
