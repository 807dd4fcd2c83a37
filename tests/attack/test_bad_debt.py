"""Nobody makes a deficit on purpose that insurance or the pool then pays."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.attack.gang import close, gang, hedged_pairs, lines, worth
from tests.support.world import BTC, ETH, World


@pytest.mark.parametrize("rise", ["1.075", "1.077", "1.079"])
def test_x07_closing_one_leg_by_premium_leaves_no_deficit(world: World, rise: str) -> None:
    """Closes of one side push the premium to open interest / depth, past their margin."""
    shorts, longs = hedged_pairs(world)
    brought = worth(world, shorts + longs)
    insurance = lines(world).insurance
    world.post({BTC: world.price(BTC) * Decimal(rise)})

    assert 2 in close(world, shorts, BTC), "no premium was beyond a margin: nothing was tried"
    close(world, longs[::-1], BTC)

    assert all(world.cash(account) >= 0 for account in shorts + longs)
    assert lines(world).insurance >= insurance
    assert worth(world, shorts + longs) < brought


def test_x07_a_close_may_use_up_all_cash_and_not_more(world: World) -> None:
    (trader,) = gang(world, "trader", 1, 10_000)
    world.open_position(trader, BTC, 1)
    margin = Decimal(world.assess(trader).equity) / 10**18
    order = world.order(trader, BTC, -1, reduce_only=True)
    world.commit(order)
    # the fee is 8 USD, of which the premium that it opened with pays 0.2
    for spare, status in (("7.5", 2), ("8.5", 0)):
        with world.evm.trial():
            slot = world.due_slot(order, 50_000 - margin + Decimal(spare))
            assert world.execute(order, slot) == status
            assert world.size(trader, BTC) == (0 if status == 0 else 10**18)
            assert status == 2 or 0 <= world.cash(trader) < 10**18


def ruin(world: World) -> bytes:
    """A gap of the price leaves a deficit beyond insurance and the pool's slice, 1.1 M USD."""
    (trader,) = gang(world, "ruined", 1, 450_000)
    world.open_position(trader, BTC, 100)
    world.post({BTC: 30_000})
    world.liquidator.liquidate(trader, BTC, 2**255, sender=world.keeper)
    assert world.markets.unpaid(BTC) == -world.cash(trader) > 10**24
    return trader


def test_p05_nobody_leaves_at_a_worth_that_a_deficit_has_taken(world: World) -> None:
    """What a ruined account cannot pay was never the pool's, whatever its line says."""
    provider = world.provider
    before = lines(world)
    trader = ruin(world)
    after = lines(world)
    # it won two millions, and is worth more by what the trader had and insurance has paid
    assert after.pool > before.pool + 1_700_000 * 10**18
    assert after.nav - before.nav < (450_000 + 250_000) * 10**18
    assert after.nav == after.pool - world.markets.unpaid(BTC)

    shares = world.pool.balanceOf(provider) // 2
    left = world.leave_pool(provider, shares)
    assert abs(left * 10**12 - after.nav // 2) < 10**13
    # and who stays has as much: nobody left at the other's cost
    assert abs(lines(world).nav - after.nav // 2) < 10**13

    # paid after all, it is worth again what the line says
    world.deposit(trader, Decimal(-world.cash(trader) // 10**12 + 1) / 10**6)
    world.liquidator.absorb(trader, sender=world.keeper)
    assert lines(world).nav == lines(world).pool


def test_l12_after_a_deficit_everyone_can_leave(world: World) -> None:
    """The last to go finds his tokens: what is shown as somebody's is there."""
    (other,) = gang(world, "other", 1, 20_000)
    world.open_position(other, BTC, "-0.5")
    ruin(world)
    assert close(world, [other], BTC) == [0]
    won = world.cash(other) // 10**12
    assert won > 25_000 * 10**6
    owner = world.owner(other)
    world.leave_pool(world.provider, world.pool.balanceOf(world.provider))
    assert world.pool.pendingRedeemRequest(0, world.provider) == 0
    world.clearinghouse.withdraw(other, won, owner, sender=owner)
    assert world.usdc.balanceOf(owner) == won
    keeper = world.account(world.keeper)
    assert world.cash(keeper) >= 0
    house = lines(world)
    held = world.usdc.balanceOf(world.clearinghouse.address) * 10**12
    assert held >= house.insurance + house.protocol * 10**12 + world.cash(keeper)


def test_l13_a_paid_deficit_does_not_stand_for_the_next_one(world: World) -> None:
    """Paid by a deposit that nobody told of, then another instrument ruins the account."""
    trader = ruin(world)
    owed = -world.cash(trader)
    world.deposit(trader, Decimal(owed // 10**12 + 1) / 10**6 + 20_000)
    world.open_position(trader, ETH, 40)
    world.post({ETH: 1_000})
    insurance = lines(world).insurance

    world.liquidator.liquidate(trader, ETH, 2**255, sender=world.keeper)

    (told,) = world.evm.events("DeficitRecorded")[-1:]
    assert told.args.instrument == ETH
    assert told.args.insurance_paid > 0
    assert lines(world).insurance < insurance
    assert world.markets.unpaid(BTC) == 0
    assert world.markets.unpaid(ETH) == -world.cash(trader)
