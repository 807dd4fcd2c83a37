"""Volatility and the ramps: worked cases, unbiasedness, and what no order of pokes can exceed."""

from __future__ import annotations

import math
import random
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from keeper.core import ramps, volatility
from keeper.core.fixed import wad_exp, wad_ln
from keeper.core.ramps import Ramp
from keeper.core.units import DAY, PPM, WAD, YEAR
from keeper.core.volatility import (
    CELL,
    CongestionTerms,
    Estimate,
    Load,
    VolatilityTerms,
)

PLAIN = VolatilityTerms(
    floor_ppm=600_000, stress_ppm=1_600_000, z_milli=6_000, horizon_seconds=3_600, cap_ppm=200_000
)
HOUR = 3_600


def near(found: int, scale: int, expected: str, digits: int = 9) -> bool:
    return abs(Decimal(found) / scale / Decimal(expected) - 1) <= Decimal(10) ** -digits


# -- worked cases


def test_vol_2__an_average_with_a_gap_of_its_own() -> None:
    """σ² = 0.64 a year, a return of 1 % in 600 s, forgotten in a day: 0.671944508744701."""
    weight = wad_exp(-(600 * WAD // DAY))
    seen = volatility.annual_variance(WAD // 100, 600)
    assert seen == 5_256_000_000_000  # 1 % squared, 52,560 times a year
    assert near(volatility.blend(640_000_000_000, seen, weight), 10**12, "0.671944508744701")
    assert volatility.kept(2, DAY) == weight


def test_apc_1__floor_average_and_stress() -> None:
    """75 % of 50 % and 25 % of 160 % is 77.5 %, above the floor of 60 %."""
    estimate = Estimate(0, 1, fast=250_000_000_000, slow=40_000_000_000, jump=0)
    assert volatility.margin_sigma(estimate, PLAIN) == 775_000
    calm = Estimate(0, 1, fast=10**10, slow=10**10, jump=0)
    assert volatility.margin_sigma(calm, PLAIN) == 600_000
    jumpy = Estimate(0, 1, fast=250_000_000_000, slow=0, jump=90_000_000_000)
    assert volatility.margin_sigma(jumpy, PLAIN) == 1_075_000


def test_cong_1__six_times_the_fee() -> None:
    """120 gwei against 20: a minute becomes six, and margin grows by 18.3 %."""
    terms = CongestionTerms(900, 60, 1_800, 0)
    waits = volatility.delay(terms, 120 * 10**9, 20 * 10**9)
    assert waits == 360
    assert near(volatility.congestion(900, waits), WAD, "1.18321595661992")
    assert volatility.surge(terms, Load(120 * 10**9, 20 * 10**9, 1)) == 200_000
    assert volatility.delay(terms, 900 * 10**9, 20 * 10**9) == 1_800  # the cap
    assert volatility.delay(terms, 10**9, 20 * 10**9) == 60  # never less than the usual
    assert volatility.delay(terms, 10**9, 0) == 60
    assert volatility.congestion(60, 1_800) == 3 * WAD // 2
    assert volatility.surge(CongestionTerms(0, 60, 1_800, 0), Load(9, 1, 1)) == 0


def test_shock_target__grid_and_cap() -> None:
    """6 deviations of 77.5 % a year in an hour are 4.968 %: 5 % on the grid."""
    assert volatility.shock_target(775_000, PLAIN) == 50_000
    assert volatility.shock_target(4_000_000, PLAIN) == 200_000
    assert volatility.shock_target(0, PLAIN) == 0


# -- the averages


def run(returns: list[float], sigma_ppm: int, floor_ppm: int = 100_000) -> Estimate:
    estimate = volatility.sampled(volatility.started(sigma_ppm), 1, 0, floor_ppm)
    price = 0.0
    for cell, step in enumerate(returns, 2):
        price += step
        estimate = volatility.sampled(estimate, cell, int(price * WAD), floor_ppm)
    return estimate


def test_pricing__is_unbiased_with_jumps_in_it(seed: int) -> None:
    """Slow and jump together find the variance of returns that jump, cut or not."""
    dice = random.Random(seed)
    deviation = 0.6 * math.sqrt(CELL / YEAR)
    found = []
    for _ in range(30):
        returns = [
            dice.gauss(0, deviation) + (dice.choice((-1, 1)) * 0.01 if dice.random() < 0.01 else 0)
            for _ in range(6_000)
        ]
        end = run(returns, 600_000)
        found.append((end.slow + end.jump) / 10**12)
    true = 0.36 + 0.01 * 0.01**2 * YEAR / CELL
    settled = 1 - math.exp(-6_000 * CELL / volatility.SLOW)
    assert settled > 0.9
    # the jump average forgets in 14 days: of 21 it has seen 78 %
    jumps = 0.01 * 0.01**2 * YEAR / CELL * (1 - math.exp(-6_000 * CELL / volatility.JUMP))
    mean = sum(found) / len(found)
    assert 0.36 + 0.85 * jumps < mean < true * 1.05


@given(
    st.integers(-(70 * WAD), 70 * WAD),
    st.integers(1, 10**7),
    st.integers(0, volatility.MAX_VARIANCE),
    st.integers(0, volatility.MAX_VARIANCE),
    st.integers(0, volatility.MAX_VARIANCE),
)
def test_sampled__fits_its_word_and_a_print_moves_the_slow_average_little(
    log_price: int, cells: int, fast: int, slow: int, jump: int
) -> None:
    before = Estimate(0, 5, fast, slow, jump)
    after = volatility.sampled(before, 5 + cells, log_price, 100_000)
    assert all(0 <= one <= volatility.MAX_VARIANCE for one in (after.fast, after.slow, after.jump))
    values = {name: getattr(after, name) for name in volatility.ESTIMATE.names}
    assert volatility.ESTIMATE.unpack(volatility.ESTIMATE.pack(values)) == values
    reference = max(slow, 100_000**2)
    assert after.slow <= slow + 36 * reference * (WAD - volatility.kept(cells, 604_800)) // WAD
    assert after.fast <= max(fast, 36 * reference)


def test_sampled__a_gap_counts_as_its_cells() -> None:
    """Ten cells at once weigh what ten weigh, and so does a return spread evenly over them."""
    start = volatility.sampled(volatility.started(800_000), 1, 0, 100_000)
    step = WAD // 1_000
    one_by_one = start
    for cell in range(2, 12):
        one_by_one = volatility.sampled(one_by_one, cell, step * (cell - 1), 100_000)
    silent = volatility.sampled(start, 11, 0, 100_000)
    still = start
    for cell in range(2, 12):
        still = volatility.sampled(still, cell, 0, 100_000)
    for name in ("fast", "slow", "jump"):
        assert abs(getattr(silent, name) - getattr(still, name)) <= 20
    at_once = volatility.sampled(start, 11, 10 * step, 100_000)
    assert at_once.fast > one_by_one.fast  # ten steps the same way are more than their squares


def test_load__one_look_a_cell() -> None:
    first = volatility.load_after(Load(), 7, 20 * 10**9)
    assert first == Load(20 * 10**9, 20 * 10**9, 7)
    assert volatility.load_after(first, 7, 10**15) == first
    later = volatility.load_after(first, 13, 120 * 10**9)  # half an hour at six times
    share = 1 - math.exp(-1)
    assert abs(later.fast - int((20 + 100 * share) * 10**9)) < 10**3
    assert later.slow < 21 * 10**9


# -- ramps


@given(
    st.integers(1_000, 500_000),
    st.integers(0, 500_000),
    st.lists(st.tuples(st.integers(0, 900), st.integers(2_500, 500_000)), max_size=25),
)
def test_ramp__no_pokes_raise_it_faster_than_a_fifth_an_hour(
    floor: int, first: int, pokes: list[tuple[int, int]]
) -> None:
    """Whatever the samples say, and however often: 20 % an hour up, 5 % a day down, σ_p 1 %."""
    now = 10**9
    ramp = Ramp(max(floor, first), 0, now, 0, 500_000, 500_000, now)
    shocks, sigmas, times = [ramp.shock(floor, now)], [ramp.sigma(now)], [now]
    for wait, goal in pokes:
        now += wait
        before = ramp
        ramp = ramp.sampled(floor, goal, 0, goal * 8, now)
        assert ramp.shock(floor, now) == before.shock(floor, now)  # a sample moves nothing at once
        assert ramp.sigma(now) == before.sigma(now)
        assert ramp.initial_shock(floor, now) >= ramp.shock(floor, now) >= floor
        shocks.append(ramp.shock(floor, now))
        sigmas.append(ramp.sigma(now))
        times.append(now)
    for i, begun in enumerate(times):
        for j in range(i, len(times)):
            hours = (times[j] - begun) / HOUR
            assert shocks[j] <= shocks[i] * 1.2**hours + 1
            assert shocks[j] >= shocks[i] * 0.95 ** (hours / 24) - 1
            assert sigmas[j] <= sigmas[i] * 1.01**hours + 1
            assert sigmas[j] >= sigmas[i] * 0.99**hours - 1


def test_ramp__dead_band_grid_and_floor() -> None:
    ramp = Ramp(52_000, 50_000, 0)
    assert ramp.sampled(52_000, 55_000, 0, 1, 60).shock_to == 50_000  # a tenth is not more
    assert ramp.sampled(52_000, 57_500, 0, 1, 60).shock_to == 57_500
    assert ramp.sampled(52_000, 45_000, 0, 1, 60).shock_to == 50_000
    assert ramp.sampled(52_000, 42_500, 0, 1, 60).shock_to == 42_500
    assert ramp.target(52_000) == 52_000
    assert ramp.shock(52_000, 10**9) == 52_000


def test_ramp__a_new_floor_is_reached_at_its_pace() -> None:
    """The governor doubles the least shock: maintenance has half of the way after 2.7 hours."""
    ramp = Ramp(50_000, 0, 0).refloored(50_000, 1_000)
    assert ramp.shock(100_000, 1_000) == 50_000
    assert ramp.initial_shock(100_000, 1_000) == 100_000
    assert ramp.shock(100_000, 1_000 + HOUR) == 50_000 + 50_000 * 182_321 // PPM
    assert ramp.shock(100_000, 10**6) == 100_000
    back = ramp.refloored(100_000, 10**6)
    assert 95_000 < back.shock(50_000, 10**6 + DAY) < 95_200
    assert back.initial_shock(50_000, 10**6 + DAY) == back.shock(50_000, 10**6 + DAY)
    assert back.shock(50_000, 10**8) == 50_000


def test_ramp__samples_cannot_keep_it_from_moving() -> None:
    """Poked every cell, even the least shock there is falls its 5 % a day, or nearly."""
    for shock, reached in ((1_000, 952), (50_000, 47_520)):
        ramp, now = Ramp(shock, shock // 2, 0), 0
        while now < DAY:
            now += CELL
            ramp = ramp.sampled(0, shock // 2, 0, 500_000, now)
        assert shock * 95 // 100 <= ramp.shock(0, now) <= reached


def test_ramp__congestion_raises_the_initial_shock_alone() -> None:
    ramp = Ramp(50_000, 50_000, 0, surge_ppm=200_000)
    assert ramp.shock(50_000, 5) == 50_000
    assert ramp.initial_shock(50_000, 5) == 60_000


def test_logarithm__of_a_price() -> None:
    assert wad_ln(WAD) == 0
    assert abs(wad_ln(2 * WAD) - int(math.log(2) * WAD)) < 10**3
    assert ramps.toward(7, 7, 10**9, 1, 1) == 7
