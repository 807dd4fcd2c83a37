"""Offsets are worth what they cover: nobody keeps one without its hedge, or at a price he chose."""

from __future__ import annotations

from decimal import Decimal

import pytest

from scripts.parameters.units import WAD
from tests.attack.gang import gang
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, PRICES, World

PORTFOLIO, CROSS = 3, 2
RECENT = 1


def hedged(world: World, usd: int = 5_500) -> bytes:
    """Long a bitcoin and short ten ether on margin that only a portfolio allows."""
    (account,) = gang(world, "trader", 1, usd)
    world.clearinghouse.set_mode(account, PORTFOLIO, sender=world.owner(account))
    world.open_position(account, BTC, 1)
    world.open_position(account, ETH, -10)
    return account


def test_switching_modes_around_a_price(world: World) -> None:
    """Into the mode that asks less and back before it is due: each way needs initial margin in
    the new mode at a fresh price, so no price makes a switch free."""
    account = hedged(world)
    owner = world.owner(account)
    for factor in ("0.99", "1.01", "0.97", "1"):
        world.post({BTC: PRICES[BTC] * Decimal(factor), ETH: PRICES[ETH]})
        with refused("account: below initial margin"):
            world.clearinghouse.set_mode(account, CROSS, sender=owner)
        assert world.assess(account).mode == PORTFOLIO
    world.evm.warp(300)
    with refused("oracle: stale price"):
        world.clearinghouse.set_mode(account, CROSS, sender=owner)


@pytest.mark.parametrize("instrument", [BTC, ETH])
def test_moving_a_leg_to_an_empty_bucket(world: World, instrument: int) -> None:
    """The hedge, or what it hedges, to a bucket that holds nothing: both sides are asked."""
    account = hedged(world)
    owner = world.owner(account)
    empty = world.account(owner, 7)
    with refused("account: below initial margin"):
        world.clearinghouse.move_position(account, empty, instrument, sender=owner)
    assert world.size(empty, instrument) == 0


def test_closing_the_hedge_on_a_price_that_may_be_stale(world: World) -> None:
    """A reduction may take a recent price; then nothing offsets in initial, and a close that
    lowers health ends for lack of margin."""
    account = hedged(world)
    world.post({BTC: PRICES[BTC] - 1_600})
    found = world.assess(account)
    assert found.equity_initial > found.initial
    assert found.equity_initial < world.assess(account, RECENT).initial
    order = world.order(account, ETH, 10, reduce_only=True)
    world.commit(order)
    assert world.execute(order, world.due_slot(order)) != 0
    assert world.size(account, ETH) == -10 * WAD


def test_netting_with_a_stale_feed(world: World) -> None:
    """While one feed is silent no new risk is opened against its offset, in either leg."""
    account = hedged(world)
    owner = world.owner(account)
    world.evm.warp(300)
    world.post({BTC: PRICES[BTC]})
    for instrument, size in ((BTC, "0.1"), (ETH, -1)):
        order = world.order(account, instrument, size)
        with refused("oracle: stale price"):
            world.orders.commit(order.as_argument(), sender=owner)
    with refused("oracle: stale price"):
        world.clearinghouse.withdraw(account, 1, owner, sender=owner)
