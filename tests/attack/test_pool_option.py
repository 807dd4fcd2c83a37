"""A request to enter or leave is a promise: nobody waits with one and then decides for free.

The attacker owns most of the pool and decides how much of an exit fits: he owes the pool against
collateral, and can repay in the same transaction. Exits that did not fit once waited for the rest
of their window and then lapsed without a fee: that was worth what is computed here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.refusals import refused
from tests.support.world import BTC, USD, WAD, World

DELAY, WINDOW = 30, 600
PROMPT = WINDOW // 8
FEE_PPM = 1_000
MOVE = Decimal("0.02")  # of the price that the pool is long of, while the stored one stands
BELOW_MINIMUM, LAPSED, NO_ROOM = 1, 2, 3


@pytest.fixture
def debtor(world: World) -> bytes:
    """Two millions owed against collateral, by whom owns ten elevenths of the pool."""
    world.debts.set_ceilings(3_000_000 * WAD, 200_000, sender=world.governor)
    world.enter_pool(world.wallet("other provider"), 1_000_000)
    trader = world.account("trader")
    world.deposit(trader, 2_000_000)
    world.open_position(trader, BTC, -100)  # the pool is long, and loses when BTC falls
    debtor = world.account(world.provider)
    world.add_collateral(debtor, world.weth, 1_200)
    borrow(world, debtor)
    return debtor


def borrow(world: World, debtor: bytes) -> None:
    owner = world.owner(debtor)
    world.clearinghouse.withdraw(debtor, 2_000_000 * USD, owner, sender=owner)


def ask(world: World, min_assets: int = 0) -> int:
    """Ask to leave with everything."""
    shares = world.pool.balanceOf(world.provider)
    world.pool.requestRedeem(
        shares, world.provider, world.provider, min_assets, sender=world.provider
    )
    return int(shares)


def price_falls_unseen(world: World) -> tuple[int, int]:
    """(NAV as stored, NAV as it truly is): the market has moved, no slot of it is posted yet."""
    stored = world.pool.nav()
    return stored, stored - int(100 * 50_000 * MOVE) * WAD


def returned(world: World) -> list[Any]:
    return [tuple(event.args)[2:5] for event in world.evm.events("RequestReturned")]


def test_x01_an_exit_that_did_not_fit_does_not_wait_for_a_better_moment(
    world: World, debtor: bytes
) -> None:
    """A keeper executes at the first moment. What did not fit was worth 5 % of it to whom could
    make it fit once the price had moved unposted: 50,000 USD, and a fall that did not come cost
    nothing."""
    shares = ask(world)
    world.wait(DELAY)
    world.pool.execute([], [world.provider], sender=world.keeper)
    rest = world.pool.balanceOf(world.provider)
    assert 0 < rest < shares
    assert returned(world) == [(NO_ROOM, rest, 0)]

    world.evm.warp(100)
    stored, true = price_falls_unseen(world)
    option = rest * (stored - true) // (WAD * world.pool.totalSupply())
    assert option > 49_000, "nothing was tried"
    world.deposit(debtor, 2_000_000)  # now all would fit
    with refused("pool: no request is due"):
        world.pool.execute([], [world.provider], sender=world.provider)
    # asking again leads to a price that nobody knows yet
    ask(world)
    world.wait(DELAY - 1)
    with refused("pool: no request is due"):
        world.pool.execute([], [world.provider], sender=world.provider)


@pytest.mark.parametrize("way", ["no room", "minimum", "lapse"])
def test_x01_who_waits_and_then_does_not_leave_pays(world: World, debtor: bytes, way: str) -> None:
    """No keeper acts. Whichever way out he arranges, it costs what a lapse costs."""
    first = ask(world)
    world.wait(DELAY)
    world.pool.execute([], [world.provider], sender=world.keeper)  # no room is left
    world.pool.redeem(world.pool.maxRedeem(world.provider), world.provider, sender=world.provider)

    least = 0
    if way == "minimum":
        world.deposit(debtor, 2_000_000)
        least = world.pool.convertToAssets(world.pool.balanceOf(world.provider)) * 2
    shares = ask(world, least)
    assert shares < first
    fee = -(-shares * FEE_PPM // 10**6)
    world.wait(DELAY + PROMPT)
    with world.evm.trial():
        if way != "lapse":
            world.pool.execute([], [world.provider], sender=world.provider)
            reason = NO_ROOM if way == "no room" else BELOW_MINIMUM
            assert returned(world) == [(reason, shares, 0)], "a prompt end was not free"
    world.evm.warp(1)
    if way == "lapse":
        world.evm.warp(WINDOW)
        world.pool.lapse([], [world.provider], sender=world.provider)
        reason = LAPSED
    else:
        world.repost()
        world.pool.execute([], [world.provider], sender=world.provider)
        reason = NO_ROOM if way == "no room" else BELOW_MINIMUM
    assert returned(world) == [(reason, shares - fee, fee)]
    assert world.pool.balanceOf(world.provider) == shares - fee
