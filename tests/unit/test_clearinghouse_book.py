"""Clearinghouse, positions: sixteen to a book, moved between buckets, closed by force; SPEC 1.2,
1.3, 5.6, 8.4, 8.6. Wallets stand in for Orders and the Liquidator where they must."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keeper.core.terms import decode
from tests.support.staffed import (
    account_of,
    event,
    fill,
    leave,
    lines,
    market_of,
    nav,
    refuses,
    tokens_add_up,
    usd,
)
from tests.support.world import BTC, ETH, SOL, USD, WORKED, World, fresh

GAP = 15_854_895_991_883  # per BTC and second
RATE = 217_013_888_888_888  # the same, of Q = 1 BTC


@pytest.fixture
def world() -> Iterator[World]:
    """Wallets stand in for Orders and for the Liquidator."""
    with fresh("Orders", "Liquidator", market=WORKED) as built:
        yield built


@pytest.fixture
def trader(world: World) -> bytes:
    return world.account("trader")


@pytest.fixture
def bucket(world: World) -> bytes:
    """An isolated bucket of the trader's."""
    return world.account("trader", 1)


@pytest.fixture
def owner(world: World) -> str:
    return world.wallet("trader")


def more_instruments(world: World, count: int) -> list[int]:
    """Instruments on BTC with the terms of the first."""
    terms = decode(*world.instruments.terms(BTC))
    fees = terms.fill
    fill_terms = (fees.depth_wad, fees.premium_max_ppm, 200, 500, 10_000, 500)
    limit = (terms.limit.oi_cap_wad, 3_200_000, 100, 3_500, 7_500, 4_000, 2_000, 1_000)
    risk = (0, 1, 0, 28_800, 10_000, 2_000, 7_500, 0)
    return [
        int(world.instruments.add_instrument(risk, fill_terms, limit, sender=world.governor))
        for _ in range(count)
    ]


def trade(world: World, account: bytes, instrument: int, size: str | int) -> None:
    """Fill at 50,000, whatever instrument on BTC it is."""
    fill(world, account, instrument, size, 50_000, slot=world.hub.latest_slot(BTC))


# -- the book


def test_book__sixteen_and_no_more(world: World, trader: bytes) -> None:
    world.deposit(trader, 100_000)
    ids = [BTC, *more_instruments(world, 16)]
    for one in ids[:16]:
        trade(world, trader, one, "0.01")
    assert account_of(world, trader).book == tuple(ids[:16])
    assert len(world.clearinghouse.positions(trader)) == 16
    with refuses(world, "fill: margin", trader):
        trade(world, trader, ids[16], "0.01")
    trade(world, trader, ids[7], "0.01")  # more of what it holds


