"""The life of an instrument to its end: delisting, settling in any order, closed; SPEC 10."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from keeper.core.types import Status
from tests.support.refusals import refused
from tests.support.staffed import account_of, event, lines, market_of, usd
from tests.support.world import BTC, ETH, INSTRUMENTS, USD, WAD, Number, World

DAY = 86_400
FILLED, HALTED = 0, 7
NATIVE = WAD // USD


def delist(world: World, instrument: int = BTC, notice: int = DAY) -> int:
    """Announce the end of an instrument; returns its moment."""
    at = world.evm.timestamp + notice
    world.instruments.delist(instrument, at, sender=world.governor)
    return at


def until(world: World, moment: int, price: Number | None = None) -> int:
    """Time passes up to a moment, which every feed has a slot of; returns the slot."""
    world.evm.warp(moment - world.evm.timestamp)
    for feed in INSTRUMENTS:
        new = price if price is not None and feed == BTC else world.price(feed)
        world.post_price(feed, new, moment)
    return moment


def settle(world: World, price: Number, instrument: int = BTC) -> None:
    """Delist an instrument and fix its value at this price."""
    slot = until(world, delist(world, instrument), price)
    world.markets.settle_instrument(instrument, slot, sender=world.keeper)


def end(world: World, *accounts: bytes, instrument: int = BTC) -> None:
    world.liquidator.settle_positions(list(accounts), instrument, sender=world.keeper)


def trader(world: World, name: str, size: Number, cash: Number = 100_000) -> bytes:
    """An account with a position in BTC."""
    account = world.account(name)
    world.deposit(account, cash)
    world.open_position(account, BTC, size)
    return account


def test_delist__announces_a_moment_and_lets_positions_shrink(world: World) -> None:
    long = trader(world, "long", 2)
    at = delist(world)
    (told,) = world.evm.events("DelistingAnnounced")
    assert told.args == (BTC, at)
    assert world.instruments.status(BTC) == Status.DELISTING
    assert world.instruments.settlement(BTC) == (at, 0)
    with refused("market: not open"):
        world.commit(world.order(long, BTC, 1))
    assert world.trade(long, BTC, -1) == FILLED
    world.open_position(long, ETH, 1)  # others go on


@pytest.mark.parametrize("notice", [0, DAY - 1, 90 * DAY + 1, 2**200])
def test_delist__needs_a_day_and_takes_ninety_at_most(world: World, notice: int) -> None:
    with refused("instruments: notice out of range"):
        delist(world, BTC, notice)
    assert world.instruments.status(BTC) == Status.OPEN
    delist(world, BTC, 90 * DAY)


def test_delist__can_be_moved_and_taken_back_before_its_moment(world: World) -> None:
    delist(world, BTC, 2 * DAY)
    at = delist(world, BTC, DAY)
    assert world.instruments.settlement(BTC) == (at, 0)
    world.instruments.set_status(BTC, 0, sender=world.governor)
    assert world.instruments.settlement(BTC) == (0, 0)
    until(world, at)
    assert world.instruments.status(BTC) == Status.OPEN
    with refused("instruments: not due"):
        world.markets.settle_instrument(BTC, at, sender=world.keeper)


def over(world: World) -> list[tuple[Any, ...]]:
    """Every act of the governor on an instrument that has come to its end."""
    registry = world.instruments
    return [
        (registry.set_status, BTC, 0),
        (registry.delist, BTC, world.evm.timestamp + DAY),
        (registry.set_risk_terms, BTC, 28_800, 0, 0, 7_500),
        (registry.set_fill_terms, BTC, (10**24, 2_500, 200, 500, 10_000, 500)),
        (registry.set_limits, BTC, (WAD, 10**6, 100, 3_500, 7_500, 4_000, 2_000, 1_000)),
    ]


def test_over__no_setter_reaches_an_instrument_at_its_end(world: World) -> None:
    slot = until(world, delist(world))
    for due in (True, False):
        for setter, *arguments in over(world):
            with refused("instruments: instrument is over"):
                setter(*arguments, sender=world.governor)
        if due:
            world.markets.settle_instrument(BTC, slot, sender=world.keeper)
    terms, gaps = world.instruments.terms(BTC), tuple(world.instruments.underlying_gaps(1))
    before = world.instruments.risk_terms(BTC)
    wide = (1, 60_000, 1_500_000, 10**7, 50_000, 1, 550_000)
    world.instruments.set_underlying(1, wide, gaps, sender=world.governor)
    assert world.instruments.risk_terms(BTC) == before  # of its underlying nothing counts any more
    assert world.instruments.terms(BTC)[:3] == terms[:3]


def test_due__nothing_trades_and_nothing_is_liquidated(world: World) -> None:
    long = trader(world, "long", 18)
    order = world.order(long, BTC, -1, reduce_only=True)
    at = delist(world)
    until(world, at - 3)
    world.commit(order)
    until(world, at, 44_000)
    assert world.instruments.status(BTC) == Status.DUE
    assert world.liquidator.liquidatable(long)
    with refused("market: to be settled"):
        world.liquidator.liquidate(long, BTC, 2**255, sender=world.keeper)
    with refused("market: not open"):
        world.commit(world.order(long, BTC, -1, reduce_only=True))
    with refused("instruments: not settling"):
        end(world, long)
    before = account_of(world, long)
    assert world.execute(order, at) == HALTED
    after = account_of(world, long)
    assert (after.reserved, after.cash) == (0, before.cash)


def test_due__the_value_is_that_of_the_first_slot(world: World) -> None:
    at = delist(world)
    until(world, at - 2, 50_500)
    with refused("instruments: not due"):
        world.markets.settle_instrument(BTC, at - 2, sender=world.keeper)
    world.evm.warp(3)
    world.post_price(BTC, 51_000, at + 1)
    world.evm.warp(5)
    world.post_price(BTC, 49_000, at + 6)
    for wrong in (at - 2, at + 6):
        with refused("instruments: not the first slot"):
            world.markets.settle_instrument(BTC, wrong, sender=world.keeper)
    with refused("oracle: slot not in ring"):
        world.markets.settle_instrument(BTC, at, sender=world.keeper)
    world.markets.settle_instrument(BTC, at + 1, sender=world.keeper)
    assert world.evm.events("InstrumentSettled")[0].args == (BTC, usd(51_000))
    assert world.instruments.settlement(BTC) == (world.evm.timestamp, usd(51_000))
    with refused("instruments: not due"):
        world.markets.settle_instrument(BTC, at + 6, sender=world.keeper)


def test_due__a_dead_feed_holds_nobody(world: World) -> None:
    """A day later the last price stands, whatever its age, and no feed is needed to go home."""
    long, short = trader(world, "long", 2), trader(world, "short", -1)
    at = delist(world)
    world.evm.warp(at + DAY - 1 - world.evm.timestamp)
    with refused("oracle: slot not in ring"):
        world.markets.settle_instrument(BTC, at, sender=world.keeper)
    world.evm.warp(1)
    world.markets.settle_instrument(BTC, 0, sender=world.keeper)
    assert world.instruments.settlement(BTC)[1] == usd(50_000)
    end(world, long, short)
    for account in (long, short):
        native = account_of(world, account).cash // NATIVE
        world.clearinghouse.withdraw(
            account, native, world.owner(account), sender=world.owner(account)
        )
        assert account_of(world, account).cash < NATIVE


BOOK = (("a", "3"), ("b", "-2.5"), ("c", "0.7"), ("d", "-1.000000000000000007"), ("e", "11.3"))


def outcome(world: World, order: tuple[bytes, ...], gap: int) -> tuple[Any, ...]:
    """What is left of everybody after positions were settled in this order."""
    with world.evm.trial():
        for account in order:
            end(world, account)
            world.evm.warp(gap)
            world.markets.accrue(list(INSTRUMENTS[:1]), sender=world.keeper)
        assert market_of(world, BTC).mark == market_of(world, BTC).notional_sum == 0
        assert market_of(world, BTC).long_interest == market_of(world, BTC).short_interest == 0
        return [account_of(world, one).cash for one in sorted(order)], lines(world)


def test_settle__any_order_of_a_book_ends_alike_to_the_unit(world: World) -> None:
    """Delisting with open interest: 120 orders of five positions, time passing between them."""
    accounts = [trader(world, name, size, 60_000) for name, size in BOOK]
    world.wait(5_000)
    world.open_position(accounts[2], BTC, -2)
    settle(world, "48123.45678901")
    held = sum(account_of(world, one).cash for one in accounts) + lines(world).total
    first = outcome(world, tuple(accounts), 0)
    for gap, order in enumerate(permutations(accounts)):
        assert outcome(world, order, gap % 7) == first, order
    cash, after = first
    assert sum(cash) + after.total == held  # what positions gained the lines lost, to the unit


def test_settle__is_the_value_and_nothing_else(world: World) -> None:
    long = trader(world, "long", 2)
    settle(world, 52_000)
    before, cash = world.assess(long), account_of(world, long).cash
    _, notional, _ = world.clearinghouse.position(long, BTC)
    end(world, long)
    told = event(world, "PositionChanged").args
    assert (told[2], told[3], told[4], told[5]) == (5, -usd(2), -usd(104_000), 0)
    after = account_of(world, long)
    assert after.cash == cash + usd(104_000) - notional - before.owed == before.equity
    assert (after.book, world.size(long, BTC)) == ((), 0)
    end(world, long)  # again: nothing to do
    assert account_of(world, long) == after


def test_settle__charges_no_funding_and_no_gap_from_then_on(world: World) -> None:
    long = trader(world, "long", 2)
    world.wait(3_000)
    settle(world, 52_000)
    then, owed = market_of(world, BTC), world.assess(long).owed
    assert (then.rate, then.gap, then.easing, then.requirement) == (0, 0, 0, 0)
    world.evm.warp(400 * DAY)
    world.markets.accrue([BTC], sender=world.keeper)
    assert world.assess(long).owed == owed > 0
    now = market_of(world, BTC)
    assert (now.long_index, now.mark) == (then.long_index, then.mark)


def test_settling__margin_uses_the_value_and_no_feed(world: World) -> None:
    long = trader(world, "long", 15)
    world.open_position(long, ETH, 1)
    settle(world, 49_000)
    here = world.assess(long)
    world.post({BTC: 20_000})
    after = world.assess(long)
    assert after.equity + after.owed == here.equity + here.owed
    assert after.maintenance == here.maintenance
    assert here.maintenance < usd(2_500)  # the ETH position's alone
    assert not world.liquidator.liquidatable(long)
    with refused("liquidation: not liquidatable"):
        world.liquidator.liquidate(long, BTC, 2**255, sender=world.keeper)
    # the feed may die: only ETH is asked for
    world.evm.warp(1_000)
    world.post({ETH: 2_500})
    owner = world.owner(long)
    world.clearinghouse.withdraw(long, USD, owner, sender=owner)


def test_settling__a_gain_is_withdrawn_once_it_is_cash(world: World) -> None:
    long = trader(world, "long", 2, 10_000)
    settle(world, 60_000)
    owner, cash = world.owner(long), account_of(world, long).cash
    with refused("account: gain not withdrawable"):
        world.clearinghouse.withdraw(long, cash // NATIVE + 1, owner, sender=owner)
    end(world, long)
    world.clearinghouse.withdraw(long, 25_000 * USD, owner, sender=owner)


def test_settle__a_loss_beyond_margin_is_a_deficit_of_the_instrument(world: World) -> None:
    long = trader(world, "long", 2, 10_000)
    settle(world, 40_000)
    assert world.assess(long).equity < 0
    before = lines(world)
    end(world, long)
    told = event(world, "DeficitPaid").args
    assert (told.account, told.instrument) == (long, BTC)
    assert told.insured == told.deficit > usd(10_000)
    assert account_of(world, long).cash == 0
    assert lines(world).insurance == before.insurance - told.insured


def test_settling__a_dead_feed_does_not_hold_up_the_pool(world: World) -> None:
    trader(world, "long", 2)
    settle(world, 50_000)
    world.request_entry(world.provider, 1_000)
    world.evm.warp(world.terms.pool.request_delay_seconds)
    world.pool.execute([world.provider], [], sender=world.keeper)
    assert world.pool.maxDeposit(world.provider) == 1_000 * USD


def test_settling__orders_left_behind_end_without_charge(world: World) -> None:
    """Also when no slot will ever come: their feed may be what died."""
    long = trader(world, "long", 2)
    at = delist(world)
    until(world, at - 1)
    first, second = (world.order(long, BTC, -1, reduce_only=True) for _ in range(2))
    world.commit(first)
    world.commit(second)
    before = account_of(world, long)
    assert before.reserved > 0
    world.evm.warp(5)
    world.orders.cancel(first.as_argument(), sender=world.owner(long))
    world.evm.warp(10_000)
    world.orders.expire(second.as_argument(), 0, sender=world.keeper)
    after = account_of(world, long)
    assert (after.reserved, after.cash) == (0, before.cash)
