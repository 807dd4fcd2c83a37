"""Clearinghouse: cash in, out and between buckets, modes, ceilings of debt; SPEC 1.1, 1.2, 2.

One BTC at 50,000 costs 50,003.125 and 26.37 of fees to open; it holds 4,037 of initial margin
(4,027 and 0.02 % for an uncertain price) and 2,727 of maintenance. A WETH counts 2,200.
"""

from __future__ import annotations

import pytest

from tests.support.refusals import refused
from tests.support.staffed import (
    NOBODY,
    account_of,
    event,
    everything,
    fill,
    leave,
    lines,
    refuses,
    release,
    tokens_add_up,
    usd,
)
from tests.support.world import BTC, ETH, USD, World

UNIT = 10**12  # WAD of a native unit
FEES = usd("26.369863013698630137")  # of a BTC
MONTHS = 10**7  # seconds


@pytest.fixture
def world(staffed: World) -> World:
    return staffed


@pytest.fixture
def trader(world: World) -> bytes:
    return world.account("trader")


@pytest.fixture
def owner(world: World) -> str:
    return world.wallet("trader")


def borrow(world: World, account: bytes, weth: int, cash: int) -> None:
    """Collateral in, and as much cash out of an empty account."""
    world.add_collateral(account, world.weth, weth)
    owner = world.owner(account)
    world.clearinghouse.withdraw(account, cash * USD, owner, sender=owner)


# -- deposit


def test_deposit__credits_what_is_sent_and_tells(world: World, trader: bytes) -> None:
    world.deposit(trader, "1234.567891")
    cash = usd("1234.567891")
    assert event(world, "CashChanged").args == (trader, 1, cash, cash, 0)
    assert account_of(world, trader).cash == cash
    world.deposit(trader, 1)
    assert event(world, "CashChanged").args == (trader, 1, usd(1), cash + usd(1), 0)
    assert tokens_add_up(world, trader)


def test_deposit__anyone_may_for_anyone_and_pays_himself(world: World, trader: bytes) -> None:
    friend = world.wallet("friend")
    world.mint(world.usdc, friend, 5, world.clearinghouse)
    world.clearinghouse.deposit(trader, 5, sender=friend)
    assert account_of(world, trader).cash == 5 * UNIT
    assert world.usdc.balanceOf(friend) == 0


def test_deposit__pays_debt_down(world: World, trader: bytes) -> None:
    borrow(world, trader, 10, 5_000)
    assert world.debts.total() == usd(5_000)
    world.deposit(trader, 2_000)
    assert account_of(world, trader).cash == -usd(3_000)
    assert world.debts.total() == usd(3_000)
    world.deposit(trader, 4_000)
    assert account_of(world, trader).cash == usd(1_000)
    assert world.debts.total() == 0


def test_deposit__needs_no_price(world: World, trader: bytes) -> None:
    world.evm.warp(MONTHS)
    world.deposit(trader, 1)


def test_deposit__refusals(world: World, trader: bytes, owner: str) -> None:
    world.mint(world.usdc, owner, 10, world.clearinghouse)
    deposit = world.clearinghouse.deposit
    nobody = world.account(NOBODY, 7)
    with refuses(world, "account: no owner", nobody):
        deposit(nobody, 1, sender=owner)
    with refuses(world, "account: nothing to move", trader):
        deposit(trader, 0, sender=owner)
    with refuses(world, f"ERC20InsufficientBalance({owner}, 10, 11)", trader):
        deposit(trader, 11, sender=owner)


def test_deposit__cash_ends_where_its_field_ends(world: World, trader: bytes, owner: str) -> None:
    most = (2**111 - 1) // UNIT
    world.mint(world.usdc, owner, most + 1, world.clearinghouse)
    deposit = world.clearinghouse.deposit
    with refuses(world, "word: value too large", trader):
        deposit(trader, most + 1, sender=owner)
    with refuses(world, "", trader):
        deposit(trader, 2**256 - 1, sender=owner)
    deposit(trader, most, sender=owner)
    assert account_of(world, trader).cash == most * UNIT


# -- withdraw


def test_withdraw__sends_to_the_receiver_and_tells(world: World, trader: bytes, owner: str) -> None:
    friend = world.wallet("friend")
    world.deposit(trader, 100)
    world.clearinghouse.withdraw(trader, 40 * USD, friend, sender=owner)
    assert event(world, "CashChanged").args == (trader, 2, -usd(40), usd(60), 0)
    assert world.usdc.balanceOf(friend) == 40 * USD
    assert world.debts.total() == 0
    assert tokens_add_up(world, trader)


