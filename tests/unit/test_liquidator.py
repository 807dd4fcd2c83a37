"""Liquidator: calls, grace, how much is closed, who gets what of it; SPEC 8.1 to 8.5.

One BTC at 50,000 has maintenance 2,727 and plain initial 4,027; the call line is 40 % of the way,
3,247, the hard level 80 % of maintenance, 2,181.6. Closing a dollar frees 8.05 cents of margin
and costs 1.15 (0.35 spread, 0.75 penalty, 0.05 fee), so what is missing is closed 1 / 0.069 times.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.refusals import refused
from tests.support.staffed import (
    account_of,
    event,
    fill,
    leave,
    lines,
    market_of,
    refuses,
    retune,
    tokens_add_up,
    usd,
)
from tests.support.world import BTC, ETH, SOL, World

ALL = 2**256 - 1
MAINTENANCE, PLAIN, LINE, HARD = usd(2_727), usd(4_027), usd(3_247), usd("2181.6")
GRACE = 120  # of cross accounts; isolated ones have none


@pytest.fixture
def world(staffed: World) -> World:
    return staffed


@pytest.fixture
def shorts(world: World) -> bytes:
    """Two BTC short, so that whoever sells a long is a taker."""
    maker = world.account("maker")
    world.deposit(maker, 100_000)
    fill(world, maker, BTC, -2)
    return maker


@pytest.fixture
def cross(world: World, shorts: bytes) -> bytes:
    """One BTC long in a cross account."""
    account = world.account("trader")
    world.deposit(account, 20_000)
    fill(world, account, BTC, 1)
    return account


@pytest.fixture
def isolated(world: World, shorts: bytes) -> bytes:
    """One BTC long in an isolated bucket."""
    account = world.account("trader", 1)
    world.deposit(account, 20_000)
    fill(world, account, BTC, 1)
    return account


def call(world: World, account: bytes) -> None:
    world.liquidator.call(account, sender=world.keeper)


def liquidate(world: World, account: bytes, instrument: int = BTC, most: int = ALL) -> Any:
    """What Liquidated said; view, preview and return value agree with it."""
    assert world.liquidator.liquidatable(account)
    preview = world.liquidator.preview(account, instrument)
    reward = world.liquidator.liquidate(account, instrument, most, sender=world.keeper)
    told = event(world, "Liquidated").args
    assert (told.account, told.instrument, told.liquidator) == (account, instrument, world.keeper)
    assert told.reward == reward
    if most == ALL:
        assert told.size == preview
    return told


def not_liquidatable(world: World, account: bytes) -> bool:
    """By the view, by the preview and by the act."""
    assert not world.liquidator.liquidatable(account)
    assert world.liquidator.preview(account, BTC) == 0
    with refuses(world, "liquidation: not liquidatable", account):
        world.liquidator.liquidate(account, BTC, ALL, sender=world.keeper)
    return True


def health(world: World, account: bytes) -> tuple[int, int]:
    found = world.assess(account)
    return found.equity, found.maintenance


# -- calls


def test_call__below_the_line_to_the_unit(world: World, cross: bytes) -> None:
    leave(world, cross, LINE)
    with refuses(world, "call: nothing to change", cross):
        call(world, cross)
    leave(world, cross, LINE - 1)
    call(world, cross)
    deadline = world.evm.timestamp + GRACE
    assert event(world, "MarginCalled").args == (cross, 1_190_685, deadline)
    record = account_of(world, cross)
    assert (record.called, record.call_deadline) == (True, deadline)
    with refuses(world, "call: nothing to change", cross):
        call(world, cross)  # and no second one moves its deadline


def test_call__is_cleared_at_the_line(world: World, cross: bytes) -> None:
    leave(world, cross, LINE - 1)
    call(world, cross)
    world.deposit(cross, "0.000001")
    leave(world, cross, LINE)
    call(world, cross)
    assert event(world, "CallCleared").args == (cross,)
    record = account_of(world, cross)
    assert (record.called, record.call_deadline) == (False, 0)


def test_call__of_an_isolated_account_gives_no_time(world: World, isolated: bytes) -> None:
    leave(world, isolated, LINE - 1)
    call(world, isolated)
    assert event(world, "MarginCalled").args.deadline == world.evm.timestamp


def test_call__tells_health_below_zero_too(world: World, cross: bytes) -> None:
    leave(world, cross, -usd("272.7"))
    call(world, cross)
    assert event(world, "MarginCalled").args.health_ppm == -100_000


def test_call__of_debt_alone(world: World) -> None:
    """10 WETH against 20,000: maintenance 1,000, initial 2,000, so the line is 1,400."""
    debtor = world.account("debtor")
    world.add_collateral(debtor, world.weth, 10)
    world.clearinghouse.withdraw(debtor, 20_000 * 10**6, world.keeper, sender=world.owner(debtor))
    world.post({ETH: "2431.81818182"})
    with refuses(world, "call: nothing to change", debtor):
        call(world, debtor)
    world.post({ETH: "2431.81818181"})
    call(world, debtor)


def test_call__of_who_has_nothing_changes_nothing(world: World) -> None:
    nobody = world.account("nobody-yet")
    with refuses(world, "call: nothing to change", nobody):
        call(world, nobody)


def test_call__needs_a_fresh_price_but_not_a_tight_one(world: World, cross: bytes) -> None:
    leave(world, cross, usd(2_000))
    world.post({BTC: 50_000}, confidence=90_000)
    world.evm.warp(121)
    with refuses(world, "oracle: stale price", cross):
        call(world, cross)
    world.post({BTC: 50_000}, confidence=90_000)
    call(world, cross)


# -- when


def test_liquidatable__isolated_below_maintenance_to_the_unit(
    world: World, isolated: bytes
) -> None:
    leave(world, isolated, MAINTENANCE)
    assert not_liquidatable(world, isolated)
    leave(world, isolated, MAINTENANCE - 1)
    assert liquidate(world, isolated).equity == MAINTENANCE - 1


def test_liquidatable__cross_after_the_grace_of_its_call(world: World, cross: bytes) -> None:
    leave(world, cross, MAINTENANCE - usd(1))
    assert not_liquidatable(world, cross)
    call(world, cross)
    assert not_liquidatable(world, cross)
    world.evm.warp(GRACE - 1)
    assert not_liquidatable(world, cross)
    world.evm.warp(1)
    liquidate(world, cross)


def test_liquidatable__cross_below_the_hard_level_at_once(world: World, cross: bytes) -> None:
    leave(world, cross, HARD)
    assert not_liquidatable(world, cross)
    leave(world, cross, HARD - 1)
    liquidate(world, cross)


def test_liquidatable__a_call_alone_is_not_enough(world: World, cross: bytes) -> None:
    leave(world, cross, MAINTENANCE - usd(1))
    call(world, cross)
    world.deposit(cross, 2)
    world.evm.warp(GRACE)
    assert not_liquidatable(world, cross)


def test_liquidatable__follows_the_terms_in_force(world: World, cross: bytes) -> None:
    leave(world, cross, MAINTENANCE - 1)
    with world.evm.trial():
        world.liquidator.set_call_terms(400_000, 800_000, 60, 0, sender=world.governor)
        assert world.liquidator.liquidatable(cross)  # no grace
    world.liquidator.set_call_terms(400_000, 10**6, 60, 60, sender=world.governor)
    assert world.liquidator.liquidatable(cross)  # all below maintenance is hard


def test_liquidatable__follows_the_mode_of_the_account(world: World, cross: bytes) -> None:
    world.clearinghouse.set_mode(cross, 1, sender=world.owner(cross))
    leave(world, cross, MAINTENANCE - 1)
    liquidate(world, cross)


def test_liquidatable__counts_funding_to_this_block(world: World, isolated: bytes) -> None:
    """Shorts are one more than longs: a long is paid funding, and pays the gap fee."""
    leave(world, isolated, MAINTENANCE)
    gained = (217_013_888_888_888 - 15_854_895_991_883) * 100
    world.evm.warp(99)
    world.repost()
    assert health(world, isolated) == (MAINTENANCE + gained, MAINTENANCE)
    leave(world, isolated, MAINTENANCE - 1)
    assert world.liquidator.liquidatable(isolated)


def test_liquidatable__never_at_a_stale_price(world: World, isolated: bytes) -> None:
    leave(world, isolated, usd(1))
    world.evm.warp(121)
    assert world.liquidator.liquidatable(isolated) is False
    with refused("oracle: stale price"):
        world.liquidator.preview(isolated, BTC)
    with refuses(world, "oracle: stale price", isolated):
        world.liquidator.liquidate(isolated, BTC, ALL, sender=world.keeper)


# -- how much


def test_liquidate__restores_plain_initial_margin_and_no_more(
    world: World, cross: bytes, shorts: bytes
) -> None:
    """2,027 are missing: 0.5875... BTC of 29,376.81 are closed, for 337.83 in all."""
    leave(world, cross, usd(2_000))
    before = lines(world)
    told = liquidate(world, cross)
    size = usd("0.587536231884057972")  # 2,027 / 3,450, rounded up
    fee, penalty = usd("14.6884057971014493"), usd("220.3260869565217395")
    reward = usd("88.1304347826086958")
    assert told.size == -size
    assert (told.equity, told.maintenance) == (usd(2_000), MAINTENANCE)
    assert (told.charged, told.reward) == (fee + penalty, reward)
    after = world.assess(cross)
    # above by the margin of a part of a unit of size
    assert 0 <= after.equity - after.plain_initial < 3_450
    assert not_liquidatable(world, cross)
    assert world.size(cross, BTC) == usd(1) - size

    spread = usd("102.8188405797101451")
    assert after.equity == usd(2_000) - spread - fee - penalty
    keeper = world.account(world.keeper)
    assert account_of(world, keeper).cash == reward
    insurance = lines(world).insurance - before.insurance
    assert insurance == fee * 2_000 // 10_000 + penalty - reward
    assert tokens_add_up(world, cross, keeper, shorts)


def test_liquidate__a_short_the_same(world: World) -> None:
    maker, victim = world.account("maker"), world.account("trader", 1)
    for account in (maker, victim):
        world.deposit(account, 50_000)
    fill(world, maker, BTC, 2)
    fill(world, victim, BTC, -1)
    leave(world, victim, usd(2_000))
    assert liquidate(world, victim).size == usd("0.587536231884057972")
    after = world.assess(victim)
    assert 0 <= after.equity - after.plain_initial < 3_450
    assert market_of(world, BTC).forced == usd("0.587536231884057972")


def test_liquidate__a_maker_fee_leaves_the_account_what_it_saves(world: World) -> None:
    """Alone in its market the long balances the pool when it is closed: 0.02 % for 0.05 %."""
    victim = world.account("trader", 1)
    world.deposit(victim, 50_000)
    fill(world, victim, BTC, 1)
    leave(world, victim, usd(2_000))
    told = liquidate(world, victim)
    saved = -told.size * 50_000 * 300 // 10**6
    after = world.assess(victim)
    assert 0 <= after.equity - after.plain_initial - saved < 3_450


@pytest.mark.parametrize(
    ("equity", "size"),
    [(usd("1363.5"), "0.772028985507246377"), (usd("1363.5") - 1, "1"), (0, "1"), (-usd(99), "1")],
)
def test_liquidate__all_of_it_below_half_of_maintenance(
    world: World, isolated: bytes, equity: int, size: str
) -> None:
    leave(world, isolated, equity)
    assert liquidate(world, isolated).size == -usd(size)


def test_liquidate__never_leaves_less_than_the_minimum(world: World, shorts: bytes) -> None:
    """0.01 BTC: at an equity of 14.65 exactly 0.002 of it stay, worth 100."""
    victim = world.account("trader", 1)
    world.deposit(victim, 100)
    fill(world, victim, BTC, "0.01")
    leave(world, victim, usd("14.65"))
    with world.evm.trial():
        assert liquidate(world, victim).size == -usd("0.008")
    leave(world, victim, usd("14.65") - 1)
    assert liquidate(world, victim).size == -usd("0.01")
    assert account_of(world, victim).book == ()


def test_liquidate__in_parts_as_the_liquidator_can(world: World, cross: bytes) -> None:
    leave(world, cross, usd(2_000))
    before = health(world, cross)
    assert liquidate(world, cross, most=usd("0.05")).size == -usd("0.05")
    after = health(world, cross)
    assert after[0] * before[1] > before[0] * after[1]  # h has risen
    assert liquidate(world, cross, most=usd("0.1")).size == -usd("0.1")
    # it is above the hard level by now, but not called
    assert not_liquidatable(world, cross)
    call(world, cross)
    world.wait(GRACE)
    told = liquidate(world, cross, most=usd(100))
    assert told.size > -usd("0.5")
    found = world.assess(cross)
    assert 0 <= found.equity - found.plain_initial < 3_450


def test_liquidate__a_part_may_not_leave_less_than_the_minimum(
    world: World, isolated: bytes
) -> None:
    leave(world, isolated, usd("1363.5") - 1)  # all of it is due
    act = world.liquidator.liquidate
    for most in (0, usd("0.5"), usd(1) - 1):
        with refuses(world, "liquidation: nothing to close", isolated):
            act(isolated, BTC, most, sender=world.keeper)
    assert liquidate(world, isolated, most=usd(1)).size == -usd(1)


def test_liquidate__zero_closes_nothing(world: World, isolated: bytes) -> None:
    leave(world, isolated, usd(2_000))
    with refuses(world, "liquidation: nothing to close", isolated):
        world.liquidator.liquidate(isolated, BTC, 0, sender=world.keeper)


def test_liquidate__of_a_concentrated_position_closes_less_than_it_needs(world: World) -> None:
    """30 BTC where the market takes 20 at once: closing frees more and more slowly."""
    retune(world, BTC, liquidity_usd=1_000_000)
    victim = world.account("trader", 1)
    world.deposit(victim, 1_000_000)
    fill(world, victim, BTC, 30)
    found = world.assess(victim)
    # 78,000 + 3,750 + 2 and 5 % · 1.5 · 0.5 million
    assert found.maintenance == usd(81_752) + usd(37_500)
    leave(world, victim, usd(100_000))
    before = health(world, victim)
    told = liquidate(world, victim)
    # (158,252 − 100,000) / (50,000 · (8.05 % + 5 % · 2 − 1.15 %)), rounded up
    assert told.size == -usd("6.893727810650887574")
    after = world.assess(victim)
    assert after.equity < after.plain_initial
    assert after.equity * before[1] > before[0] * after.maintenance


def test_liquidate__one_of_several_positions(world: World, cross: bytes) -> None:
    """10 ETH more: 4,366.5 of maintenance. BTC is closed for what both are short of."""
    fill(world, cross, ETH, 10)
    leave(world, cross, usd(3_400))
    told = liquidate(world, cross)
    assert told.size == -usd("0.885217391304347827")  # (6,454 − 3,400) / 3,450, rounded up
    assert account_of(world, cross).book == (BTC, ETH)


def test_liquidate__keeps_the_call_until_someone_clears_it(world: World, cross: bytes) -> None:
    leave(world, cross, MAINTENANCE - usd(1))
    call(world, cross)
    world.wait(GRACE)
    liquidate(world, cross)
    assert account_of(world, cross).called
    call(world, cross)
    assert not account_of(world, cross).called


def test_liquidate__penalty_and_fee_take_no_more_than_the_equity_left(
    world: World, isolated: bytes
) -> None:
    """All of it is closed: 175 of spread, 25 of fee, and 10 of 375 are left for the penalty."""
    leave(world, isolated, usd(210))
    told = liquidate(world, isolated)
    assert (told.charged, told.reward) == (usd(35), usd(4))
    assert account_of(world, isolated).cash == 0
    assert world.evm.events("DeficitPaid") == []


# -- who


def test_liquidate__not_ones_own_account(world: World, isolated: bytes, cross: bytes) -> None:
    leave(world, isolated, usd(2_000))
    owner = world.owner(isolated)
    with refuses(world, "liquidation: own account", isolated, cross):
        world.liquidator.liquidate(isolated, BTC, ALL, sender=owner)
    accounts = [isolated]
    assert world.liquidator.liquidate_many.simulate(accounts, [BTC], sender=owner) == 0


def test_liquidate__needs_the_position(world: World, isolated: bytes) -> None:
    leave(world, isolated, usd(2_000))
    for instrument in (ETH, SOL):
        with refuses(world, "account: no such position", isolated):
            world.liquidator.liquidate(isolated, instrument, ALL, sender=world.keeper)
        with refused("account: no such position"):
            world.liquidator.preview(isolated, instrument)
    with refuses(world, "instruments: unknown instrument", isolated):
        world.liquidator.liquidate(isolated, 99, ALL, sender=world.keeper)


def test_liquidate__rewards_add_up_in_bucket_0(world: World, cross: bytes, isolated: bytes) -> None:
    for account in (cross, isolated):
        leave(world, account, usd(2_000))
    rewards = [liquidate(world, account).reward for account in (cross, isolated)]
    assert account_of(world, world.account(world.keeper)).cash == sum(rewards)


# -- many


def test_liquidate_many__skips_what_is_healthy_or_fails(
    world: World, cross: bytes, isolated: bytes, shorts: bytes
) -> None:
    other = world.account("other", 7)
    world.deposit(other, 20_000)
    fill(world, other, SOL, 100)
    stale = world.account("other", 8)
    world.deposit(stale, 20_000)
    fill(world, stale, ETH, 1)
    mine = world.account(world.keeper, 1)
    world.deposit(mine, 20_000)
    fill(world, mine, BTC, "0.1")
    for account in (cross, isolated, other):
        leave(world, account, usd(1_000))
    leave(world, stale, usd(1))
    leave(world, mine, usd(1))
    world.evm.warp(121)
    world.post({BTC: 50_000, SOL: 100})  # and none of ETH

    batch = [
        (shorts, BTC),  # healthy
        (cross, BTC),
        (mine, BTC),  # the liquidator's own
        (isolated, ETH),  # no such position
        (stale, ETH),  # no fresh price
        (isolated, 99),  # no such instrument
        (isolated, BTC),
        (isolated, BTC),  # gone by now
        (world.account("nobody-yet"), BTC),
        (other, SOL),
    ]
    accounts, instruments = [one for one, _ in batch], [one for _, one in batch]
    done = world.liquidator.liquidate_many(accounts, instruments, sender=world.keeper)
    assert done == 3
    told = [one.args for one in world.evm.events("Liquidated")]
    assert [(one.account, one.instrument) for one in told] == [
        (cross, BTC),
        (isolated, BTC),
        (other, SOL),
    ]
    assert {one.liquidator for one in told} == {world.keeper}
    keeper = account_of(world, world.account(world.keeper))
    assert keeper.cash == sum(one.reward for one in told)


def test_liquidate_many__of_nothing(world: World) -> None:
    assert world.liquidator.liquidate_many([], [], sender=world.keeper) == 0


def test_liquidate_many__lengths_agree(world: World, isolated: bytes) -> None:
    leave(world, isolated, usd(1_000))
    for accounts, instruments in (([isolated], []), ([], [BTC]), ([isolated], [BTC, BTC])):
        with refuses(world, "liquidation: lengths differ", isolated):
            world.liquidator.liquidate_many(accounts, instruments, sender=world.keeper)


def test_liquidate_item__is_no_ones_but_a_batchs(world: World, isolated: bytes) -> None:
    leave(world, isolated, usd(1_000))
    with refuses(world, "liquidation: only a batch", isolated):
        world.liquidator.liquidate_item(isolated, BTC, world.keeper, sender=world.keeper)
