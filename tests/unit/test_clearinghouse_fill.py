"""Clearinghouse, an order: what it holds, fills and gives back; SPEC 5.13, 6.2, 6.4.

A wallet stands in for Orders. One BTC at 50,000 needs 4,037 of initial margin, 7.8125 for its
part of the open interest, and costs 3.125 of premium, 25 of fee and a day of the gap fee.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.staffed import (
    NOBODY,
    account_of,
    event,
    fill,
    leave,
    lines,
    market_of,
    nav,
    refuses,
    release,
    tokens_add_up,
    usd,
)
from tests.support.world import BTC, ETH, World

GAP_FEE = usd("1.369863013698630137")
FEES = usd(25) + GAP_FEE
RESERVE = usd("4253.35") + GAP_FEE  # 4,027 and 5 %, 25, a day of the gap fee
NEEDED = usd("4044.8125")  # after the fill
UNIT = Decimal(1).scaleb(-18)


@pytest.fixture
def world(staffed: World) -> World:
    return staffed


@pytest.fixture
def trader(world: World) -> bytes:
    return world.account("trader")


def give(world: World, account: bytes, cash: int) -> None:
    """This much cash, to the unit, in an account that has nothing."""
    native = -(-cash // 10**12)
    world.deposit(account, Decimal(native) / 10**6)
    release(world, account, 0, native * 10**12 - cash, 0, NOBODY)
    assert account_of(world, account).cash == cash


def hold(
    world: World,
    account: bytes,
    size: str | int | Decimal,
    instrument: int = BTC,
    *,
    reduce_only: bool = False,
    fee: int = 0,
    buffer_ppm: int = 50_000,
) -> Any:
    """(reserved, lapse charge) of an order; the view says the same before."""
    arguments = account, instrument, usd(size), reduce_only, fee, buffer_ppm
    says = tuple(world.clearinghouse.order_terms(*arguments))
    answer = world.clearinghouse.hold(*arguments, sender=world.stand_ins["Orders"])
    assert (tuple(answer)[:2], says[2] <= 0) == (says[:2], True)
    assert answer[2] == instrument  # its feed
    return tuple(answer)[:2]


# -- hold


@pytest.mark.parametrize("size", [1, -1])
def test_hold__reserves_the_margin_it_adds_and_its_fees(
    world: World, trader: bytes, size: int
) -> None:
    give(world, trader, RESERVE)
    assert hold(world, trader, size) == (RESERVE, usd(25))
    assert event(world, "CashChanged").args == (trader, 4, 0, RESERVE, RESERVE)
    record = account_of(world, trader)
    assert (record.cash, record.reserved) == (RESERVE, RESERVE)


def test_hold__needs_it_to_the_unit(world: World, trader: bytes) -> None:
    give(world, trader, RESERVE - 1)
    with refuses(world, "account: not enough margin", trader):
        hold(world, trader, 1)
    arguments = trader, BTC, usd(1), False, 0, 50_000
    assert world.clearinghouse.order_terms(*arguments)[2] == 1


def test_hold__counts_what_other_orders_have_reserved(world: World, trader: bytes) -> None:
    """The second order is asked for as much as the first: neither is filled yet."""
    give(world, trader, 2 * RESERVE - 1)
    hold(world, trader, 1)
    with refuses(world, "account: not enough margin", trader):
        hold(world, trader, 1)
    hold(world, trader, "0.9")


def test_hold__puts_the_execution_fee_into_escrow(world: World, trader: bytes) -> None:
    give(world, trader, RESERVE + 7)
    with refuses(world, "account: not enough margin", trader):
        hold(world, trader, 1, fee=8)
    hold(world, trader, 1, fee=7)
    assert event(world, "CashChanged").args == (trader, 4, -7, RESERVE, RESERVE)
    assert account_of(world, trader).cash == RESERVE


def test_hold__neither_fee_nor_reserve_comes_out_of_a_gain(world: World, trader: bytes) -> None:
    """At 60,000 the gain alone would carry another order, but cash has to."""
    world.deposit(trader, 5_000)
    fill(world, trader, BTC, 1)
    world.post({BTC: 60_000})
    found = world.assess(trader)
    release(world, trader, 0, found.cash - found.owed - 5, 0, NOBODY)
    with refuses(world, "account: not enough margin", trader):
        hold(world, trader, "0.002", fee=6)
    assert hold(world, trader, "0.002", fee=5)[0] > 0
    with refuses(world, "account: not enough margin", trader):
        hold(world, trader, "0.002")


def test_hold__a_fee_that_makes_debt_asks_its_ceilings(world: World, trader: bytes) -> None:
    world.add_collateral(trader, world.weth, 10)
    world.debts.set_ceilings(5, 500_000, sender=world.governor)
    with refuses(world, "account: debt above its cap", trader):
        hold(world, trader, "0.01", fee=6)
    hold(world, trader, "0.01", fee=5)
    assert world.debts.total() == 5
    hold(world, trader, "0.01")  # without one none is asked


def test_hold__of_a_reduction_is_its_lapse_charge(world: World, trader: bytes) -> None:
    """Even below initial margin, as far as there is equity to promise."""
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    leave(world, trader, usd(25))
    assert hold(world, trader, -1) == (usd(25), usd(25))
    with refuses(world, "account: not enough margin", trader):
        hold(world, trader, "-0.002", reduce_only=True)


def test_hold__of_a_reduction_takes_a_recent_price_without_a_fee(
    world: World, trader: bytes
) -> None:
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    world.evm.warp(121)
    hold(world, trader, "-0.5")
    with refuses(world, "oracle: stale price", trader):
        hold(world, trader, "-0.5", fee=1)
    with refuses(world, "oracle: stale price", trader):
        hold(world, trader, "0.5")


def test_hold__reduce_only_needs_something_to_reduce(world: World, trader: bytes) -> None:
    world.deposit(trader, 20_000)
    with refuses(world, "order: nothing to reduce", trader):
        hold(world, trader, 1, reduce_only=True)
    fill(world, trader, BTC, 1)
    with refuses(world, "order: nothing to reduce", trader):
        hold(world, trader, 1, reduce_only=True)
    assert hold(world, trader, -3, reduce_only=True) == (usd(75), usd(75))


def test_hold__refuses_what_could_not_fill(world: World, trader: bytes) -> None:
    world.deposit(trader, 20_000)
    with refuses(world, "market: size below minimum", trader):
        hold(world, trader, Decimal("0.002") - UNIT)
    with refuses(world, "instruments: unknown instrument", trader):
        hold(world, trader, 1, 4)
    world.instruments.set_status(BTC, 1, sender=world.governor)
    with refuses(world, "market: not open", trader):
        hold(world, trader, 1)


def test_hold__an_isolated_account_holds_one(world: World) -> None:
    bucket = world.account("trader", 1)
    world.deposit(bucket, 20_000)
    fill(world, bucket, BTC, 1)
    with refuses(world, "risk: isolated holds one", bucket):
        hold(world, bucket, 1, ETH)
    hold(world, bucket, 1)


# -- release


def test_release__frees_the_reserve_and_gives_the_fee_back(world: World, trader: bytes) -> None:
    world.deposit(trader, 5_000)
    reserved, _ = hold(world, trader, 1, fee=usd(2))
    release(world, trader, reserved, 0, usd(2), NOBODY)
    assert event(world, "CashChanged").args == (trader, 5, usd(2), usd(5_000), 0)
    assert tokens_add_up(world, trader)


def test_release__charges_for_insurance_and_pays_the_executor(world: World, trader: bytes) -> None:
    world.deposit(trader, 5_000)
    reserved, lapse = hold(world, trader, 1, fee=usd(2))
    before = lines(world)
    release(world, trader, reserved, lapse, usd(2), world.keeper)
    charged, paid = (told.args for told in world.evm.events("CashChanged"))
    keeper = world.account(world.keeper)
    assert charged == (trader, 5, -usd(25), usd(4_973), 0)
    assert paid == (keeper, 7, usd(2), usd(2), 0)
    assert lines(world).insurance == before.insurance + usd(25)
    assert tokens_add_up(world, trader, keeper)


def test_release__who_has_nothing_else_pays_what_cash_he_has(world: World, trader: bytes) -> None:
    world.deposit(trader, 10)
    before = lines(world)
    release(world, trader, 0, usd(25), 0, NOBODY)
    assert event(world, "CashChanged").args == (trader, 5, -usd(10), 0, 0)
    release(world, trader, 0, usd(25), 0, NOBODY)
    assert account_of(world, trader).cash == 0
    assert lines(world).insurance == before.insurance + usd(10)


def test_release__who_has_collateral_owes_the_rest(world: World, trader: bytes) -> None:
    world.deposit(trader, 10)
    world.add_collateral(trader, world.weth, 1)
    release(world, trader, 0, usd(25), 0, NOBODY)
    assert account_of(world, trader).cash == -usd(15)
    assert world.debts.total() == usd(15)
    assert tokens_add_up(world, trader)


def test_release__never_frees_what_is_not_reserved(world: World, trader: bytes) -> None:
    world.deposit(trader, 5_000)
    reserved, _ = hold(world, trader, 1)
    with refuses(world, "", trader):
        release(world, trader, reserved + 1, 0, 0, NOBODY)


# -- fill: what it leaves behind


def test_fill__opens_a_position_and_tells_all_of_it(world: World, trader: bytes) -> None:
    world.deposit(trader, 10_000)
    reserved, _ = hold(world, trader, 1, fee=usd(2))
    told = fill(
        world, trader, BTC, 1, reserved=reserved, execution_fee=usd(2), executor=world.keeper
    )
    cash = usd(9_998) - FEES
    index = market_of(world, BTC).long_index
    cost = usd("50003.125")
    assert told == (trader, BTC, 1, usd(1), cost, FEES, 0, usd(1), cost, index, cash, 0)
    record = account_of(world, trader)
    assert (record.cash, record.reserved, record.book) == (cash, 0, (BTC,))
    assert world.clearinghouse.position(trader, BTC) == (usd(1), cost, index)
    keeper = world.account(world.keeper)
    assert event(world, "CashChanged").args == (keeper, 7, usd(2), usd(2), 0)
    assert tokens_add_up(world, trader, keeper)


def test_fill__a_round_trip_costs_its_fees_and_nav_gets_its_part(
    world: World, trader: bytes
) -> None:
    world.deposit(trader, 10_000)
    before = nav(world)
    fill(world, trader, BTC, 1)
    told = fill(world, trader, BTC, -1)
    record = account_of(world, trader)
    assert (record.cash, record.book) == (usd(10_000) - FEES - usd(10), ())
    assert (told.size, told.notional, told.index, told.cash) == (0, 0, 0, record.cash)
    assert world.clearinghouse.position(trader, BTC) == (0, 0, 0)
    assert nav(world) == before + usd("24.5")
    assert tokens_add_up(world, trader)


def test_fill__a_partial_close_and_a_flip_at_other_prices(world: World, trader: bytes) -> None:
    """2 for 100,012.5; half a BTC at 52,000 gains 1,002.5625. The flip of 3 goes from Q = 1.5 to
    −1.5, without a premium: half of its 150,000 closes what has cost 75,009.375."""
    world.deposit(trader, 20_000)
    fill(world, trader, BTC, 2)
    cash = account_of(world, trader).cash
    told = fill(world, trader, BTC, "-0.5", 52_000, slot=world.repost())
    owed = 2 * (434_027_777_777_777 + 15_854_895_991_883)  # a second of Q = 2
    assert (told.owed, told.notional) == (owed, usd("75009.375"))
    cash += usd("1002.5625") - usd("5.2") - owed
    assert told.cash == cash
    told = fill(world, trader, BTC, -3)
    assert told.fill_notional == -usd(150_000)
    assert (told.size, told.notional) == (-usd("1.5"), -usd(75_000))
    fees = usd("15") + usd("37.5") + usd("2.054794520547945206")
    assert told.fee == fees
    assert told.cash == cash - usd("9.375") - fees
    assert tokens_add_up(world, trader)


def test_fill__reduce_only_takes_no_more_than_there_is(world: World, trader: bytes) -> None:
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    told = fill(world, trader, BTC, -3, reduce_only=True)
    assert (told.size_delta, told.size) == (-usd(1), 0)


def test_fill__reduce_only_with_nothing_to_reduce(world: World, trader: bytes) -> None:
    world.deposit(trader, 20_000)
    for size in (1, -1):
        with refuses(world, "fill: nothing to reduce", trader):
            fill(world, trader, BTC, size, reduce_only=True)
    fill(world, trader, BTC, 1)
    with refuses(world, "fill: nothing to reduce", trader):
        fill(world, trader, BTC, 1, reduce_only=True)


def test_fill__passes_on_price_and_limit(world: World, trader: bytes) -> None:
    world.deposit(trader, 20_000)
    with refuses(world, "fill: price", trader):
        fill(world, trader, BTC, 1, acceptable=usd("50003.125") - 1)
    with refuses(world, "fill: limit", trader):
        fill(world, trader, BTC, Decimal("0.002") - UNIT)
    fill(world, trader, BTC, 1, acceptable=usd("50003.125"))


# -- fill: margin after it


@pytest.mark.parametrize("size", [1, -1])
def test_fill__needs_initial_margin_to_the_unit(world: World, trader: bytes, size: int) -> None:
    give(world, trader, NEEDED + FEES + usd("3.125") - 1)
    with refuses(world, "fill: margin", trader):
        fill(world, trader, BTC, size)
    other = world.account("other")
    give(world, other, NEEDED + FEES + usd("3.125"))
    fill(world, other, BTC, size)


def test_fill__counts_what_other_orders_have_reserved(world: World, trader: bytes) -> None:
    give(world, trader, NEEDED + FEES + usd("3.125") + usd("0.999999999999999999"))
    hold(world, trader, "0.01", fee=0)
    reserved = account_of(world, trader).reserved
    with refuses(world, "fill: margin", trader):
        fill(world, trader, BTC, 1)
    assert usd(1) < reserved
    fill(world, trader, BTC, 1, reserved=reserved)


def test_fill__margin_holds_at_the_newest_price_too(world: World, trader: bytes) -> None:
    """Bought at 50,000 on an older slot, while the newest price is 48,000: 2,003.125 are lost,
    and 3,744 + 120 + 2 + 9.6 + 7.5 are needed."""
    slot = world.repost()
    world.post({BTC: 48_000})
    needed = usd("3883.1") + usd("2003.125") + FEES
    give(world, trader, needed - 1)
    with refuses(world, "fill: margin", trader):
        fill(world, trader, BTC, 1, 50_000, slot=slot)
    other = world.account("other")
    give(world, other, needed)
    fill(world, other, BTC, 1, 50_000, slot=slot)


def test_fill__margin_holds_at_the_price_of_an_older_slot_too(world: World, trader: bytes) -> None:
    """Bought at 50,000 on an older slot; at the newest price of 60,000 it has gained much."""
    slot = world.repost()
    world.post({BTC: 60_000})
    needed = usd(4_037) + usd("9.375") + usd("3.125") + FEES  # the crowd counts at 60,000
    give(world, trader, needed - 1)
    with refuses(world, "fill: margin", trader):
        fill(world, trader, BTC, 1, 50_000, slot=slot)
    other = world.account("other")
    give(world, other, needed)
    fill(world, other, BTC, 1, 50_000, slot=slot)


def test_fill__at_the_newest_slot_only_its_median_counts(world: World, trader: bytes) -> None:
    """A buy pays the slot's high; the state has its median, and margin is asked there alone."""
    lost = usd(50) + usd("3.128125")
    fees = usd("25.025") + usd("1.371232876712328768")
    needed = NEEDED + lost + fees
    give(world, trader, needed - 1)
    with refuses(world, "fill: margin", trader):
        fill(world, trader, BTC, 1, 50_050)
    other = world.account("other")
    give(world, other, needed)
    fill(world, other, BTC, 1, 50_050)


