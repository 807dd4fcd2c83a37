"""Lens.simulate: what is simulated is what then happens, to the unit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.refusals import refused
from tests.support.world import BTC, ETH, SOL, WAD, World

PPM = 10**6


@pytest.fixture
def trader(world: World) -> bytes:
    """Cross: long 1 BTC, short 20 ETH, 5 WETH and 30,000 in cash, funding running."""
    account = world.account("trader")
    world.deposit(account, 30_000)
    world.add_collateral(account, world.weth, 5)
    world.open_position(account, BTC, 1)
    world.open_position(account, ETH, -20)
    world.evm.warp(45)
    return account


def simulated(world: World, account: bytes, trades: Any = (), shocks: Any = ()) -> Any:
    sized = [(one, int(Decimal(str(size)) * WAD)) for one, size in trades]
    return world.lens.simulate(account, sized, list(shocks))


def assert_equal(found: Any, assessed: Any) -> None:
    for figure in ("equity", "maintenance", "plain_initial", "initial"):
        assert getattr(found, figure) == getattr(assessed, figure), figure


def test_simulate__nothing__is_the_assessment(world: World, trader: bytes) -> None:
    found = simulated(world, trader)
    assert_equal(found, world.assess(trader))
    report = world.lens.report(trader)
    assert (found.call_line, found.health_ppm) == (report.call_line, report.health_ppm)
    assert (found.cost, found.fee) == (0, 0)


@pytest.mark.parametrize(
    "moves",
    [{BTC: 45_000}, {ETH: 3_100}, {BTC: "51_234.5", ETH: 2_222, SOL: 99}, {SOL: 7}],
    ids=str,
)
def test_simulate__shocks__are_what_prices_then_do(
    world: World, trader: bytes, moves: dict[int, Any]
) -> None:
    """Positions and collateral of one feed move together, the others stand."""
    shocks = [
        (feed, int((Decimal(str(price).replace("_", "")) / world.price(feed) - 1) * PPM))
        for feed, price in moves.items()
    ]
    found = simulated(world, trader, shocks=shocks)
    for feed, ppm in shocks:
        price = world.price(feed) * (PPM + ppm) / PPM  # to the feed's tick
        world.post_price(feed, price, world.evm.timestamp)
    assert_equal(found, world.assess(trader))


@pytest.mark.parametrize(
    ("instrument", "size"),
    [(BTC, "0.5"), (BTC, "-0.4"), (BTC, "-1"), (BTC, "-2.5"), (SOL, 100), (ETH, "7.123")],
)
def test_simulate__a_trade__is_what_its_fill_does(
    world: World, trader: bytes, instrument: int, size: Any
) -> None:
    order = world.order(trader, instrument, size)
    world.commit(order)
    slot = world.due_slot(order)
    found = simulated(world, trader, [(instrument, size)])
    assert world.execute(order, slot) == 0
    (changed,) = world.evm.events("PositionChanged")
    assert (found.cost, found.fee) == (changed.args.fill_notional, changed.args.fee)
    assert_equal(found, world.assess(trader))


def test_simulate__several_trades__see_each_others_premium(world: World, trader: bytes) -> None:
    both = simulated(world, trader, [(BTC, 3), (BTC, -2), (SOL, 50)])
    one = simulated(world, trader, [(BTC, 1), (SOL, 50)])
    assert both.maintenance == one.maintenance
    assert abs(both.cost - one.cost) <= 3  # the integral, rounded up in parts
    assert both.equity < one.equity  # by the fees of what was turned over


def test_simulate__trades_and_shocks__in_one(world: World, trader: bytes) -> None:
    orders = [world.order(trader, BTC, 1), world.order(trader, SOL, -50)]
    for order in orders:
        world.commit(order)
    slot = world.due_slot(orders[-1])
    shocks = [(BTC, -100_000), (SOL, 50_000)]
    found = simulated(world, trader, [(BTC, 1), (SOL, -50)], shocks)
    for order in orders:
        assert world.execute(order, slot) == 0
    assert_equal(found, simulated(world, trader, shocks=shocks))


def test_simulate__refusals_name_the_fact(world: World, trader: bytes) -> None:
    with refused("lens: feed twice"):
        simulated(world, trader, shocks=[(BTC, 1), (BTC, 2)])
    for ppm in (-PPM, -(2**255), 1_000 * PPM + 1):
        with refused("lens: shock too large"):
            simulated(world, trader, shocks=[(BTC, ppm)])
    with refused("instruments: unknown instrument"):
        simulated(world, trader, [(99, 1)])
    isolated = world.account("trader", 1)
    world.deposit(isolated, 1_000)
    with refused("risk: isolated holds one"):
        simulated(world, isolated, [(BTC, "0.01"), (ETH, "0.1")])


def test_simulate__debt_alone__asks_its_own_margin(world: World) -> None:
    debtor = world.account("debtor")
    owner = world.owner(debtor)
    world.add_collateral(debtor, world.weth, 20)
    world.clearinghouse.withdraw(debtor, 20_000 * 10**6, owner, sender=owner)
    world.evm.warp(3_600)
    assert_equal(simulated(world, debtor), world.assess(debtor))
    found = simulated(world, debtor, shocks=[(ETH, -400_000)])
    world.post_price(ETH, 1_500, world.evm.timestamp)
    assert_equal(found, world.assess(debtor))


@pytest.mark.parametrize("mode", [1, 2], ids=["isolated", "cross"])
@pytest.mark.parametrize("size", ["0.8", "-0.8"])
def test_liquidation_price__acting_a_tick_on_either_side(
    world: World, mode: int, size: str
) -> None:
    """Also with another position and collateral on the same feed: below and above, the nearest."""
    world.liquidator.set_call_terms(400_000, 800_000, 0, 0, sender=world.governor)
    account = world.account("holder", 2 - mode)
    world.deposit(account, 6_000)
    world.add_collateral(account, world.wbtc, "0.05")
    world.open_position(account, BTC, size)
    if mode == 2:
        world.open_position(account, SOL, -40)
    world.evm.warp(45)  # with funding that is owed
    tick = 10**10
    tried = 0
    for place, price in enumerate(world.lens.liquidation_price(account, BTC)):
        if price == 0:
            continue
        tried += 1
        nearer = tick if place == 0 else -tick
        for posted, due in ((price, True), (price + nearer, False)):
            with world.evm.trial():
                world.post_price(BTC, Decimal(posted) / WAD, world.evm.timestamp)
                assert world.liquidator.liquidatable(account) is due
                if due:
                    world.liquidator.liquidate(account, BTC, 2**255, sender=world.keeper)
                else:
                    with refused("liquidation: not liquidatable"):
                        world.liquidator.liquidate(account, BTC, 2**255, sender=world.keeper)
    assert tried
