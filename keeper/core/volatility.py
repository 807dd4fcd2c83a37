"""How much an underlying moves, and what of it margin and pricing take (SPEC 12).

One price a cell of five minutes feeds three averages of squared returns, each a variance of a
year in 10^-12, so that its square root is a volatility in ppm: `fast` and `slow` see returns cut
at six deviations, `jump` what was cut off. Pricing takes slow and jump alone: what is cut off
one is in the other, so that together they are unbiased. Margin takes the larger of fast and
slow, some stress, and jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from keeper.core.fixed import wad_exp
from keeper.core.units import DAY, PPM, WAD, YEAR, ceil_div, floor_div
from keeper.core.words import Layout

CELL = 300  # seconds
FAST, SLOW, JUMP = 6 * 3_600, 7 * DAY, 14 * DAY  # seconds in which an average forgets
CLIP = 36  # square of the deviations at which a return is cut
MAX_VARIANCE = 16 * 10**12  # (400 %)²

EWMA_PERCENT, STRESS_PERCENT = 75, 25
GRID_PPM = 2_500  # 25 bp of the price
SURGE_GRID_PPM = 20_000
MAX_CONGESTION = 3 * WAD // 2
FEE_FAST, FEE_SLOW = 1_800, 7 * DAY

ESTIMATE = Layout(log_price=-72, cell=32, fast=48, slow=48, jump=48)


@dataclass(frozen=True, slots=True)
class VolatilityTerms:
    """What the governor says of an underlying's volatility."""

    floor_ppm: int  # margin never assumes less a year
    stress_ppm: int  # a quarter of margin's volatility
    z_milli: int  # deviations that the shock covers, 6,000 = 6
    horizon_seconds: int  # in which they happen
    cap_ppm: int  # of the shock


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the samples of an underlying have said so far."""

    log_price: int  # ln of the last sample, WAD; 0 before the first
    cell: int  # of the last sample: unix seconds / 300; 0 before the first
    fast: int
    slow: int
    jump: int


@dataclass(frozen=True, slots=True)
class CongestionTerms:
    """How long a liquidation takes, and how much longer when blocks are full."""

    liquidation_seconds: int  # 0: no congestion is counted
    delay_seconds: int  # to be included, at the usual fee
    delay_max_seconds: int
    by_age: int  # 1: the age of the newest report instead of the base fee, for an L2


@dataclass(frozen=True, slots=True)
class Load:
    """How full blocks are: averages of the base fee in wei, or of an age in 10^-9 s."""

    fast: int = 0
    slow: int = 0
    cell: int = 0


def kept(cells: int, tau: int) -> int:
    """exp(−time/τ), WAD: the weight of the past after so many cells."""
    return wad_exp(-floor_div(cells * CELL * WAD, tau))


def annual_variance(log_return: int, seconds: int) -> int:
    """Square of a return (WAD) as a variance of a year, 10^-12, rounded down."""
    return floor_div(log_return * log_return * YEAR, seconds * 10**24)


def blend(before: int, seen: int, weight_kept: int) -> int:
    """(1 − α)·before + α·seen with 1 − α in WAD, rounded down."""
    return floor_div(weight_kept * before + (WAD - weight_kept) * seen, WAD)


def started(sigma_ppm: int) -> Estimate:
    """What is known before any sample: the governor's figure."""
    return Estimate(0, 0, sigma_ppm * sigma_ppm, sigma_ppm * sigma_ppm, 0)


def sampled(before: Estimate, cell: int, log_price: int, floor_ppm: int) -> Estimate:
    """The averages after a cell's price; of skipped cells the next counts for all (SPEC 12.3)."""
    if before.cell == 0:
        return Estimate(log_price, cell, before.fast, before.slow, before.jump)
    cells = cell - before.cell
    seen = annual_variance(log_price - before.log_price, cells * CELL)
    cut = min(seen, CLIP * max(before.slow, floor_ppm * floor_ppm))

    def average(variance: int, of: int, tau: int) -> int:
        return min(MAX_VARIANCE, blend(variance, of, kept(cells, tau)))

    return Estimate(
        log_price=log_price,
        cell=cell,
        fast=average(before.fast, cut, FAST),
        slow=average(before.slow, cut, SLOW),
        jump=average(before.jump, seen - cut, JUMP),
    )


def pricing_sigma(estimate: Estimate) -> int:
    """What σ_p moves towards, ppm a year, rounded down."""
    return isqrt(min(MAX_VARIANCE, estimate.slow + estimate.jump))


def margin_sigma(estimate: Estimate, terms: VolatilityTerms) -> int:
    """σ_m, ppm a year: the larger of fast and slow, a quarter of stress, and jumps (SPEC 12.5)."""
    usual = EWMA_PERCENT * isqrt(max(estimate.fast, estimate.slow))
    mixed = ceil_div(usual + STRESS_PERCENT * terms.stress_ppm, 100)
    return max(terms.floor_ppm, mixed + isqrt(estimate.jump))


def shock_target(sigma_ppm: int, terms: VolatilityTerms) -> int:
    """z·σ_m·√(horizon/year) up to the grid, at most the cap; ppm of the price (SPEC 12.6)."""
    root = isqrt(floor_div(terms.horizon_seconds * 10**24, YEAR))  # 10^-12
    steps = ceil_div(terms.z_milli * sigma_ppm * root, 10**15 * GRID_PPM)
    return min(terms.cap_ppm, steps * GRID_PPM)


# ---------------------------------------------------------------- congestion


def load_after(before: Load, cell: int, seen: int) -> Load:
    """Averages of what blocks cost, or reports lag, with one look a cell (SPEC 12.9)."""
    if before.cell == 0:
        return Load(seen, seen, cell)
    if cell <= before.cell:
        return before
    cells = cell - before.cell
    return Load(
        fast=blend(before.fast, seen, kept(cells, FEE_FAST)),
        slow=blend(before.slow, seen, kept(cells, FEE_SLOW)),
        cell=cell,
    )


def delay(terms: CongestionTerms, fast: int, slow: int) -> int:
    """Seconds that a liquidation waits to be included, rounded down."""
    usual = terms.delay_seconds
    if fast > slow > 0:
        usual = floor_div(usual * fast, slow)
    return min(terms.delay_max_seconds, usual)


def congestion(liquidation_seconds: int, delay_seconds: int) -> int:
    """sqrt((t_liq + t_delay)/t_liq), WAD, rounded down, at most 1.5."""
    longer = (liquidation_seconds + delay_seconds) * WAD * WAD
    return min(MAX_CONGESTION, isqrt(floor_div(longer, liquidation_seconds)))


def surge(terms: CongestionTerms, load: Load) -> int:
    """By how much congestion raises the initial shock, ppm, up to a grid of 2 %."""
    if terms.liquidation_seconds == 0:
        return 0
    waits = delay(terms, load.fast, load.slow)
    above = congestion(terms.liquidation_seconds, waits) - WAD
    return ceil_div(above, (WAD // PPM) * SURGE_GRID_PPM) * SURGE_GRID_PPM
