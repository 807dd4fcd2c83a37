"""Laws of the requirement, and worked books as plain numbers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core import margin
from keeper.core.quotes import Quote
from keeper.core.terms import Terms
from keeper.core.types import InstrumentId, Mode, Refused
from keeper.core.units import PPM, WAD
from tests.property.strategies import plain_terms, prices, sizes, terms

MANY = settings(max_examples=300)


def requirement(
    book: list[tuple[int, int]],
    about: dict[int, Terms],
    price: dict[int, int],
    mode: Mode = Mode.CROSS,
    conf_ppm: int = 0,
    upnl_ppm: int = PPM,
) -> margin.Requirement:
    """The requirement of (instrument, size) pairs bought for nothing."""
    return margin.requirement(
        mode,
        [margin.Held(InstrumentId(one), size, 0) for one, size in book],
        lambda instrument: about[instrument],
        lambda feed: Quote(price[feed], conf_ppm, 0, 0),
        upnl_ppm,
    )


def test_ten_units_at_3000_with_a_shock_of_15_percent() -> None:
    """Maintenance 10 · 3,000 · 0.15 = 4,500; plain initial 1.3 times that."""
    about, price = {1: plain_terms()}, {1: 3_000 * WAD}
    for size in (10 * WAD, -10 * WAD):
        answer = requirement([(1, size)], about, price)
        assert answer.maintenance == 4_500 * WAD
        assert answer.plain_initial == 5_850 * WAD
        assert answer.initial == 5_850 * WAD


def test_concentration_of_ten_thousand_units() -> None:
    """n = 30 M against 10 M of liquidity: 0.02 · 30 M · (3 − 1) = 1.2 M on top of both."""
    answer = requirement([(1, 10_000 * WAD)], {1: plain_terms()}, {1: 3_000 * WAD})
    assert answer.maintenance == 5_700_000 * WAD
    assert answer.plain_initial == 7_050_000 * WAD


def test_cross_adds_and_does_not_net() -> None:
    """Long 10 at 3,000 (15 %) and short 0.5 at 60,000 (12 %): 4,500 + 3,600."""
    about = {1: plain_terms(), 2: plain_terms(underlying=2, feed=2, shock_ppm=120_000)}
    price = {1: 3_000 * WAD, 2: 60_000 * WAD}
    answer = requirement([(1, 10 * WAD), (2, -WAD // 2)], about, price)
    assert answer.maintenance == 8_100 * WAD
    assert answer.plain_initial == 10_530 * WAD
    opposite = {1: plain_terms(), 2: plain_terms()}  # the same underlying twice
    both = requirement([(1, 10 * WAD), (2, -10 * WAD)], opposite, {1: 3_000 * WAD})
    assert both.maintenance == 9_000 * WAD


def test_add_ons_by_hand() -> None:
    """Provision: a third of 3 % of 30,000; reserve 2.5 USD; confidence 0.1 % in initial only."""
    about = {1: plain_terms(funding_cap_ppm_per_day=30_000, reserve_milli=2_500)}
    answer = requirement([(1, 10 * WAD)], about, {1: 3_000 * WAD}, conf_ppm=1_000)
    assert answer.maintenance == 4_500 * WAD + 300 * WAD + 5 * WAD // 2
    assert answer.plain_initial == 5_850 * WAD + 300 * WAD + 5 * WAD // 2
    assert answer.initial == answer.plain_initial + 30 * WAD


def test_crowding_grows_with_the_side_and_stops_at_its_cap() -> None:
    about = plain_terms(oi_rate_ppm=100_000, oi_cap_wad=1_000 * WAD)
    at = [margin.crowding(10 * WAD, 3_000 * WAD, interest * WAD, about) for interest in (0, 500)]
    assert at == [0, 1_500 * WAD]
    full = margin.crowding(10 * WAD, 3_000 * WAD, 1_000 * WAD, about)
    assert full == margin.crowding(10 * WAD, 3_000 * WAD, 9_000 * WAD, about) == 3_000 * WAD


def test_gains_weigh_less_for_new_risk_and_losses_fully() -> None:
    about, price = {1: plain_terms()}, {1: 3_000 * WAD}
    gain = requirement([(1, WAD)], about, price, upnl_ppm=500_000)
    assert (gain.upnl, gain.upnl_initial) == (3_000 * WAD, 1_500 * WAD)
    loss = requirement([(1, -WAD)], about, price, upnl_ppm=500_000)
    assert (loss.upnl, loss.upnl_initial) == (-3_000 * WAD, -3_000 * WAD)


def test_a_default_mode_is_none() -> None:
    with pytest.raises(Refused, match="risk: mode not available"):
        requirement([], {}, {}, mode=Mode.DEFAULT)


def test_isolated_holds_one_instrument() -> None:
    about = {1: plain_terms(), 2: plain_terms()}
    with pytest.raises(Refused, match="risk: isolated holds one"):
        requirement([(1, WAD), (2, WAD)], about, {1: WAD}, mode=Mode.ISOLATED)


@MANY
@given(terms(), prices, sizes)
def test_lines_stand_in_order(about: Terms, index: int, size: int) -> None:
    answer = requirement([(1, size)], {1: about}, {1: index}, conf_ppm=500)
    assert 0 < answer.maintenance <= answer.plain_initial < answer.initial


@MANY
@given(terms(), prices, sizes, st.integers(1, 10**6))
def test_splitting_over_accounts_saves_no_linear_margin(
    about: Terms, index: int, size: int, part: int
) -> None:
    """I-24; concentration is the pool's price of one large book, and is left out here."""
    first = size * part // 10**6
    rest = size - first
    whole = margin.scan_loss(size, index, about.underlying.shock_ppm)
    apart = sum(
        margin.scan_loss(one, index, about.underlying.shock_ppm) for one in (first, rest) if one
    )
    assert whole <= apart <= whole + 1


@MANY
@given(terms(), prices, sizes, st.integers(0, 10**25))
def test_more_size_never_needs_less(about: Terms, index: int, size: int, more: int) -> None:
    larger = size + more if size > 0 else size - more
    small = requirement([(1, size)], {1: about}, {1: index})
    large = requirement([(1, larger)], {1: about}, {1: index})
    assert small.maintenance <= large.maintenance
    assert small.plain_initial <= large.plain_initial


@MANY
@given(st.integers(0, 10**30), prices, st.integers(0, 10**6), st.integers(0, 18))
def test_collateral_counts_for_no_more_than_it_is(
    amount: int, price: int, haircut: int, decimals: int
) -> None:
    value = margin.collateral_value(amount, price, haircut, decimals)
    exact = amount * price * (PPM - haircut)
    unit = PPM * 10**decimals
    assert value * unit <= exact < (value + 1) * unit
