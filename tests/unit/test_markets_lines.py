"""Markets: its lines, roles, governor and views; SPEC 2.2, 5.13, 8.6."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.refusals import refused
from tests.support.staffed import Holder, House, event, usd
from tests.support.world import BTC, World

HUGE = 2**256 - 1
SAFETY = (2_000_000, 750_000, 7_200)


# -- change_lines


def test_change_lines__moves_pool_and_insurance_and_tells(house: House) -> None:
    before = house.lines
    house.markets.change_lines(usd(5), usd(7), sender=house.sender)
    after = house.lines
    assert (after.pool, after.insurance) == (before.pool + usd(5), before.insurance + usd(7))
    assert event(house.world, "LedgerChanged").args == (after.pool, after.insurance, 0)


def test_change_lines__the_pool_pays_no_more_than_it_has(house: House) -> None:
    has = house.lines.pool
    with house.refuses("pool: not enough idle"):
        house.markets.change_lines(-has - 1, 0, sender=house.sender)
    house.markets.change_lines(-has, 0, sender=house.sender)
    assert house.lines.pool == 0
    with house.refuses("pool: not enough idle"):
        house.markets.change_lines(-1, 0, sender=house.sender)


def test_change_lines__a_pool_in_debt_still_takes_money(house: House) -> None:
    """A gain that the pool line had to pay out below zero."""
    holder = Holder(house, BTC)
    holder.trade(10)
    house.markets.change_lines(-house.lines.pool, 0, sender=house.sender)
    house.world.post({BTC: 60_000})
    holder.trade(-10, 60_000)
    debt = house.lines.pool
    assert debt < 0
    house.markets.change_lines(usd(1), 0, sender=house.sender)
    assert house.lines.pool == debt + usd(1)
    house.markets.change_lines(0, usd(1), sender=house.sender)  # nor does it stop insurance
    with house.refuses("pool: not enough idle"):
        house.markets.change_lines(-1, 0, sender=house.sender)


def test_change_lines__insurance_never_goes_below_zero(house: House) -> None:
    has = house.lines.insurance
    with house.refuses(""):
        house.markets.change_lines(0, -has - 1, sender=house.sender)
    house.markets.change_lines(0, -has, sender=house.sender)
    assert house.lines.insurance == 0


@pytest.mark.parametrize(("pool", "insurance"), [(2**95 - 1, 0), (0, 2**96 - 1)])
def test_change_lines__a_line_ends_where_its_field_ends(
    house: House, pool: int, insurance: int
) -> None:
    has = house.lines
    room = pool - has.pool if pool else 0, insurance - has.insurance if insurance else 0
    one_more = room[0] + bool(pool), room[1] + bool(insurance)
    with house.refuses("word: value too large"):
        house.markets.change_lines(*one_more, sender=house.sender)
    house.markets.change_lines(*room, sender=house.sender)
    assert (pool or has.pool, insurance or has.insurance) == (
        house.lines.pool,
        house.lines.insurance,
    )


# -- take_protocol


@pytest.mark.parametrize(
    ("scale", "native", "left"),
    [
        (10**12, 2_500_000, 0),  # 6 decimals: to the last
        (1, 2_500_000 * 10**12, 0),  # 18 decimals
        (10**18, 2, 500_000),  # no decimals: whole tokens only
        (10**13, 250_000, 0),
    ],
)
def test_take_protocol__takes_whole_native_units(
    house: House, scale: int, native: int, left: int
) -> None:
    """1 BTC pays a fee of 25, of which 2.5 are the protocol's."""
    Holder(house, BTC).trade(1)
    before = house.lines
    assert before.protocol == 2_500_000
    assert house.markets.take_protocol.simulate(scale, sender=house.sender) == native
    house.markets.take_protocol(scale, sender=house.sender)
    after = house.lines
    assert (after.protocol, after.pool, after.insurance) == (left, before.pool, before.insurance)
    assert event(house.world, "LedgerChanged").args == (after.pool, after.insurance, left)


def test_take_protocol__of_nothing_is_nothing(house: House) -> None:
    assert house.markets.take_protocol(10**12, sender=house.sender) == 0


# -- who may


@pytest.mark.parametrize(
    ("act", "arguments"),
    [
        ("fill", (BTC, 0, 0, 0, usd(1), usd(50_000), 0)),
        ("force", (BTC, usd(1), usd(50_000), 0, -usd(1), 0)),
        ("settle", (BTC, usd(1), 0)),
        ("absorb", (b"\x01" * 32, BTC, usd(1), usd(1), True)),
        ("change_lines", (0, 0)),
        ("take_protocol", (10**12,)),
        ("adopt_risk_engine", ()),
    ],
)
def test_markets__only_the_clearinghouse_may(
    house: House, act: str, arguments: tuple[Any, ...]
) -> None:
    for stranger in (house.world.governor, house.world.keeper):
        with house.refuses("market: only clearinghouse"):
            getattr(house.markets, act)(*arguments, sender=stranger)


def test_markets__anyone_may_accrue(house: House) -> None:
    house.markets.accrue([BTC], sender=house.world.wallet("passer-by"))


def test_markets__knows_its_clearinghouse_and_owner(world: World) -> None:
    assert world.markets.CLEARINGHOUSE() == world.clearinghouse.address
    assert world.markets.owner() == world.governor


# -- governor


def test_set_safety__at_its_bounds(house: House) -> None:
    markets, governor = house.markets, house.world.governor
    for figures in ((10**6, 0, 600), (10**7, 1_000_000, 1_000_000)):
        markets.set_safety(*figures, sender=governor)
        engine = house.world.risk_engine.address
        assert markets.safety() == (engine, *figures)
        assert event(house.world, "SafetyChanged").args == (engine, *figures)


@pytest.mark.parametrize(
    ("place", "figure"),
    [
        (0, 999_999),
        (0, 10_000_001),
        (0, HUGE),
        (1, 1_000_001),
        (1, HUGE),
        (2, 599),
        (2, 1_000_001),
        (2, HUGE),
    ],
)
def test_set_safety__refuses_a_figure_out_of_range(house: House, place: int, figure: int) -> None:
    figures = list(SAFETY)
    figures[place] = figure
    with refused("market: figure out of range"):
        house.markets.set_safety(*figures, sender=house.world.governor)
    assert house.markets.safety()[1:] == SAFETY


def test_governor__nobody_else_sets_a_figure(house: House) -> None:
    for stranger in (house.sender, house.world.keeper):
        with refused("ownable: caller is not the owner"):
            house.markets.set_safety(*SAFETY, sender=stranger)


def test_adopt_risk_engine__keeps_the_other_figures(house: House) -> None:
    other = house.world.hub.address
    house.markets.announce_risk_engine(other, sender=house.world.governor)
    house.world.evm.warp(7 * 86_400)
    assert house.markets.adopt_risk_engine(sender=house.sender) == other
    assert house.markets.safety() == (other, *SAFETY)
    assert event(house.world, "SafetyChanged").args == (other, *SAFETY)


# -- views


def test_views__of_what_nobody_traded_yet(house: House) -> None:
    assert house.markets.market(BTC) == (0,) * 5
    assert house.markets.market(99) == (0,) * 5
    assert house.markets.indices(99) == (0, 0)
    assert house.markets.ledger() == (usd(10_000_000), usd(500_000), 0, 0, 0)