def test_withdraw__without_a_position_asks_for_no_price(
    world: World, trader: bytes, owner: str
) -> None:
    world.deposit(trader, 100)
    world.add_collateral(trader, world.weth, 1)
    world.evm.warp(MONTHS)
    world.clearinghouse.withdraw(trader, 100 * USD, owner, sender=owner)
    assert account_of(world, trader).cash == 0


def test_withdraw__of_more_than_there_is(world: World, trader: bytes, owner: str) -> None:
    world.deposit(trader, 100)
    withdraw = world.clearinghouse.withdraw
    with refuses(world, "account: below initial margin", trader):
        withdraw(trader, 100 * USD + 1, owner, sender=owner)
    with refuses(world, "", trader):
        withdraw(trader, 2**255, owner, sender=owner)


def test_withdraw__refusals(world: World, trader: bytes, owner: str) -> None:
    world.deposit(trader, 100)
    withdraw, thief = world.clearinghouse.withdraw, world.wallet("thief")
    for stranger in (thief, world.governor, world.stand_ins["Orders"]):
        with refuses(world, "account: not the owner", trader):
            withdraw(trader, 1, stranger, sender=stranger)
    with refuses(world, "account: nothing to move", trader):
        withdraw(trader, 0, owner, sender=owner)


def test_withdraw__leaves_what_orders_have_reserved(
    world: World, trader: bytes, owner: str
) -> None:
    world.deposit(trader, 10_000)
    hold = world.clearinghouse.hold
    reserved, *_ = hold(trader, BTC, usd(1), False, 0, 0, sender=world.stand_ins["Orders"])
    assert reserved == usd(4_052) + usd("1.369863013698630137")
    most = (usd(10_000) - reserved) // UNIT
    withdraw = world.clearinghouse.withdraw
    with refuses(world, "account: below initial margin", trader):
        withdraw(trader, most + 1, owner, sender=owner)
    world.evm.warp(MONTHS)
    withdraw(trader, most, owner, sender=owner)
    release(world, trader, reserved, 0, 0, NOBODY)
    withdraw(trader, account_of(world, trader).cash // UNIT, owner, sender=owner)


def test_withdraw__with_a_position_down_to_initial_margin(
    world: World, trader: bytes, owner: str
) -> None:
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    leave(world, trader, usd(4_037) + 7 * UNIT)
    withdraw = world.clearinghouse.withdraw
    with refuses(world, "account: below initial margin", trader):
        withdraw(trader, 8, owner, sender=owner)
    withdraw(trader, 7, owner, sender=owner)
    assert world.assess(trader).equity == usd(4_037)


def test_withdraw__with_a_position_counts_funding_to_this_block(
    world: World, trader: bytes, owner: str
) -> None:
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    world.wait(1_000)
    owed = (217_013_888_888_888 + 15_854_895_991_883) * 1_000
    free = account_of(world, trader).cash - usd("3.125") - owed - usd(4_037)
    withdraw = world.clearinghouse.withdraw
    with refuses(world, "account: below initial margin", trader):
        withdraw(trader, free // UNIT + 1, owner, sender=owner)
    withdraw(trader, free // UNIT, owner, sender=owner)


def test_withdraw__an_unrealised_gain_cannot_leave(world: World, trader: bytes, owner: str) -> None:
    """At 60,000 the BTC has gained 9,996.875: margin is plenty, but only cash can leave."""
    world.deposit(trader, 5_000)
    fill(world, trader, BTC, 1)
    world.post({BTC: 60_000})
    cash, owed = account_of(world, trader).cash, world.assess(trader).owed
    assert owed == 217_013_888_888_888 + 15_854_895_991_883  # of one second
    withdraw = world.clearinghouse.withdraw
    with refuses(world, "account: gain not withdrawable", trader):
        withdraw(trader, (cash - owed) // UNIT + 1, owner, sender=owner)
    withdraw(trader, (cash - owed) // UNIT, owner, sender=owner)


def test_withdraw__with_a_position_needs_fresh_and_tight_prices(
    world: World, trader: bytes, owner: str
) -> None:
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    withdraw = world.clearinghouse.withdraw
    world.evm.warp(121)
    with refuses(world, "oracle: stale price", trader):
        withdraw(trader, 1, owner, sender=owner)
    world.post({BTC: 50_000}, confidence=5_001)
    with refuses(world, "oracle: wide confidence", trader):
        withdraw(trader, 1, owner, sender=owner)


# -- debt


def test_debt__against_collateral_down_to_initial_margin(
    world: World, trader: bytes, owner: str
) -> None:
    """10 WETH count 22,000: a debt of 20,000 must leave 2,000."""
    world.add_collateral(trader, world.weth, 10)
    withdraw = world.clearinghouse.withdraw
    with refuses(world, "account: below initial margin", trader):
        withdraw(trader, 20_000 * USD + 1, owner, sender=owner)
    withdraw(trader, 20_000 * USD, owner, sender=owner)
    assert account_of(world, trader).cash == -usd(20_000)
    assert world.debts.total() == usd(20_000)
    assert tokens_add_up(world, trader)
    found = world.assess(trader)
    assert (found.equity, found.equity_initial) == (usd(2_000), usd(2_000))
    assert (found.maintenance, found.plain_initial, found.initial) == (
        usd(1_000),
        usd(2_000),
        usd(2_000),
    )


def test_debt__of_one_account_has_a_ceiling(world: World, trader: bytes, owner: str) -> None:
    world.add_collateral(trader, world.weth, 100)
    withdraw = world.clearinghouse.withdraw
    with refuses(world, "account: debt above its cap", trader):
        withdraw(trader, 100_000 * USD + 1, owner, sender=owner)
    withdraw(trader, 100_000 * USD, owner, sender=owner)


def test_debt__of_all_accounts_has_a_ceiling(world: World, trader: bytes, owner: str) -> None:
    """0.5 % of the pool's 10,000,000."""
    world.debts.set_ceilings(usd(10**6), 5_000, sender=world.governor)
    borrow(world, world.account("other"), 20, 30_000)
    world.add_collateral(trader, world.weth, 20)
    withdraw = world.clearinghouse.withdraw
    with refuses(world, "account: debt above its cap", trader):
        withdraw(trader, 20_000 * USD + 1, owner, sender=owner)
    withdraw(trader, 20_000 * USD, owner, sender=owner)
    assert world.debts.total() == usd(50_000)


def test_debt__ceilings_stop_no_one_who_leaves_none(
    world: World, trader: bytes, owner: str
) -> None:
    borrow(world, trader, 10, 5_000)
    world.debts.set_ceilings(0, 0, sender=world.governor)
    world.deposit(trader, 1)  # pays some back
    world.deposit(trader, 5_000)
    world.clearinghouse.withdraw(trader, 1 * USD, owner, sender=owner)
    withdraw = world.clearinghouse.withdraw
    with refuses(world, "account: debt above its cap", trader):
        withdraw(trader, 1, owner, sender=owner)


# -- move_cash


def test_move_cash__between_buckets_of_one_owner(world: World, trader: bytes, owner: str) -> None:
    bucket = world.account("trader", 5)
    world.deposit(trader, 100)
    world.clearinghouse.move_cash(trader, bucket, 40 * USD, sender=owner)
    out, into = (told.args for told in world.evm.events("CashChanged"))
    assert out == (trader, 3, -usd(40), usd(60), 0)
    assert into == (bucket, 3, usd(40), usd(40), 0)
    assert world.evm.events("Transfer") == []
    assert tokens_add_up(world, trader, bucket)


def test_move_cash__the_source_is_checked_as_in_a_withdrawal(
    world: World, trader: bytes, owner: str
) -> None:
    bucket, move = world.account("trader", 5), world.clearinghouse.move_cash
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    leave(world, trader, usd(4_037) + 7 * UNIT)
    with refuses(world, "account: below initial margin", trader, bucket):
        move(trader, bucket, 8, sender=owner)
    move(trader, bucket, 7, sender=owner)
    # the other way nothing is asked: the source has no position
    world.evm.warp(MONTHS)
    move(bucket, trader, 7, sender=owner)


def test_move_cash__refusals(world: World, trader: bytes, owner: str) -> None:
    bucket, move = world.account("trader", 5), world.clearinghouse.move_cash
    other = world.account("other")
    world.deposit(trader, 100)
    world.deposit(other, 100)
    both = trader, other
    with refuses(world, "account: not the owner", *both):
        move(trader, other, 1, sender=owner)
    with refuses(world, "account: not the owner", *both):
        move(other, trader, 1, sender=owner)
    with refuses(world, "account: same bucket", *both):
        move(trader, trader, 1, sender=owner)
    with refuses(world, "account: nothing to move", *both):
        move(trader, bucket, 0, sender=owner)


# -- set_mode


def test_set_mode__every_bucket_has_its_default(world: World, trader: bytes, owner: str) -> None:
    bucket = world.account("trader", 1)
    assert (world.assess(trader).mode, world.assess(bucket).mode) == (2, 1)
    for account, mode in ((trader, 1), (bucket, 2), (trader, 2)):
        world.clearinghouse.set_mode(account, mode, sender=owner)
        assert event(world, "BookFlagsChanged").args == (account, mode, 0, False, 0)
        assert world.assess(account).mode == mode
        assert account_of(world, account).mode == mode


def test_set_mode__refusals(world: World, trader: bytes, owner: str) -> None:
    set_mode = world.clearinghouse.set_mode
    for mode in (0, 4, 2**256 - 1):
        with refuses(world, "risk: mode not available", trader):
            set_mode(trader, mode, sender=owner)
    with refuses(world, "account: not the owner", trader):
        set_mode(trader, 1, sender=world.wallet("thief"))


def test_set_mode__isolated_holds_one(world: World, trader: bytes, owner: str) -> None:
    world.deposit(trader, 20_000)
    fill(world, trader, BTC, 1)
    world.clearinghouse.set_mode(trader, 1, sender=owner)
    world.clearinghouse.set_mode(trader, 2, sender=owner)
    fill(world, trader, ETH, 1)
    with refuses(world, "risk: isolated holds one", trader):
        world.clearinghouse.set_mode(trader, 1, sender=owner)


def test_set_mode__needs_initial_margin_at_a_fresh_price(
    world: World, trader: bytes, owner: str
) -> None:
    set_mode = world.clearinghouse.set_mode
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    leave(world, trader, usd(4_037))
    set_mode(trader, 1, sender=owner)
    with world.evm.trial():
        world.evm.warp(121)
        with refuses(world, "oracle: stale price", trader):
            set_mode(trader, 2, sender=owner)
    leave(world, trader, usd(4_037) - 1)
    with refuses(world, "account: below initial margin", trader):
        set_mode(trader, 2, sender=owner)


# -- fund_insurance


def test_fund_insurance__anyone_gives_for_good(world: World) -> None:
    giver, before = world.wallet("giver"), lines(world)
    world.mint(world.usdc, giver, 5, world.clearinghouse)
    world.clearinghouse.fund_insurance(5, sender=giver)
    after = lines(world)
    assert after.insurance == before.insurance + 5 * UNIT
    assert event(world, "LedgerChanged").args == (before.pool, after.insurance, before.protocol)
    assert world.usdc.balanceOf(giver) == 0
    with refuses(world, f"ERC20InsufficientBalance({giver}, 0, 1)"):
        world.clearinghouse.fund_insurance(1, sender=giver)


# -- tokens


@pytest.fixture(scope="module")
def hostile() -> World:
    """A deployment over a settlement token that misbehaves when told to."""
    return World(settlement="HostileToken")


REFUSING, SILENT = 2, 1  # how its transfers answer


def manner(world: World, number: int) -> None:
    world.usdc.set_manner(number, sender=world.governor)


def test_tokens__a_transfer_that_answers_false_undoes_the_act(hostile: World) -> None:
    with hostile.evm.trial():
        trader, owner = hostile.account("trader"), hostile.wallet("trader")
        hostile.deposit(trader, 100)
        hostile.mint(hostile.usdc, owner, 100, hostile.clearinghouse)
        manner(hostile, REFUSING)
        before = everything(hostile, trader)
        with refused("token: transfer failed"):
            hostile.clearinghouse.deposit(trader, 1, sender=owner)
        with refused("token: transfer failed"):
            hostile.clearinghouse.withdraw(trader, 1, owner, sender=owner)
        with refused("token: transfer failed"):
            hostile.clearinghouse.fund_insurance(1, sender=owner)
        assert everything(hostile, trader) == before


def test_tokens__a_transfer_that_answers_nothing_counts(hostile: World) -> None:
    with hostile.evm.trial():
        trader, owner = hostile.account("trader"), hostile.wallet("trader")
        manner(hostile, SILENT)
        hostile.deposit(trader, 100)
        hostile.clearinghouse.withdraw(trader, 40 * USD, owner, sender=owner)
        assert account_of(hostile, trader).cash == usd(60)
        assert hostile.usdc.balanceOf(owner) == 40 * USD


def test_tokens__one_that_calls_back_finds_the_door_locked(hostile: World) -> None:
    """The receiver of a withdrawal tries to withdraw again before it has ended."""
    with hostile.evm.trial():
        token, house = hostile.usdc, hostile.clearinghouse
        thief = hostile.account(token.address)  # an account of the token's own
        payer = hostile.wallet("payer")
        hostile.mint(token, payer, 100 * USD, house)
        house.deposit(thief, 100 * USD, sender=payer)
        again = house.withdraw.encode(thief, 60 * USD, token.address)
        token.set_hook(house.address, again, sender=payer)
        token.act(house.address, again, sender=payer)
        assert (token.hook_runs(), token.hook_passed()) == (1, False)
        assert account_of(hostile, thief).cash == usd(40)


def test_tokens__sent_without_a_call_belong_to_nobody(world: World, trader: bytes) -> None:
    world.deposit(trader, 100)
    before = lines(world), account_of(world, trader)
    world.usdc.mint(world.clearinghouse.address, 10**12, sender=world.governor)
    assert (lines(world), account_of(world, trader)) == before
