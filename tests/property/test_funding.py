"""Laws of accrual: poking changes nothing, what one side pays the other gets, dust stays inside."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core import funding
from keeper.core.market import Market, residual
from keeper.core.terms import Terms
from keeper.core.units import DAY, PPM, WAD
from tests.property.strategies import indices, magnitudes, plain_terms, prices, sizes, terms

MANY = settings(max_examples=300)
rates = st.integers(-(10**16), 10**16)
moments = st.lists(st.integers(1, 10**7), min_size=1, max_size=8)


@MANY
@given(rates, st.integers(0, 10**15), magnitudes, magnitudes, moments)
def test_pokes_change_no_index_and_take_no_unit_more(
    rate: int, gap: int, long: int, short: int, steps: list[int]
) -> None:
    """I-29."""
    market = Market(rate=rate, gap=gap, long_interest=long, short_interest=short)
    at_once, fee_at_once = funding.accrued(market, sum(steps))
    poked, fees = market, 0
    for step in steps:
        poked, fee = funding.accrued(poked, poked.accrued_at + step)
        fees += fee
    assert poked == at_once
    assert fee_at_once - len(steps) < fees <= fee_at_once


@MANY
@given(rates, magnitudes, st.integers(1, 10**8))
def test_funding_between_equal_sides_sums_to_zero(rate: int, interest: int, elapsed: int) -> None:
    """I-05: without a gap fee nothing is made; the dust is below a unit a position."""
    market, fee = funding.accrued(
        Market(rate=rate, long_interest=interest, short_interest=interest), elapsed
    )
    assert fee == 0
    assert market.long_index == -market.short_index
    paid = funding.owed(interest, market.long_index, 0) + funding.owed(
        -interest, market.short_index, 0
    )
    assert 0 <= paid <= 1


@MANY
@given(sizes, indices, indices, indices)
def test_settling_twice_on_the_way_never_pays_the_account(
    size: int, first: int, between: int, last: int
) -> None:
    at_once = funding.owed(size, last, first)
    on_the_way = funding.owed(size, between, first) + funding.owed(size, last, between)
    assert at_once <= on_the_way <= at_once + 1
    assert funding.owed(size, last, last) == 0  # I-30
    assert 0 <= at_once - funding.owed_to_pool(size, last, first) <= 1


@MANY
@given(terms(), prices, sizes)
def test_rate_stays_within_its_cap_and_leans_against_the_net(
    about: Terms, index: int, premium_size: int
) -> None:
    """I-28."""
    rate = funding.funding_rate(about, about.value(index), index, premium_size)
    assert abs(rate) * PPM * DAY <= index * about.risk.funding_cap_ppm_per_day
    assert rate * premium_size >= 0


@MANY
@given(sizes, st.integers(1, 10**6), st.integers(0, 2 * 10**6), st.integers(0, 2 * 10**6))
def test_residual_enters_the_premium_once_and_only_forwards(
    forced: int, window: int, first: int, second: int
) -> None:
    early, late = sorted((first, second))
    market = Market(easing=1, forced=forced, forced_at=1_000)
    now, then = residual(market, 1_000 + early, window), residual(market, 1_000 + late, window)
    assert abs(forced) >= abs(now) >= abs(then)
    assert now * forced >= 0
    assert residual(market, 1_000, window) == forced
    assert residual(market, 1_000 + window, window) == 0
    assert residual(replace(market, easing=0), 1_000, window) == 0


def test_worked_day() -> None:
    """1 % premium over 8 hours at 3,000 USD is 3.75 USD an hour and unit, here within the cap."""
    about = plain_terms(funding_cap_ppm_per_day=50_000)
    price = 3_000 * WAD
    size = about.fill.depth_wad // 100
    rate = funding.funding_rate(about, about.value(price), price, size)
    assert rate == 30 * WAD // 28_800
    market = Market(rate=rate, long_interest=size)
    day, _ = funding.accrued(market, DAY)
    assert funding.owed(WAD, day.long_index, 0) == rate * DAY
    assert replace(day, long_index=0, short_index=0, accrued_at=0) == market
