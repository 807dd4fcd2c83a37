"""What a loser cannot pay was never the pool's: nobody leaves with it, and no
mark moves a share."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.attack.gang import gang
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, SOL, USD, WAD, World

DELAY = 30
FALL = 40_000  # of 50,000: longs with a margin of a tenth are short of as much again
V = 1_000


@pytest.fixture
def loser(world: World) -> bytes:
    """A long of 100 BTC with 450,000, against nobody: what he loses the pool counts as won."""
    (trader,) = gang(world, "loser", 1, 450_000)
    world.open_position(trader, BTC, 100)
    return trader


def short_of(world: World, account: bytes) -> int:
    return max(0, -int(world.assess(account).equity))


def nav(world: World) -> int:
    """As of now: with every instrument accrued."""
    world.markets.accrue([BTC, ETH, SOL], sender=world.keeper)
    return int(world.pool.nav())


def test_p05_nobody_leaves_with_what_a_loser_cannot_pay(world: World, loser: bytes) -> None:
    """Half of the pool asks to leave, the market gaps, nothing is liquidated yet."""
    half = world.pool.balanceOf(world.provider) // 2
    world.pool.requestRedeem(half, world.provider, world.provider, sender=world.provider)
    world.evm.warp(DELAY)
    world.post({BTC: FALL, ETH: 2_500, SOL: 100})
    missing = short_of(world, loser)
    assert missing > 550_000 * WAD

    with world.evm.trial():  # unmarked, he would take half of what is not there
        world.pool.execute([], [world.provider], sender=world.keeper)
        unmarked = world.pool.maxWithdraw(world.provider)
    assert world.pool.mark(loser, sender=world.keeper) == missing
    (event,) = world.evm.events("ShortfallMarked")
    assert tuple(event.args) == (loser, missing, missing)
    world.pool.execute([], [world.provider], sender=world.keeper)
    left = world.pool.maxWithdraw(world.provider)
    assert (unmarked - left) * 10**12 == pytest.approx(missing // 2, rel=1e-6)

    # liquidated, the deficit is out of NAV by itself, and the mark counts no more
    before = nav(world)
    world.liquidator.liquidate(loser, BTC, 2**255, sender=world.keeper)
    world.pool.mark(loser, sender=world.keeper)
    assert world.pool.marked() == 0
    assert world.pool.marked_accounts() == ()
    insured = 255_000 * WAD  # the cap, and the premium that was held back for what is closed
    assert before <= nav(world) <= before + insured


@pytest.mark.parametrize("side", ["entry", "exit"])
def test_p05_a_mark_of_another_price_moves_no_share(world: World, loser: bytes, side: str) -> None:
    """Marked at the bottom, executed after the recovery: 4 % of the pool would go to who enters,
    or stay with who does not leave."""
    other = world.wallet("other")
    mine = world.enter_pool(other, 1_000_000)
    if side == "entry":
        world.request_entry(other, 1_000_000)
    else:
        world.pool.requestRedeem(mine, other, other, sender=other)
    names = ([other], []) if side == "entry" else ([], [other])

    def outcome() -> int:
        world.pool.execute(*names, sender=world.keeper)
        return int(world.pool.maxMint(other) if side == "entry" else world.pool.maxWithdraw(other))

    world.evm.warp(DELAY - 1)
    world.post({BTC: FALL, ETH: 2_500, SOL: 100})
    worth = nav(world)
    with world.evm.trial():
        world.repost()
        world.post({BTC: 50_000})
        fair = outcome()
    assert world.pool.mark(loser, sender=other) > worth // 25
    world.repost()
    world.post({BTC: 50_000})
    assert outcome() == fair
    assert world.pool.marked() == 0


def test_p05_paying_a_shortfall_back_gives_its_payer_less(world: World, loser: bytes) -> None:
    """His own account is short, he marks it, enters at the worth that is left, and restores it."""
    owner = world.owner(loser)
    world.request_entry(owner, 5_000_000)
    world.evm.warp(DELAY)
    world.post({BTC: FALL, ETH: 2_500, SOL: 100})
    missing = world.pool.mark(loser, sender=owner)
    world.pool.execute([owner], [], sender=owner)
    shares = world.pool.deposit(5_000_000 * USD, owner, sender=owner)
    world.deposit(loser, Decimal(missing // 10**12 + 1) / USD)
    world.pool.mark(loser, sender=owner)
    gained = shares * (world.pool.nav() + V) // (world.pool.totalSupply() + V) - 5_000_000 * WAD
    assert 0 < gained < missing * 4 // 10  # his part of the pool, of what he paid


def test_p05_a_haircut_is_no_shortfall(world: World) -> None:
    """Debt between what collateral counts and what it is worth: nothing is missing."""
    debtor = world.account("debtor")
    owner = world.owner(debtor)
    world.add_collateral(debtor, world.weth, 45)
    world.clearinghouse.withdraw(debtor, 85_000 * USD, owner, sender=owner)
    world.post({ETH: "2_000"})  # worth 90,000, counted 79,200
    assert world.assess(debtor).equity < -5_000 * WAD
    before = nav(world)
    assert world.pool.mark(debtor, sender=owner) == 0
    assert nav(world) == before
    world.post({ETH: 800})
    assert world.pool.mark(debtor, sender=world.keeper) > 0


def test_d03_small_shortfalls_do_not_keep_out_a_large_one(world: World, loser: bytes) -> None:
    """The list has eight places; who fills it with dust gives way, and an execution stays cheap."""
    dust = gang(world, "dust", 8, 1_000)
    for account in dust:
        world.open_position(account, BTC, "0.1")
    world.request_entry(world.wallet("entrant"), 1_000)
    world.evm.warp(DELAY)
    world.post({BTC: FALL, ETH: 2_500, SOL: 100})
    for account in dust:
        world.pool.mark(account, sender=world.keeper)
    full = world.pool.marked()
    assert full == sum(short_of(world, one) for one in dust) > 0
    assert world.pool.mark(loser, sender=world.keeper) == short_of(world, loser)
    assert len(world.pool.marked_accounts()) == 8
    smallest = min(dust, key=lambda one: short_of(world, one))
    assert world.pool.shortfall(smallest) == 0
    with refused("pool: marks are full"):
        world.pool.mark(smallest, sender=world.keeper)
    data = world.pool.execute.encode([world.wallet("entrant")], [])
    world.evm.transact(world.pool.address, data, sender=world.keeper)
    assert world.evm.gas_used < 1_500_000


def test_p05_a_mark_needs_a_fresh_price_and_blocks_no_request(world: World, loser: bytes) -> None:
    world.request_entry(world.wallet("entrant"), 1_000)
    world.evm.warp(DELAY)
    world.post({BTC: FALL, ETH: 2_500, SOL: 100})
    with world.evm.trial():
        world.evm.warp(121)
        with refused("oracle: stale price"):
            world.pool.mark(loser, sender=world.keeper)
    world.pool.mark(loser, sender=world.keeper)
    world.pool.execute([world.wallet("entrant")], [], sender=world.keeper)
    assert world.pool.maxMint(world.wallet("entrant")) > 0