def test_fill__needs_tight_prices_of_the_whole_book(world: World, trader: bytes) -> None:
    world.deposit(trader, 20_000)
    fill(world, trader, ETH, 1)
    world.evm.warp(121)
    world.post({BTC: 50_000})
    with refuses(world, "oracle: stale price", trader):
        fill(world, trader, BTC, 1)
    fill(world, trader, ETH, "-0.5", 2_500)  # recent enough to reduce


# -- fill: reductions


def test_fill__a_reduction_below_initial_margin_that_helps(world: World, trader: bytes) -> None:
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    leave(world, trader, usd(1_000))  # far below maintenance
    told = fill(world, trader, BTC, "-0.5")
    assert told.size == usd("0.5")


def test_fill__a_reduction_that_lowers_health_is_refused(world: World, trader: bytes) -> None:
    """A tenth sold at 45,000 on an older slot loses 500 of 2,726."""
    world.deposit(trader, 20_000)
    fill(world, trader, BTC, 1)
    slot = world.post({BTC: 45_000})
    world.post({BTC: 50_000})
    leave(world, trader, usd(2_726))
    with refuses(world, "fill: margin", trader):
        fill(world, trader, BTC, "-0.1", 45_000, slot=slot)


def test_fill__of_such_a_reduction_margin_must_hold_at_both_prices(
    world: World, trader: bytes
) -> None:
    """500 of 4,800 lost: enough is left at 50,000, not at the slot's 45,000."""
    world.deposit(trader, 20_000)
    fill(world, trader, BTC, 1)
    slot = world.post({BTC: 45_000})
    newest = world.post({BTC: 50_000})
    leave(world, trader, usd(4_800))
    with refuses(world, "fill: margin", trader):
        fill(world, trader, BTC, "-0.1", 45_000, slot=slot)
    fill(world, trader, BTC, "-0.1", 45_000, slot=newest)


