"""Long silence, a jump of the price, the pool seen as a tool: nothing locks, nothing is won."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest

from tests.attack.gang import close, gang, lines, take_out, worth
from tests.support.refusals import refused
from tests.support.world import BTC, USD, WAD, World

TEN_YEARS = 315_360_000


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_f04_after_ten_years_of_silence_all_can_be_closed(
    world: World, order: tuple[int, ...]
) -> None:
    """In every order, whoever owes more funding than he has, and the rest is paid out."""
    accounts = gang(world, "trader", 3, 200_000)
    for account, size in zip(accounts, (8, -3, -2), strict=True):
        world.open_position(account, BTC, size)
    world.wait(TEN_YEARS)
    for place in order:
        account = accounts[place]
        if world.liquidator.liquidatable(account):
            world.liquidator.liquidate(account, BTC, 2**255, sender=world.keeper)
        else:
            assert close(world, [account], BTC) == [0]
        assert world.size(account, BTC) == 0
    for account in accounts:
        cash = world.cash(account) // 10**12
        if cash > 0:
            owner = world.owner(account)
            world.clearinghouse.withdraw(account, cash, owner, sender=owner)
    assert lines(world).mark == 0


def test_o01_a_pump_gives_away_no_more_than_was_lost(world: World) -> None:
    """Two accounts against each other, the price times ten: what leaves was somebody's to lose."""
    winner, loser = gang(world, "colluder", 2, 40_000)
    brought = worth(world, [winner, loser])
    world.open_position(winner, BTC, "5")
    world.open_position(loser, BTC, "-5")
    for account in (winner, loser):
        take_out(world, account)
    world.post({BTC: 500_000})
    take_out(world, winner)
    taken = world.usdc.balanceOf(world.owner(winner)) + world.usdc.balanceOf(world.owner(loser))
    assert taken * 10**12 <= int(brought * WAD), "an unrealised gain has left"


def test_p03_f18_a_provider_does_not_earn_his_own_fees(world: World) -> None:
    """He brings nine tenths of the pool, trades both ways, and leaves."""
    whale = world.wallet("whale")
    trader = world.account(whale)
    world.deposit(trader, 1_500_000)
    shares = world.enter_pool(whale, 90_000_000)
    # with the tokens on their way: his whole wealth
    before = worth(world, [trader]) + Decimal(90_000_000)
    for size in (100, -200, 200, -100):
        world.open_position(trader, BTC, size)
    left = world.leave_pool(whale, shares)
    assert left > 0
    assert worth(world, [trader]) < before
    assert world.usdc.balanceOf(whale) == left
    assert left < 90_000_000 * USD + 100_000 * USD


def test_p03_entering_for_a_known_fee_comes_too_late(world: World) -> None:
    """A liquidation is seen coming: who asks to enter then gets in after it."""
    (victim,) = gang(world, "victim", 1, 500_000)
    world.open_position(victim, BTC, 100)
    late = world.wallet("late")
    world.post({BTC: 47_300})
    world.request_entry(late, 1_000_000)
    world.liquidator.call(victim, sender=world.keeper)
    with refused("pool: no request is due"):
        world.pool.execute([late], [], sender=world.keeper)
    world.post({BTC: 45_500})
    world.liquidator.liquidate(victim, BTC, 2**255, sender=world.keeper)
    with refused("pool: no request is due"):
        world.pool.execute([late], [], sender=world.keeper)
    world.wait(30)
    world.pool.execute([late], [], sender=world.keeper)
    assert world.pool.maxMint(late) * world.pool.nav() <= 1_000_000 * WAD * (
        world.pool.totalSupply() + 10**4
    )