@pytest.mark.parametrize("count", [1, 2, 3, 4, 16])
def test_book__the_last_takes_the_place_of_what_closes(
    world: World, trader: bytes, count: int
) -> None:
    """In either word, at either end; the deadline beside the ids stays."""
    world.deposit(trader, 100_000)
    ids = [BTC, *more_instruments(world, count - 1)]
    for one in ids:
        trade(world, trader, one, "0.01")
    deadline = 2**32 - 1
    world.clearinghouse.set_call(trader, True, deadline, sender=world.stand_ins["Liquidator"])
    for closed in {0, 1, count // 2, count - 1} & set(range(count)):
        with world.evm.trial():
            trade(world, trader, ids[closed], "-0.01")
            left = ids[:-1]
            if closed < count - 1:
                left[closed] = ids[-1]
            record = account_of(world, trader)
            assert record.book == tuple(left)
            assert (record.called, record.call_deadline) == (True, deadline)
            assert world.clearinghouse.position(trader, ids[closed]) == (0, 0, 0)
            # what has closed leaves no id behind: the next one finds an empty place
            trade(world, trader, ids[closed], "0.01")
            assert account_of(world, trader).book == (*left, ids[closed])


def test_book__an_isolated_one_takes_no_second_instrument(world: World, bucket: bytes) -> None:
    world.deposit(bucket, 20_000)
    fill(world, bucket, BTC, 1)
    with refuses(world, "fill: margin", bucket):
        fill(world, bucket, ETH, 1)
    fill(world, bucket, BTC, -1)
    fill(world, bucket, ETH, 1)


# -- move_position


def test_move_position__as_it_is_with_its_funding_settled(
    world: World, trader: bytes, bucket: bytes, owner: str
) -> None:
    world.deposit(trader, 10_000)
    world.deposit(bucket, 5_000)
    fill(world, trader, BTC, 1)
    cash = account_of(world, trader).cash
    opened = market_of(world, BTC).long_index
    world.wait(1_000)
    owed = (RATE + GAP) * 1_000
    before = nav(world)
    world.clearinghouse.move_position(trader, bucket, BTC, sender=owner)
    out, into = (told.args for told in world.evm.events("PositionChanged"))
    index = opened + owed
    cost = usd("50003.125")
    assert out == (trader, BTC, 3, -usd(1), 0, 0, owed, 0, 0, 0, cash - owed, 0)
    assert into == (bucket, BTC, 4, usd(1), 0, 0, 0, usd(1), cost, index, usd(5_000), 0)
    assert account_of(world, trader).cash == cash - owed
    assert (account_of(world, trader).book, account_of(world, bucket).book) == ((), (BTC,))
    assert world.clearinghouse.position(trader, BTC) == (0, 0, 0)
    assert world.clearinghouse.position(bucket, BTC) == (usd(1), cost, index)
    assert market_of(world, BTC).index_sum == index
    assert market_of(world, BTC).long_interest == usd(1)
    assert nav(world) == before
    assert tokens_add_up(world, trader, bucket)


def test_move_position__both_buckets_above_initial_margin_after_it(
    world: World, trader: bytes, bucket: bytes, owner: str
) -> None:
    """The position has lost 3.125, and its new bucket needs 4,037."""
    move = world.clearinghouse.move_position
    world.deposit(trader, 10_000)
    world.deposit(bucket, 4_041)
    fill(world, trader, BTC, 1)
    with world.evm.trial():
        leave(world, bucket, usd("4040.125") - 1)
        with refuses(world, "account: below initial margin", trader, bucket):
            move(trader, bucket, BTC, sender=owner)
    leave(world, bucket, usd("4040.125"))
    with world.evm.trial():
        leave(world, trader, -usd("3.125") - 1)  # its cash is a debt of one unit
        with refuses(world, "account: below initial margin", trader, bucket):
            move(trader, bucket, BTC, sender=owner)
    leave(world, trader, -usd("3.125"))
    move(trader, bucket, BTC, sender=owner)
    assert account_of(world, trader).cash == 0


def test_move_position__the_source_keeps_no_debt_above_the_ceilings(
    world: World, trader: bytes, bucket: bytes, owner: str
) -> None:
    """A gain of 10,000 moves away; what is left owes, though collateral would carry it."""
    world.add_collateral(trader, world.weth, 10)
    world.deposit(bucket, 10_000)
    fill(world, trader, BTC, 1)
    world.post({BTC: 51_000})
    world.debts.set_ceilings(usd(26), 500_000, sender=world.governor)
    move = world.clearinghouse.move_position
    with refuses(world, "account: debt above its cap", trader, bucket):
        move(trader, bucket, BTC, sender=owner)
    world.debts.set_ceilings(usd(27), 500_000, sender=world.governor)
    move(trader, bucket, BTC, sender=owner)
    assert world.debts.total() == -account_of(world, trader).cash > usd(26)


def test_move_position__a_gain_does_not_carry_the_cash_that_stays_behind(
    world: World, trader: bytes, owner: str
) -> None:
    """ETH has gained; BTC moves out and leaves cash below zero."""
    target = world.account("trader", 1)
    world.deposit(trader, 10_000)
    world.deposit(target, 10_000)
    fill(world, trader, BTC, "0.1")
    fill(world, trader, ETH, 10)
    world.post({BTC: 50_000, ETH: 3_000})
    leave(world, trader, usd(4_900))
    assert account_of(world, trader).cash < 0
    with refuses(world, "account: gain not withdrawable", trader, target):
        world.clearinghouse.move_position(trader, target, BTC, sender=owner)


def test_move_position__refusals(world: World, trader: bytes, bucket: bytes, owner: str) -> None:
    move, other = world.clearinghouse.move_position, world.account("other")
    for account in (trader, bucket, other):
        world.deposit(account, 20_000)
    fill(world, trader, BTC, 1)
    fill(world, trader, ETH, 1)
    fill(world, bucket, SOL, 1)
    all_three = trader, bucket, other
    with refuses(world, "account: not the owner", *all_three):
        move(trader, other, BTC, sender=owner)
    with refuses(world, "account: not the owner", *all_three):
        move(trader, other, BTC, sender=world.wallet("other"))
    with refuses(world, "account: same bucket", *all_three):
        move(trader, trader, BTC, sender=owner)
    with refuses(world, "account: no such position", *all_three):
        move(trader, bucket, SOL, sender=owner)
    with refuses(world, "account: no such position", *all_three):
        move(trader, bucket, 99, sender=owner)
    with refuses(world, "risk: isolated holds one", *all_three):
        move(trader, bucket, BTC, sender=owner)
    fill(world, bucket, SOL, -1)
    fill(world, bucket, BTC, "0.1")
    with refuses(world, "account: holds it already", *all_three):
        move(trader, bucket, BTC, sender=owner)
    world.evm.warp(121)
    free = world.account("trader", 2)
    with refuses(world, "oracle: stale price", *all_three):
        move(trader, free, BTC, sender=owner)


def test_move_position__into_a_full_book(world: World, trader: bytes, owner: str) -> None:
    target = world.account("trader", 1)
    world.clearinghouse.set_mode(target, 2, sender=owner)
    world.deposit(trader, 10_000)
    world.deposit(target, 100_000)
    ids = [BTC, *more_instruments(world, 16)]
    for one in ids[:16]:
        trade(world, target, one, "0.01")
    trade(world, trader, ids[16], "0.01")
    with refuses(world, "account: book is full", trader, target):
        world.clearinghouse.move_position(trader, target, ids[16], sender=owner)
    trade(world, target, ids[3], "-0.01")
    world.clearinghouse.move_position(trader, target, ids[16], sender=owner)
    assert account_of(world, target).book[-1] == ids[16]


# -- in the place of the Liquidator


def test_force_fill__closes_pays_and_tells(world: World, trader: bytes) -> None:
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    cash, before = account_of(world, trader).cash, lines(world)
    answer = world.clearinghouse.force_fill(
        trader,
        BTC,
        -usd("0.5"),
        usd(10_000),
        world.keeper,
        sender=world.stand_ins["Liquidator"],
    )
    # 25,000 less 87.5 of spread; fee 5 (maker), penalty 187.5, 75 of it to the liquidator
    assert answer == (usd("192.5"), usd(75))
    told = event(world, "PositionChanged").args
    kept = usd("25001.5625")
    cash += usd("24912.5") - kept - usd("192.5")
    index = market_of(world, BTC).long_index
    assert told == (
        *(trader, BTC, 2, -usd("0.5"), -usd("24912.5"), usd("192.5"), 0),
        *(usd("0.5"), kept, index, cash, 0),
    )
    keeper = world.account(world.keeper)
    assert event(world, "CashChanged").args == (keeper, 8, usd(75), usd(75), 0)
    assert lines(world).insurance == before.insurance + usd(1) + usd("112.5")
    assert tokens_add_up(world, trader, keeper)


def test_force_fill__only_closes(world: World, trader: bytes) -> None:
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    force, desk = world.clearinghouse.force_fill, world.stand_ins["Liquidator"]
    for size in (usd("0.1"), -usd(1) - 1, 0):
        with refuses(world, "account: not a reduction", trader):
            force(trader, BTC, size, 0, world.keeper, sender=desk)
    with refuses(world, "account: not a reduction", trader):
        force(trader, ETH, -1, 0, world.keeper, sender=desk)


def test_set_call__keeps_flag_and_deadline(world: World, trader: bytes) -> None:
    desk = world.stand_ins["Liquidator"]
    world.clearinghouse.set_call(trader, True, 1_900_000_000, sender=desk)
    assert event(world, "BookFlagsChanged").args == (trader, 2, 0, True, 1_900_000_000)
    record, found = account_of(world, trader), world.assess(trader)
    assert (record.called, record.call_deadline) == (True, 1_900_000_000)
    assert (found.called, found.deadline) == (True, 1_900_000_000)
    world.clearinghouse.set_call(trader, False, 1_900_000_000, sender=desk)
    assert event(world, "BookFlagsChanged").args == (trader, 2, 0, False, 0)
    assert account_of(world, trader).call_deadline == 0


def test_absorb__only_where_nothing_else_is_left(world: World, trader: bytes) -> None:
    absorb, desk = world.clearinghouse.absorb, world.stand_ins["Liquidator"]
    world.deposit(trader, 1)
    absorb(trader, sender=desk)  # no debt
    world.add_collateral(trader, world.weth, 1)
    world.clearinghouse.withdraw(
        trader, 101 * USD, world.wallet("trader"), sender=world.owner(trader)
    )
    absorb(trader, sender=desk)  # collateral
    assert world.evm.events() == []
    assert account_of(world, trader).cash == -usd(100)
    other = world.account("other")
    world.deposit(other, 5_000)
    fill(world, other, BTC, 1)
    leave(world, other, -usd(50))
    absorb(other, sender=desk)  # a position
    assert world.evm.events() == []


def test_force_fill__what_a_bare_account_cannot_pay_is_paid_for_it(
    world: World, trader: bytes
) -> None:
    world.deposit(trader, 5_000)
    fill(world, trader, BTC, 1)
    leave(world, trader, -usd(50))
    desk, before = world.stand_ins["Liquidator"], lines(world)
    world.clearinghouse.force_fill(trader, BTC, -usd(1), 0, world.keeper, sender=desk)
    deficit = usd(50) + usd(175)
    assert event(world, "CashChanged").args == (trader, 9, deficit, 0, 0)
    told = [one.args for one in world.evm.events("DeficitPaid")]
    # the position lost the spread and its premium; the rest was charged to the account
    assert [one.instrument for one in told] == [BTC, 0]
    assert sum(one.insured for one in told) == deficit
    assert account_of(world, trader).cash == 0
    assert world.debts.total() == 0
    assert lines(world).insurance == before.insurance - deficit
    assert tokens_add_up(world, trader)


def test_repay__credits_what_the_payer_sends(world: World, trader: bytes) -> None:
    payer, desk = world.wallet("payer"), world.stand_ins["Liquidator"]
    world.add_collateral(trader, world.weth, 1)
    world.clearinghouse.withdraw(trader, 100 * USD, payer, sender=world.owner(trader))
    world.usdc.approve(world.clearinghouse.address, 10**12, sender=payer)
    assert world.clearinghouse.repay(trader, payer, 30 * USD, sender=desk) == usd(30)
    assert event(world, "CashChanged").args == (trader, 10, usd(30), -usd(70), 0)
    assert world.debts.total() == usd(70)
    assert world.usdc.balanceOf(payer) == 70 * USD
    assert tokens_add_up(world, trader)
    with refuses(world, f"ERC20InsufficientBalance({payer}, {70 * USD}, {71 * USD})", trader):
        world.clearinghouse.repay(trader, payer, 71 * USD, sender=desk)