def test_fill__above_initial_margin_any_reduction_may(world: World, trader: bytes) -> None:
    """0.05 ETH sold for 100 instead of 125 beside a BTC: health falls, 4,037 must be left.
    2,500/76,800,000 of premium were lost already, 2,000/76,800,000 come back; the fee is 0.02."""
    world.deposit(trader, 20_000)
    fill(world, trader, BTC, 1)
    fill(world, trader, ETH, "0.05")
    slot = world.post({ETH: 2_000})
    world.post({BTC: 50_000, ETH: 2_500})
    lost = usd("25.019973958333333334")
    with world.evm.trial():
        leave(world, trader, usd(4_037) + lost - 1)
        with refuses(world, "fill: margin", trader):
            fill(world, trader, ETH, "-0.05", 2_000, slot=slot)
    leave(world, trader, usd(4_037) + lost)
    before = world.assess(trader)
    fill(world, trader, ETH, "-0.05", 2_000, slot=slot)
    after = world.assess(trader)
    assert after.equity == usd(4_037)
    assert after.equity * before.maintenance < before.equity * after.maintenance


def test_fill__closing_the_only_position_needs_cash_to_be_left(world: World, trader: bytes) -> None:
    """Sold at 45,000 it brings 45,002.8125 of 50,003.125, and pays 9; nothing else is asked."""
    world.deposit(trader, 10_000)
    fill(world, trader, BTC, 1)
    slot = world.post({BTC: 45_000})
    world.post({BTC: 50_000})
    left = usd("5006.1875")  # of equity at 50,000, where the position has lost its 3.125
    with world.evm.trial():
        leave(world, trader, left - 1)
        with refuses(world, "fill: margin", trader):
            fill(world, trader, BTC, -1, 45_000, slot=slot)
    leave(world, trader, left)
    assert fill(world, trader, BTC, -1, 45_000, slot=slot).cash == 0


def test_fill__closing_beside_collateral_or_another_position_compares_health(
    world: World, trader: bytes
) -> None:
    world.deposit(trader, 20_000)
    fill(world, trader, BTC, 1)
    fill(world, trader, ETH, 10)
    slot = world.post({BTC: 45_000})
    world.post({BTC: 50_000})
    leave(world, trader, usd(4_400))  # maintenance is 4,366.5
    with refuses(world, "fill: margin", trader):
        fill(world, trader, BTC, -1, 45_000, slot=slot)
    assert fill(world, trader, BTC, -1).size == 0


def test_fill__a_debtor_with_collateral_may_close_at_a_fair_price(
    world: World, trader: bytes
) -> None:
    world.add_collateral(trader, world.weth, 2)
    fill(world, trader, BTC, "0.5")
    world.post({BTC: 47_000})
    told = fill(world, trader, BTC, "-0.5")
    assert told.cash < 0 == told.size
    assert world.debts.total() == -told.cash
    assert tokens_add_up(world, trader)
