"""Decisions: who comes first, what is left alone, what time makes due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core import plan, relays, schedule
from keeper.core.accounts import Account, Position
from keeper.core.fold import Book, Constants
from keeper.core.interest import Credit, Curve
from keeper.core.liquidation import Policy
from keeper.core.losses import Limits
from keeper.core.margin import Haircut
from keeper.core.plan import Health
from keeper.core.protocol.state import (
    Commitment,
    Order,
    Parameters,
    Request,
    Settlement,
    Side,
    Stage,
    Token,
)
from keeper.core.quotes import Feed, StoredPrice
from keeper.core.relays import SignedOrder
from keeper.core.reports import PriceReport
from keeper.core.schedule import DueSamples, Posting, Sample
from keeper.core.terms import FillTerms, LimitTerms, RiskTerms, Terms, UnderlyingTerms
from keeper.core.types import AccountId, Address, FeedId, InstrumentId, Mode, Status
from keeper.core.units import WAD
from keeper.core.volatility import CELL, Estimate

FEED = FeedId(1)
BTC, ALT = InstrumentId(1), InstrumentId(2)
NOW = 1_700_000_000
TERMS = Terms(
    RiskTerms(0, 1, 0, 28_800, 0, 2_000, 7_500, 0),
    FillTerms(10**9 * WAD, 20_000, 200, 500, 10_000, 500, 0),
    LimitTerms(10**6 * WAD, 10**9, 100, 3_500, 7_500, 4_000, 2_000, 1_000),
    UnderlyingTerms(FEED, 52_000, 1_500_000, 10**7, 50_000, 1, 550_000),
)


def parameters(**changes: Any) -> Parameters:
    usual: dict[str, Any] = {
        "settlement_decimals": 6,
        "forced_window_seconds": 7200,
        "upnl_ppm": 800_000,
        "debt_maintenance_ppm": 50_000,
        "debt_initial_ppm": 100_000,
        "debt_cap": 10**5 * WAD,
        "debt_share_ppm": 200_000,
        "debt_curve": Curve(0, 800_000, 0, 0, 0),
        "pool_factor_ppm": 2_000_000,
        "pool_low_ppm": 750_000,
        "losses": Limits(20_000, 30_000, 50_000, 86_400, 10_000 * WAD),
        "calls": Policy(400_000, 800_000, 0, 120),
        "debt_sale_threshold": 1_000 * WAD,
        "debt_discount_ppm": 30_000,
        "debt_grace_seconds": 600,
        "debt_rise_seconds": 300,
        "order_delay_seconds": 2,
        "order_window_seconds": 120,
        "order_buffer_ppm": 50_000,
        "request_delay_seconds": 30,
        "request_window_seconds": 600,
        "exit_fee_ppm": 1_000,
        "exit_factor_ppm": 2_500_000,
        "quorum": 3,
        "reporters": frozenset(),
        "insurance_caps": {},
        "guardian": Address(bytes(20)),
    }
    return Parameters(**usual | changes)


@pytest.fixture
def book() -> Book:
    """One feed with two instruments, one collateral token; the price is 50,000, just now."""
    made = Book(
        Constants(
            parameters=parameters(),
            feeds={FEED: Feed(8, 5, 240, 2_000, 120, 900, 5_000)},
            tokens=[Token(FEED, 8, Haircut(90_000, 90_000, 0, 0), 10**12)],
            places={Address(b"t" * 20): 0},
            instruments={BTC: TERMS, ALT: TERMS},
            settlements={},
        )
    )
    made.now = NOW
    store(made, NOW, 50_000)
    return made


def store(book: Book, slot: int, price: int, gap: int = 5) -> None:
    """A price as if it had been posted."""
    fixed = StoredPrice(price * 10**8, price * 10**8, price * 10**8, 200, slot, gap)
    about = book.feeds[FEED]
    book.ring[FEED, slot // about.grid_seconds % about.ring_length] = fixed
    newest = book.prices[FEED]
    if newest is None or newest.slot < slot:
        book.prices[FEED] = fixed


def account(name: str, mode: Mode = Mode.CROSS) -> AccountId:
    return AccountId(name.encode().ljust(31, b"\0") + bytes([mode is Mode.ISOLATED]))


def hold(book: Book, name: str, cash: float, mode: Mode = Mode.CROSS, **sizes: float) -> AccountId:
    """An account with cash (USD) and positions bought at 50,000."""
    ids = {"btc": BTC, "alt": ALT}
    found = account(name, mode)
    held = tuple(ids[one] for one in sizes)
    book.accounts[found] = Account(cash=int(cash * WAD), book=held, mode=mode)
    for one, size in sizes.items():
        book.positions[found, ids[one]] = Position(int(size * WAD), int(size * 50_000 * WAD))
    return found


def test_survey__leaves_out_who_holds_nothing_and_who_cannot_be_judged(book: Book) -> None:
    hold(book, "rich", 1_000)
    held = hold(book, "held", 10_000, btc=1)
    owing = hold(book, "owing", -5)
    assert {one.account for one in plan.survey(book)} == {held, owing}
    book.now = NOW + 121  # beyond the feed's fresh age: the contracts would refuse
    assert {one.account for one in plan.survey(book)} == {owing}


def test_liquidations__deepest_shortfall_first_then_by_id(book: Book) -> None:
    small = hold(book, "a small one, nearly bust", 5, Mode.ISOLATED, btc=0.05)
    large = hold(book, "b large one, just below", 26_100 * 10 - 5_000, Mode.ISOLATED, btc=100)
    twin = hold(book, "c twin of the small one", 5, Mode.ISOLATED, btc=0.05)
    hold(book, "d healthy", 50_000, Mode.ISOLATED, btc=1)
    targets = plan.liquidations(book, plan.survey(book))
    assert [one.account for one in targets] == [large, small, twin]
    assert targets[0].shortfall > targets[1].shortfall == targets[2].shortfall > 0


def test_liquidations__of_an_account_the_heaviest_position(book: Book) -> None:
    hold(book, "two", 10, btc=0.1, alt=-0.3)
    (target,) = plan.liquidations(book, plan.survey(book))
    assert target.instrument == ALT


def test_liquidations__grace_of_a_call_is_waited_for(book: Book) -> None:
    # between the hard level and maintenance, in cross mode: only after a call's deadline
    found = hold(book, "called", 2_400, btc=1)
    (health,) = plan.survey(book)
    assert health.maintenance * 8 < health.equity * 10 < health.maintenance * 10
    assert plan.liquidations(book, [health]) == []
    book.accounts[found] = replace(book.accounts[found], called=True, call_deadline=NOW + 1)
    assert plan.liquidations(book, plan.survey(book)) == []
    book.now = NOW + 1
    assert [one.account for one in plan.liquidations(book, plan.survey(book))] == [found]


def health(name: str, **figures: Any) -> Health:
    usual: dict[str, Any] = {
        "equity": 100, "maintenance": 90, "line": 95, "liquidatable": False, "grace": 120,
        "called": False, "debt": 0,
    }  # fmt: skip
    return Health(account=account(name), **usual | figures)


def test_calls__below_the_line_deepest_first_then_those_back_above() -> None:
    near, deep = health("near", equity=94), health("deep", equity=91)
    back = health("back", equity=96, called=True)
    others = [
        health("above"),
        health("called already", equity=91, called=True),
        health("too late", equity=10, liquidatable=True),
        health("no grace in its mode", equity=91, grace=0),
    ]
    assert plan.calls([near, *others, back, deep]) == [deep, near, back]


def test_deficits__bare_debt_whatever_dust_lies_beside_it(book: Book) -> None:
    bare = hold(book, "bare", -5)
    hold(book, "still holds", -5, btc=1)
    backed, dusty = hold(book, "backed", -5), hold(book, "dusty", -5)
    for account, amount in ((backed, 10**18), (dusty, 10)):
        book.accounts[account] = replace(book.accounts[account], collateral=1)
        book.collateral[account, 0] = amount
    assert plan.deficits(book, plan.survey(book)) == sorted([bare, dusty])


def test_debt_sales__not_of_whom_the_same_round_liquidates(book: Book) -> None:
    account = hold(book, "both", -200_000, btc=1)
    book.accounts[account] = replace(book.accounts[account], collateral=1)
    book.collateral[account, 0] = 10**8  # one WBTC, 50,000 USD
    book.debt_due[account] = NOW - 900
    found = plan.survey(book)
    assert [one.account for one in found if one.liquidatable] == [account]
    assert plan.debt_sales(book, found, 10**12, 0) == []


def test_debt_marks__when_due_when_sooner_and_when_over(book: Book) -> None:
    over, less, sick = (AccountId(bytes([n]) * 32) for n in (1, 2, 3))
    healths = [
        Health(over, 0, 0, 0, False, 0, False, 2_000 * WAD),
        Health(less, 0, 0, 0, False, 0, False, 900 * WAD),
        Health(sick, 0, 0, 0, True, 0, False, 5 * WAD),
    ]
    assert plan.debt_marks(book, healths) == [over, sick]
    book.debt_due[over] = book.debt_due[less] = book.debt_due[sick] = NOW + 60
    assert plan.debt_marks(book, healths) == [less, sick]
    book.debt_due[sick] = NOW
    assert plan.debt_marks(book, healths) == [less]


def test_debt_sales__wait_for_their_discount(book: Book) -> None:
    account = AccountId(b"b" * 32)
    book.accounts[account] = Account(cash=-2_000 * WAD, collateral=1)
    book.collateral[account, 0] = 10**8
    healths = plan.survey(book)
    assert plan.debt_sales(book, healths, 10**12, WAD) == []  # not marked
    for since, discount in ((NOW + 1, None), (NOW, None), (NOW - 30, 3_000), (NOW - 900, 30_000)):
        book.debt_due[account] = since
        sales = plan.debt_sales(book, healths, 10**12, WAD)
        if discount is None:
            assert sales == []
            continue
        (sale,) = sales
        assert sale.amount == 2_000 * 10**8 * 10**6 // (50_000 * (10**6 - discount))
        assert plan.debt_sales(book, healths, 10**12, WAD, discount + 1) == []


def test_debt_sales__largest_first_within_the_money_there_is(book: Book) -> None:
    big, small = hold(book, "big", -3_000), hold(book, "small", -2_000)
    hold(book, "below the threshold", -900)
    for owner in (big, small, account("below the threshold")):
        book.collateral[owner, 0] = 10**8  # one WBTC, 50,000 USD
        book.accounts[owner] = replace(book.accounts[owner], collateral=1)
        book.debt_due[owner] = NOW - 900
    first, second = plan.debt_sales(book, plan.survey(book), 3_500 * 10**6, 10 * WAD)
    assert (first.account, first.cash) == (big, 3_000 * 10**6)
    assert first.amount == 3_000 * 10**8 * 10**6 // (50_000 * 970_000)
    assert (second.account, second.cash) == (small, 500 * 10**6)
    (only,) = plan.debt_sales(book, plan.survey(book), 3_005 * 10**6, 10 * WAD)
    assert only.account == big


def test_debt_sales__never_more_than_the_collateral_buys(book: Book) -> None:
    owner = hold(book, "big", -60_000)
    book.collateral[owner, 0] = 10**8
    book.accounts[owner] = replace(book.accounts[owner], collateral=1)
    book.debt_due[owner] = NOW - 900
    (sale,) = plan.debt_sales(book, plan.survey(book), 10**12, WAD)
    assert sale.cash == 48_500 * 10**6
    assert sale.amount <= 10**8


def test_debt_accrual__only_of_debt_that_bears_interest_and_after_the_time(book: Book) -> None:
    book.credit = Credit(accrued_at=NOW - 3600, total=5)
    assert not plan.debt_accrual_due(book, 3600)
    book.credit = Credit(accrued_at=NOW - 3600, total=5, bearing=5)
    assert plan.debt_accrual_due(book, 3600)
    assert not plan.debt_accrual_due(book, 3601)


def test_accruals__only_with_interest_and_after_the_time(book: Book) -> None:
    book.markets[BTC] = replace(book.markets[BTC], long_interest=1, accrued_at=NOW - 3600)
    book.markets[ALT] = replace(book.markets[ALT], accrued_at=NOW - 9999)
    assert plan.accruals(book, 3600) == [BTC]
    assert plan.accruals(book, 3601) == []


# orders


def commit(book: Book, due: int, salt: int, window: int = 120) -> bytes:
    order = Order(account("trader"), BTC, WAD, 0, False, 0, salt)
    book.orders[order] = Commitment(due, due + window, FEED, True, 0, 0)
    book.order_ids[bytes([salt])] = order
    return bytes([salt])


def test_due_orders__filled_by_the_first_slot_at_or_after_due(book: Book) -> None:
    store(book, NOW - 10, 49_000)
    store(book, NOW - 5, 49_500)
    first = commit(book, NOW - 12, 1)
    exact = commit(book, NOW - 10, 2)
    later = commit(book, NOW - 9, 3)
    commit(book, NOW + 1, 4)  # not due
    due = schedule.due_orders(book)
    assert [(one.order_id, one.slot) for one in due.fills] == [
        (first, NOW - 10),
        (exact, NOW - 10),
        (later, NOW - 5),
    ]
    assert due.expiries == []
    assert due.wanting == []


def test_due_orders__a_slot_that_another_came_before_does_not_fill(book: Book) -> None:
    store(book, NOW, 50_000, gap=5)  # the slot before it is NOW − 5, and not in the ring
    commit(book, NOW - 7, 1)
    due = schedule.due_orders(book)
    assert due.fills == []
    assert due.wanting == [(FEED, NOW - 7)]


def place(book: Book, salt: int, **fields: Any) -> tuple[bytes, Order]:
    """A stop to sell at 48,000, placed a minute ago."""
    order = Order(account("trader"), BTC, -WAD, 0, False, 0, salt, 2, 48_000 * WAD)
    order = replace(order, **fields)
    book.orders[order] = Commitment(0, 0, FeedId(0), False, 0, 0, placed=NOW - 60)
    book.order_ids[bytes([salt])] = order
    return bytes([salt]), order


def test_due_orders__a_waiting_order_is_triggered_by_the_newest_slot_that_meets_it(
    book: Book,
) -> None:
    store(book, NOW - 40, 40_000)  # too old
    stop, _ = place(book, 1)
    assert schedule.due_orders(book).triggers == []
    store(book, NOW - 20, 47_000)
    store(book, NOW - 10, 46_000)
    store(book, NOW - 5, 49_000)
    due = schedule.due_orders(book)
    assert [(one.order_id, one.slot) for one in due.triggers] == [(stop, NOW - 10)]
    assert (due.fills, due.expiries, due.wanting) == ([], [], [])


def test_due_orders__none_is_triggered_that_would_be_refused(book: Book) -> None:
    store(book, NOW - 5, 40_000)
    place(book, 1, reduce_only=True)  # no position
    _, exit_ = place(book, 2, bracket=5, reduce_only=True)
    book.positions[exit_.account, BTC] = Position(WAD, 50_000 * WAD, 0)
    assert [one.order_id for one in schedule.due_orders(book).triggers] == [bytes([1])]
    book.brackets[exit_.account, 5] = Stage.ENTERED
    assert len(schedule.due_orders(book).triggers) == 2
    book.brackets[exit_.account, 5] = Stage.LEFT
    due = schedule.due_orders(book)
    assert [one.order_id for one in due.triggers] == [bytes([1])]
    assert [one.order_id for one in due.expiries] == [bytes([2])]
    place(book, 3, expiry=NOW)
    late, _ = place(book, 4, expiry=NOW - 1)
    due = schedule.due_orders(book)
    assert [one.order_id for one in due.triggers] == [bytes([1]), bytes([3])]
    assert [one.order_id for one in due.expiries] == [bytes([2]), late]


def test_postings__a_report_that_would_trigger_an_order_is_posted(book: Book) -> None:
    book.now = NOW + 10
    store(book, NOW + 5, 48_100)
    said = {FEED: [PriceReport(FEED, NOW + 10, NOW + 5, 47_980 * 10**8, 0)]}
    policy = Posting(deviation_ppm=10_000, heartbeat_seconds=600)
    assert schedule.postings(book, said, (), policy) == []
    place(book, 1)
    assert schedule.postings(book, said, (), policy) == said[FEED]
    store(book, NOW + 5, 47_900)  # a stored slot triggers it already
    assert schedule.postings(book, said, (), policy) == []


# signed orders


def signed(book: Book, salt: int, fee: int = 0, deadline: int = NOW) -> SignedOrder:
    order = Order(account("trader"), BTC, WAD, 0, False, 0, salt)
    return SignedOrder(order, fee, deadline, Address(b"s" * 20), bytes(65))


def test_relays__what_can_still_be_brought__the_best_paid_first(book: Book) -> None:
    cheap, dear = signed(book, 1, 5), signed(book, 2, 9)
    late, free = signed(book, 3, 9, NOW - 1), signed(book, 4, 4)
    used, live = signed(book, 257, 9), signed(book, 5, 9)
    book.nonces[used.signer, 1] = 0b10
    book.orders[live.order] = Commitment(NOW, NOW, FEED, True, 0, 0)
    found = relays.relays(book, [cheap, dear, late, free, used, live], least_fee=5)
    assert found == [dear, cheap]


def test_due_orders__after_the_window__expire_by_what_the_ring_shows(book: Book) -> None:
    store(book, NOW - 10, 50_000)
    late = commit(book, NOW - 130, 1)
    due = schedule.due_orders(book)
    assert due.fills == []
    assert due.expiries == []  # the ring shows that a slot before NOW − 10 existed
    assert due.wanting == [(FEED, NOW - 130)]
    store(book, NOW - 130, 50_000)
    due = schedule.due_orders(book)
    assert [(one.order_id, one.slot) for one in due.expiries] == [(late, NOW - 130)]


# reports


def said(*slots: tuple[int, int]) -> dict[FeedId, list[PriceReport]]:
    """Reports (slot, price) of the feed, each with the one before as its previous."""
    reports, previous = [], NOW
    for slot, price in slots:
        reports.append(PriceReport(FEED, slot, previous, price * 10**8, 200))
        previous = slot
    return {FEED: reports}


def slots(reports: list[PriceReport]) -> list[int]:
    return [one.slot for one in reports]


def test_postings__every_slot_when_no_deviation_is_set(book: Book) -> None:
    book.now = NOW + 10
    reports = said((NOW + 5, 50_001), (NOW + 10, 50_002), (NOW + 15, 50_003))
    found = schedule.postings(book, reports, [], Posting(0, 60))
    assert slots(found) == [NOW + 5, NOW + 10]  # not the one that is still to come


def test_postings__on_deviation_or_heartbeat_the_newest(book: Book) -> None:
    book.now = NOW + 100
    still = said((NOW + 5, 50_100), (NOW + 10, 50_249))
    assert schedule.postings(book, still, [], Posting(5_000, 60)) == []
    moved = said((NOW + 5, 50_100), (NOW + 10, 50_250))
    assert slots(schedule.postings(book, moved, [], Posting(5_000, 60))) == [NOW + 10]
    quiet = said((NOW + 55, 50_000), (NOW + 60, 50_000))
    assert slots(schedule.postings(book, quiet, [], Posting(5_000, 60))) == [NOW + 60]


def test_postings__older_slots_that_orders_wait_for(book: Book) -> None:
    book.now = NOW + 100
    reports = said((NOW + 5, 50_000), (NOW + 10, 50_000), (NOW + 15, 50_000))
    wanting = [(FEED, NOW + 7), (FEED, NOW + 10), (FEED, NOW + 16)]
    found = schedule.postings(book, reports, wanting, Posting(5_000, 60))
    assert slots(found) == [NOW + 10]


# pool requests


def test_due_samples__the_first_slot_of_each_open_cell_older_first(book: Book) -> None:
    cell = NOW // CELL  # the book's price is 200 s into it
    assert schedule.due_samples(book) == DueSamples([], [])  # nothing was started
    book.estimates[1] = Estimate(0, cell - 2, 1, 1, 0)
    book.estimates[9] = Estimate(0, cell - 2, 1, 1, 0)  # without an instrument
    due = schedule.due_samples(book)
    assert due == DueSamples([], [(FEED, (cell - 1) * CELL), (FEED, cell * CELL)])
    store(book, cell * CELL + 5, 50_000, gap=6)
    assert schedule.due_samples(book).samples == [Sample(1, cell * CELL + 5)]
    store(book, cell * CELL - 100, 50_000, gap=299)
    due = schedule.due_samples(book)
    assert [one.slot for one in due.samples] == [cell * CELL - 100, cell * CELL + 5]
    book.estimates[1] = Estimate(0, cell - 1, 1, 1, 0)
    assert [one.cell for one in schedule.due_samples(book).samples] == [cell]
    book.estimates[1] = Estimate(0, cell, 1, 1, 0)
    assert schedule.due_samples(book) == DueSamples([], [])


def test_due_samples__a_cell_without_a_slot_of_its_own_is_let_go(book: Book) -> None:
    cell = NOW // CELL
    book.estimates[1] = Estimate(0, cell - 2, 1, 1, 0)
    store(book, cell * CELL + 5, 50_000, gap=400)  # the first since the cell before began
    due = schedule.due_samples(book)
    assert due == DueSamples([Sample(1, cell * CELL + 5)], [])


def test_due_requests__at_prices_all_of_a_later_slot_and_fresh(book: Book) -> None:
    due, early = Address(b"a" * 20), Address(b"b" * 20)
    book.requests[Side.ENTRY, due] = Request(due=NOW, deadline=NOW + 600, amount=1)
    book.requests[Side.EXIT, early] = Request(due=NOW + 1, deadline=NOW + 600, amount=1)
    found = schedule.due_requests(book)
    assert (found.entries, found.exits) == ([due], [])
    book.now = NOW + 121
    assert schedule.due_requests(book).entries == []  # the price is no longer fresh
    book.now = NOW + 601
    found = schedule.due_requests(book)
    assert (found.lapsed_entries, found.lapsed_exits) == ([due], [early])


# -- instruments at their end


def delisted(book: Book, at: int, status: Status = Status.DELISTING, value: int = 0) -> None:
    """BTC as governance has it told; ALT goes on."""
    book.settlements[BTC] = Settlement(at=at, value=value)
    book.terms[BTC] = replace(TERMS, fill=replace(TERMS.fill, status=status))


def test_endings__wait_for_the_slot_that_is_the_value(book: Book) -> None:
    delisted(book, NOW + 7)
    assert schedule.endings(book) == schedule.Endings([], [], [])
    book.now = NOW + 8
    assert schedule.endings(book) == schedule.Endings([], [], [(FEED, NOW + 7)])
    store(book, NOW + 10, 51_000)
    book.now = NOW + 10
    assert schedule.endings(book) == schedule.Endings([(BTC, NOW + 10)], [], [])


def test_endings__a_day_later_any_price_will_do(book: Book) -> None:
    delisted(book, NOW + 7)
    book.now = NOW + 7 + 86_399
    assert schedule.endings(book).fixable == []
    book.now += 1
    assert schedule.endings(book) == schedule.Endings([(BTC, 0)], [], [])


def test_endings__whoever_has_a_position_is_settled(book: Book) -> None:
    first, second = hold(book, "a", 10, btc=1), hold(book, "b", 10, btc=-1, alt=1)
    hold(book, "c", 10, alt=1)
    delisted(book, NOW, Status.SETTLING, 50_000 * WAD)
    assert schedule.endings(book) == schedule.Endings([], [(BTC, [first, second])], [])


def test_liquidations__not_of_what_is_settled_anyway(book: Book) -> None:
    hold(book, "only that", -100, btc=-1)
    both = hold(book, "both", 10, btc=5, alt=-0.3)
    delisted(book, NOW, Status.SETTLING, 50_000 * WAD)
    (target,) = plan.liquidations(book, plan.survey(book))
    assert (target.account, target.instrument) == (both, ALT)


def test_due_requests__ask_no_price_of_what_settles(book: Book) -> None:
    delisted(book, NOW, Status.SETTLING, 50_000 * WAD)
    book.terms[ALT] = replace(TERMS, fill=replace(TERMS.fill, status=Status.SETTLING))
    book.settlements[ALT] = Settlement(at=NOW, value=WAD)
    book.requests[Side.ENTRY, Address(b"p" * 20)] = Request(due=NOW, deadline=NOW + 9_999, amount=1)
    book.now = NOW + 5_000  # no feed is fresh
    assert schedule.due_requests(book).entries == [Address(b"p" * 20)]
