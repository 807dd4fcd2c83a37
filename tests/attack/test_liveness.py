"""Liquidation, exits and trading go on, whatever is listed, forgotten or owed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from scripts import plan
from tests.attack.gang import gang, lines
from tests.support.refusals import refused
from tests.support.world import BTC, INSTRUMENTS, WAD, World

CHEAP = 4  # feed, and with it instrument, of a token worth 0.00001 USD
CHEAP_PRICE = Decimal("0.00001")


def list_feed(world: World) -> None:
    """One more feed of the form of the others."""
    config = world.hub.feed_config(BTC)
    world.hub.add_feed(tuple(config), sender=world.governor)


def list_instrument(world: World, units_per_usd: int) -> None:
    """A future on the newest feed, with figures of BTC's in USD."""
    feed = world.hub.feed_count()
    usd = 10**18 * units_per_usd
    world.instruments.add_underlying(
        (feed, 52_000, 1_500_000, 10_000_000, 50_000, 0, 0), (14_000, 30_000), sender=world.governor
    )
    world.instruments.add_instrument(
        (0, feed, 0, 28_800, 10_000, 2_000, 7_500, 0),
        (4_000_000_000 * usd, 15_000, 200, 500, 10_000, 500),
        (100_000 * usd, 100_000, 100, 3_500, 7_500, 4_000, 2_000, 1_000),
        sender=world.governor,
    )


def test_l20_liquidating_a_great_many_cheap_units(world: World) -> None:
    """The residual of forced fills has 88 bits, open interest may have 94: it saturates."""
    list_feed(world)
    list_instrument(world, units_per_usd=100_000)
    world.post({CHEAP: CHEAP_PRICE})
    (trader,) = gang(world, "trader", 1, 900)
    world.open_position(trader, CHEAP, 10**9, CHEAP_PRICE)
    world.post({CHEAP: CHEAP_PRICE * Decimal("0.94")})

    world.liquidator.liquidate(trader, CHEAP, 2**255, sender=world.keeper)

    assert world.size(trader, CHEAP) < 10**9 * WAD - 2**87
    world.markets.accrue([CHEAP], sender=world.keeper)


def test_p11_an_instrument_without_a_price_does_not_lock_the_pool(world: World) -> None:
    """Listed before its first price, or long after its last: nothing is open, nothing is asked."""
    list_feed(world)
    list_instrument(world, units_per_usd=1)
    before = world.pool.nav()
    world.enter_pool(world.wallet("newcomer"), 1_000)
    assert world.pool.nav() == before + 1_000 * WAD

    world.post({CHEAP: 1})
    (trader,) = gang(world, "trader", 1, 1_000)
    world.open_position(trader, CHEAP, 1_000, 1)
    assert world.trade(trader, CHEAP, -1_000, 1, reduce_only=True) == 0
    world.evm.warp(7 * 86_400)  # the feed has died
    before = lines(world).nav
    world.enter_pool(world.wallet("another newcomer"), 1_000)
    assert world.pool.nav() == before + 1_000 * WAD


@pytest.fixture
def without_safety(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose governor has forgotten Markets.set_safety."""
    everything = plan.calls

    def some(*args: Any, **kwargs: Any) -> Iterator[plan.Call]:
        return (c for c in everything(*args, **kwargs) if c.function != "set_safety")

    monkeypatch.setattr(plan, "calls", some)
    world = World()
    world.endow()
    return world


def test_g07_a_forgotten_setter_leaves_positions_that_can_be_liquidated(
    without_safety: World,
) -> None:
    world = without_safety
    (trader,) = gang(world, "trader", 1, 5_000)
    world.open_position(trader, BTC, 1)
    world.post({BTC: 47_000})
    world.liquidator.liquidate(trader, BTC, 2**255, sender=world.keeper)
    assert 0 < world.size(trader, BTC) < WAD
    assert world.markets.safety()[1] >= 10**6, "trades need a pool that covers its requirement"


def hedge(world: World) -> tuple[bytes, bytes]:
    """Somebody long, somebody else as much short: what one loses the other wins."""
    long, short = (gang(world, name, 1, 1_500_000, bucket=1)[0] for name in ("long", "short"))
    for _ in range(4):
        world.open_position(long, BTC, 50)
        world.open_position(short, BTC, -50)
    return long, short


def opens(world: World) -> bool:
    (trader,) = gang(world, "newcomer", 1, 100_000)
    return world.trade(trader, BTC, "0.1") == 0


def test_d07_a_deficit_that_can_be_paid_stops_nothing(world: World) -> None:
    """The pool pays of what it has won, and of its slices: trading goes on."""
    (trader,) = gang(world, "ruined", 1, 450_000)
    world.open_position(trader, BTC, 100)
    world.post({BTC: 30_000})
    world.liquidator.liquidate(trader, BTC, 2**255, sender=world.keeper)
    assert world.cash(trader) == 0
    assert opens(world)


def test_l13_who_won_settles_after_those_who_may_still_leave_a_deficit(world: World) -> None:
    """A second long, ruined by the same gap, whom nobody liquidated in time."""
    long, short = hedge(world)
    (late,) = gang(world, "late", 1, 300_000, bucket=1)
    world.open_position(late, BTC, 40)
    world.post({BTC: 37_000})
    world.liquidator.liquidate(long, BTC, 2**255, sender=world.keeper)
    with refused("market: losers settle first"):
        world.liquidator.settle_positions([short, late], BTC, sender=world.keeper)
    owed = world.assess(short).owed
    world.liquidator.settle_positions([late, short], BTC, sender=world.keeper)
    (told,) = world.evm.events("DeficitPaid")
    assert told.args.account == late
    assert told.args.own + told.args.shared > 0
    assert world.cash(late) == 0
    assert world.assess(short).owed == 0 < owed
    assert lines(world).mark == 0


def test_d07_one_beyond_all_limits_ends_its_instrument_and_no_other(world: World) -> None:
    """A gap of a quarter: insurance, the pool's slice and a day's share of the shorts are less."""
    long, short = hedge(world)
    world.post({BTC: 37_000})
    world.liquidator.liquidate(long, BTC, 2**255, sender=world.keeper)
    (told,) = world.evm.events("DeficitPaid")
    assert told.args.settles
    with refused("market: not open"):
        opens(world)
    assert world.assess(short).equity > 0
    world.liquidator.settle_positions([short], BTC, sender=world.keeper)
    cash = world.cash(short) // 10**12
    owner = world.owner(short)
    world.clearinghouse.withdraw(short, cash, owner, sender=owner)
    (trader,) = gang(world, "another newcomer", 1, 100_000)
    world.open_position(trader, INSTRUMENTS[1], 1)
