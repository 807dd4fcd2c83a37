"""Nobody enters or leaves the pool around something he sees coming and takes it from who stays.

Each test says what the event was worth to the pool, and what of it somebody with as much money as
the pool itself got who entered for it and left after it.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.attack.gang import gang, lines
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, SOL, USD, WAD, World

DELAY = 30
RICH = 10_000_000  # USD, as much as the pool has


def usd(wad: int) -> Decimal:
    return Decimal(wad) / WAD


def nav(world: World) -> Decimal:
    world.markets.accrue([BTC, ETH, SOL], sender=world.keeper)
    return usd(int(world.pool.nav()))


def gained(world: World, who: str, shares: int) -> Decimal:
    """What leaving brings beyond what was brought in."""
    return Decimal(world.leave_pool(who, shares)) / USD - RICH


def test_p03_a_flash_loan_is_in_and_out_of_nothing(world: World) -> None:
    """In one block nothing is executed, and what was offered does not come back."""
    thief = world.wallet("thief")
    world.request_entry(thief, RICH)
    for entries, exits in (([thief], []), ([], [thief])):
        with refused("pool: no request is due"):
            world.pool.execute(entries, exits, sender=thief)
    assert world.pool.lapse([thief], [], sender=thief) == 0
    assert world.usdc.balanceOf(thief) == 0
    with refused("pool: amount is zero"):
        world.pool.claim_returned(thief, sender=thief)
    # nor by the fees of a trade of his own, sandwiched: those are in NAV before he is in
    world.open_position(gang(world, "trader", 1, 1_000_000)[0], BTC, 100)
    world.wait(DELAY)
    before = nav(world)
    world.pool.execute([thief], [], sender=thief)
    share = world.pool.maxMint(thief)
    assert usd(share * world.pool.nav() // world.pool.totalSupply()) <= RICH
    assert nav(world) - before - RICH < 1


def test_p03_a_close_that_is_seen_coming_pays_its_fee_to_who_was_in(world: World) -> None:
    """6,000 USD of fees; in for the close alone means 30 s of risk before and after it."""
    (trader,) = gang(world, "trader", 1, 1_000_000)
    world.open_position(trader, BTC, 100)
    late = world.wallet("late")
    world.request_entry(late, RICH)
    before = nav(world)
    world.open_position(trader, BTC, -100)
    fee = nav(world) - before
    assert 500 < fee < 6_000, "nothing was tried"
    world.wait(DELAY)
    world.pool.execute([late], [], sender=late)
    shares = world.pool.deposit(RICH * USD, late, sender=late)
    assert gained(world, late, shares) <= 0


@pytest.mark.parametrize("move", [-5_000, 5_000])
def test_p04_a_result_is_shared_before_it_is_realised(world: World, move: int) -> None:
    """Half a million won or lost by the pool on paper: who enters before the close that realises
    it has paid for it, who leaves before it has been paid."""
    (trader,) = gang(world, "trader", 1, 1_000_000)
    world.open_position(trader, BTC, 100)
    world.post({BTC: 50_000 + move})
    who = world.wallet("who")
    shares = world.enter_pool(who, RICH)
    before = nav(world)
    world.open_position(trader, BTC, -100)
    realised = nav(world) - before
    assert abs(realised) < 8_000  # a fee of 2,500 and premium, of 500,000 that were realised
    assert abs(gained(world, who, shares)) < 4_000


def test_p09_a_month_of_funding_is_in_nav_before_anybody_enters(world: World) -> None:
    """Nobody has accrued for thirty days; the longs owe their funding to the pool all the same."""
    (trader,) = gang(world, "trader", 1, 2_000_000)
    world.open_position(trader, BTC, 120)
    world.evm.warp(30 * 86_400)
    who = world.wallet("who")
    world.request_entry(who, RICH)
    stale = usd(int(world.pool.nav()))
    world.wait(DELAY)
    world.pool.execute([who], [], sender=who)
    shares = world.pool.deposit(RICH * USD, who, sender=who)
    funding = nav(world) - stale - RICH
    assert funding > 100_000, "nothing was tried"
    worth = usd(shares * int(world.pool.nav()) // int(world.pool.totalSupply()))
    assert worth - RICH <= 1
    # and the funding of the minute that he stays is his in proportion
    assert gained(world, who, shares) < funding / (30 * 86_400) * 60


def test_p03_a_liquidation_that_is_seen_coming(world: World) -> None:
    """λ and the premium that was held back go to who is in when it happens. Who asks when it is due
    comes after it, and has a part of the premium that eases over two hours."""
    (victim,) = gang(world, "victim", 1, 500_000)
    world.open_position(victim, BTC, 100)
    world.post({BTC: "47_300"})
    in_danger = nav(world)
    world.post({BTC: "46_500"})
    fell = nav(world)
    world.liquidator.liquidate(victim, BTC, 2**255, sender=world.keeper)
    won = nav(world) - fell
    assert 5_000 < won < 40_000
    # a move of the price that makes one due is worth more either way than what it pays
    assert fell - in_danger > 3 * won
    late = world.wallet("late")
    world.request_entry(late, RICH)
    world.wait(DELAY)
    world.pool.execute([late], [], sender=late)
    his = world.pool.deposit(RICH * USD, late, sender=late)
    world.wait(1_800)
    assert gained(world, late, his) < won / 2


def test_p01_nav_moves_by_no_more_than_comes_or_goes(world: World) -> None:
    """In one transaction at a still price: entry, exit, deposit, donation, borrowing."""
    debtor = world.account("debtor")
    owner = world.owner(debtor)
    world.add_collateral(debtor, world.weth, 60)
    start = nav(world)
    with world.evm.trial():
        world.clearinghouse.withdraw(debtor, 90_000 * USD, owner, sender=owner)
        assert abs(nav(world) - start) < Decimal("0.01")
    world.deposit(debtor, 1_000_000)
    world.usdc.mint(world.clearinghouse.address, RICH * USD, sender=world.governor)
    assert abs(nav(world) - start) < Decimal("0.01")
    provider = world.provider
    shares = world.pool.balanceOf(provider) // 3
    world.pool.requestRedeem(shares, provider, provider, sender=provider)
    world.wait(DELAY)
    before = nav(world)
    _, released = world.pool.execute([], [provider], sender=world.keeper)
    assert before - nav(world) == Decimal(released) / USD


def test_p11_the_last_provider_leaves_with_everything(world: World) -> None:
    """Dust of open interest, or of shares, holds nobody back."""
    (trader,) = gang(world, "trader", 1, 1_000)
    world.open_position(trader, SOL, "1.5")
    shares = world.pool.balanceOf(world.provider)
    world.leave_pool(world.provider, shares)
    kept = world.pool.balanceOf(world.provider)
    requirement = usd(lines(world).requirement)
    assert requirement < 50
    assert usd(kept) < requirement * 3
    world.open_position(trader, SOL, "-1.5")
    world.leave_pool(world.provider, world.pool.balanceOf(world.provider))
    assert world.pool.totalSupply() == 0
