"""Nobody makes a deficit on purpose that insurance or the pool then pays."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.attack.gang import close, gang, hedged_pairs, lines, worth
from tests.support.world import BTC, ETH, World

SETTLING = 5  # status of an instrument


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
    """A gap of the price leaves 1.5 M USD that nobody collected."""
    (trader,) = gang(world, "ruined", 1, 450_000)
    world.open_position(trader, BTC, 100)
    world.post({BTC: 30_000})
    world.liquidator.liquidate(trader, BTC, 2**255, sender=world.keeper)
    assert world.cash(trader) == 0
    return trader


def test_p05_nobody_leaves_at_a_worth_that_a_deficit_has_taken(world: World) -> None:
    """What a ruined account cannot pay was never the pool's, whatever its line says."""
    provider = world.provider
    before = lines(world)
    ruin(world)
    after = lines(world)
    # it is worth more by what the trader had and insurance has paid, at most
    assert 0 < after.nav - before.nav < (450_000 + 250_000) * 10**18
    assert after.nav == after.pool

    shares = world.pool.balanceOf(provider) // 2
    left = world.leave_pool(provider, shares)
    assert abs(left * 10**12 - after.nav // 2) < 10**13
    # and who stays has as much: nobody left at the other's cost
    assert abs(lines(world).nav - after.nav // 2) < 10**13


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


def test_l13_a_deficit_is_paid_alike_however_the_position_ends(world: World) -> None:
    """One by liquidation of the whole, one in the end of a book of two: each is recorded once,
    with all that it is made of, and each account ends with nothing."""
    ruined = ruin(world)
    (trader,) = gang(world, "second", 1, 30_000)
    world.open_position(trader, ETH, 40)
    world.open_position(trader, BTC, 1)
    world.post({ETH: 1_000, BTC: 29_000})
    told = []
    for instrument in (ETH, BTC):
        world.liquidator.liquidate(trader, instrument, 2**255, sender=world.keeper)
        told += [one.args for one in world.evm.events("DeficitPaid")]
    assert {one.instrument for one in told} == {ETH, BTC}
    for one in told:
        assert one.insured + one.own + one.sliced + one.shared + one.lost == one.deficit
    lost = {one.instrument: one.deficit for one in told}
    # 60,000 and 1,000 since entry, and the spread of their own close
    assert 50 < lost[ETH] / lost[BTC] < 60
    for account in (ruined, trader):
        assert world.cash(account) == 0
        world.liquidator.absorb(account, sender=world.keeper)
        assert world.evm.events("DeficitPaid") == []


@pytest.mark.parametrize("parts", [1, 4])
def test_l04_splitting_a_book_over_accounts_brings_no_more_of_the_pool(
    world: World, parts: int
) -> None:
    """Long on some accounts, short on others, and a gap: what the longs leave unpaid the shorts
    win. Insurance and pool pay no more of it to many accounts than to one."""
    longs = gang(world, "long", parts, 1_000_000 // parts, bucket=1)
    shorts = gang(world, "short", parts, 1_000_000 // parts, bucket=1)
    for _ in range(2):
        for long, short in zip(longs, shorts, strict=True):
            world.open_position(long, BTC, Decimal(80) / parts)
            world.open_position(short, BTC, Decimal(-80) / parts)
    before, brought = lines(world), worth(world, longs + shorts)
    world.post({BTC: 38_000})
    for long in longs:
        if world.instruments.status(BTC) == SETTLING:
            world.liquidator.settle_positions([long], BTC, sender=world.keeper)
        else:
            world.liquidator.liquidate(long, BTC, 2**255, sender=world.keeper)
    assert world.instruments.status(BTC) == SETTLING
    world.liquidator.settle_positions(shorts, BTC, sender=world.keeper)
    assert lines(world).mark == 0
    assert before.insurance - lines(world).insurance <= 250_000 * 10**18
    used = world.losses.used(BTC, BTC)
    sliced = (used[0] >> 96) & (2**96 - 1)
    assert sliced <= before.nav * 21 // 1_000  # of a worth that has the spread of the first in it
    # together: what insurance and the pool paid for them, whatever they call themselves
    gained = (worth(world, longs + shorts) - brought) * 10**18
    assert gained <= before.insurance - lines(world).insurance + sliced + 10**18 * 1_000
