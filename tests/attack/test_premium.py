"""Premium, funding and forced fills pay nobody who makes them himself."""

from __future__ import annotations

import random
from contextlib import suppress
from decimal import Decimal

import pytest

from tests.attack.gang import close, gang, hedged_pairs, lines, worth
from tests.support.evm import Revert
from tests.support.world import BTC, WAD, World


def liquidate_all(world: World, accounts: list[bytes], liquidator: bytes) -> None:
    for account in accounts:
        world.liquidator.liquidate(account, BTC, 2**255, sender=world.owner(liquidator))


@pytest.mark.parametrize("rise", ["1.03", "1.045", "1.06"])
@pytest.mark.parametrize("wait", [0, 3_600, 7_200])
def test_i23_letting_one_leg_be_liquidated_gains_nothing(
    world: World, rise: str, wait: int
) -> None:
    """Closed by force at theta, the shorts move the premium, into which the longs would sell."""
    shorts, longs = hedged_pairs(world)
    liquidator = world.account("liquidator")
    everyone = [*shorts, *longs, liquidator]
    brought, nav = worth(world, everyone), lines(world).nav

    world.post({BTC: world.price(BTC) * Decimal(rise)})
    liquidate_all(world, shorts, liquidator)
    closed = 5 * 150 * WAD + sum(world.size(account, BTC) for account in shorts)
    assert closed > 250 * WAD
    if wait:
        world.wait(wait)
    close(world, longs, BTC)
    world.wait(7_200)
    close(world, shorts, BTC)

    assert worth(world, everyone) < brought
    world.markets.accrue([BTC], sender=world.keeper)
    assert lines(world).nav > nav


def test_i23_no_trades_among_oneself_gain_at_a_still_price(world: World, seed: int) -> None:
    """Openings, closes, flips, of many accounts, in parts: fees are all that moves."""
    chance = random.Random(seed)
    accounts = gang(world, "trader", 4, 5_000_000)
    slot_price = world.price(BTC)
    brought, nav = worth(world, accounts), lines(world).nav
    fees = 0
    for _ in range(60):
        account = chance.choice(accounts)
        size = Decimal(chance.randint(-30_000, 30_000)) / 1_000
        with suppress(Revert):  # no margin for it
            if world.trade(account, BTC, size, slot_price) == 0:
                (filled,) = world.evm.events("PositionChanged")
                fees += filled.args.fee
    assert not any(close(world, accounts, BTC))
    assert fees > 0
    assert brought - worth(world, accounts) >= Decimal(fees) / WAD / 2  # some were charged there
    world.markets.accrue([BTC], sender=world.keeper)
    assert lines(world).nav > nav


def test_f06_a_spike_of_one_block_pays_no_funding(world: World) -> None:
    """The rate of a position opened and closed at once is stored no longer than it was open."""
    (whale,) = gang(world, "whale", 1, 2_000_000)
    (short,) = gang(world, "short", 1, 100_000)
    world.open_position(short, BTC, -1)
    before = world.assess(short).owed
    orders = [world.order(whale, BTC, size) for size in (150, -150)]
    for order in orders:
        world.commit(order)
    slot = world.due_slot(orders[0])
    for order in orders:
        assert world.execute(order, slot) == 0
    world.wait(3_600)
    with world.evm.trial():
        world.markets.accrue([BTC], sender=world.keeper)
        paid = before - world.assess(short).owed
    # an hour of the funding of its own bitcoin: it is the one that pays
    assert paid < 0
