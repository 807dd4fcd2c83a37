"""What time and prices make due: reports to post, orders to fill or expire, pool requests, samples
of volatility."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from keeper.core.fold import Book
from keeper.core.protocol import orders
from keeper.core.protocol.lifecycle import LATE
from keeper.core.protocol.state import Order, Side, Stage
from keeper.core.reports import PriceReport
from keeper.core.types import AccountId, Address, FeedId, InstrumentId, Status
from keeper.core.units import PPM, to_wad
from keeper.core.volatility import CELL


def filling_slot(book: Book, feed: FeedId, due: int, last: int) -> int | None:
    """The stored slot that is the first at or after `due`, looked for up to `last`."""
    about = book.feeds[feed]
    grid = about.grid_seconds
    slot = due + -due % grid
    while slot <= last:
        fixed = book.ring[feed, slot // grid % about.ring_length]
        if fixed is not None and fixed.slot == slot:
            return slot if fixed.first_since(due) else None
        slot += grid
    return None


def _may_trigger(book: Book, order: Order) -> bool:
    """Whether a waiting order could be triggered, if only its price were here (SPEC 6.7, 6.8)."""
    if orders.is_dead(book, order):
        return False
    if order.bracket:
        needed = Stage.ENTERED if order.reduce_only else Stage.NONE
        if book.brackets[order.account, order.bracket] is not needed:
            return False
    held = book.positions[order.account, order.instrument].size
    return not order.reduce_only or held * order.size < 0


def triggering_slot(book: Book, order: Order, placed: int) -> int | None:
    """The newest stored slot that triggers a waiting order now; None when there is none."""
    feed = book.listed(order.instrument).underlying.feed
    stored, about = book.prices[feed], book.feeds[feed]
    if stored is None or not _may_trigger(book, order):
        return None
    oldest = max(placed + 1, book.now - orders.TRIGGER_AGE)
    for slot in range(stored.slot, oldest - 1, -about.grid_seconds):
        shown = book.ring[feed, slot // about.grid_seconds % about.ring_length]
        if shown is not None and shown.slot == slot:
            median = to_wad(shown.median, about.decimals)
            if orders.is_met(order, median, shown.conf_ppm):
                return slot
    return None


def awaited(book: Book, said: Mapping[FeedId, Sequence[PriceReport]]) -> set[FeedId]:
    """Feeds whose newest report would trigger an order, which no stored slot does."""
    found = set()
    for _, order, commitment in book.live_orders():
        if not commitment.waits or not _may_trigger(book, order):
            continue
        feed = book.listed(order.instrument).underlying.feed
        reports = said.get(feed)
        if not reports or triggering_slot(book, order, commitment.placed) is not None:
            continue
        last = reports[-1]
        median = to_wad(last.price, book.feeds[feed].decimals)
        if orders.is_met(order, median, last.confidence):
            found.add(feed)
    return found


@dataclass(frozen=True, slots=True)
class Fill:
    """An order and the slot that ends or triggers it."""

    order_id: bytes
    order: Order
    slot: int


@dataclass(frozen=True, slots=True)
class DueOrders:
    """Orders by what they need now."""

    fills: list[Fill]
    expiries: list[Fill]  # their window is over, or nothing can trigger them any more
    triggers: list[Fill]  # they wait for a price, and this slot shows it
    wanting: list[tuple[FeedId, int]]  # (feed, due) of orders whose slot is not posted yet


def due_orders(book: Book) -> DueOrders:
    """Orders that can end at the stored prices, oldest due first, and what the others want."""
    found = DueOrders([], [], [], [])
    for order_id, order, commitment in book.live_orders():
        if commitment.waits:
            if orders.is_dead(book, order):
                found.expiries.append(Fill(order_id, order, 0))
            elif (shown := triggering_slot(book, order, commitment.placed)) is not None:
                found.triggers.append(Fill(order_id, order, shown))
            continue
        if commitment.due > book.now:
            break  # they are in order
        late = book.now > commitment.deadline
        slot = filling_slot(book, commitment.feed, commitment.due, book.now)
        if slot is None:
            found.wanting.append((commitment.feed, commitment.due))
        elif late:
            found.expiries.append(Fill(order_id, order, slot))
        elif slot <= commitment.deadline:
            found.fills.append(Fill(order_id, order, slot))
    return found


@dataclass(frozen=True, slots=True)
class Sample:
    """A cell's sample of an underlying's volatility."""

    underlying: int
    slot: int

    @property
    def cell(self) -> int:
        return self.slot // CELL


@dataclass(frozen=True, slots=True)
class DueSamples:
    """Cells that can have their sample now, and what the others want."""

    samples: list[Sample]
    wanting: list[tuple[FeedId, int]]  # (feed, start of the cell) whose slot is not posted yet


def due_samples(book: Book) -> DueSamples:
    """The two cells that are open, the older first: a younger sample shuts the older out."""
    feeds = {
        terms.risk.underlying: terms.underlying.feed
        for _, terms in book.terms.items()
        if terms is not None
    }
    found = DueSamples([], [])
    present = book.now // CELL
    for underlying, estimate in sorted(book.estimates.items()):
        feed = feeds.get(underlying)
        if estimate is None or feed is None:
            continue
        for cell in (present - 1, present):
            if cell <= estimate.cell:
                continue
            slot = filling_slot(book, feed, cell * CELL, book.now)
            if slot is None:
                found.wanting.append((feed, cell * CELL))
            elif slot // CELL == cell:
                found.samples.append(Sample(underlying, slot))
    return found


@dataclass(frozen=True, slots=True)
class Endings:
    """Instruments that come to their end, by what they need now (SPEC 10)."""

    fixable: list[tuple[InstrumentId, int]]  # and the slot whose price is their value; 0: any
    settling: list[tuple[InstrumentId, list[AccountId]]]  # and who still has a position
    wanting: list[tuple[FeedId, int]]  # (feed, moment) of those whose slot is not posted yet


def endings(book: Book) -> Endings:
    """Delisted instruments that are due, and positions of those that settle."""
    found = Endings([], [], [])
    for instrument in sorted(book.terms):
        terms = book.listed(instrument)
        feed, at = terms.underlying.feed, book.settlements[instrument].at
        if terms.settles:
            holders = [account for account, one in _holders(book) if one == instrument]
            if holders:
                found.settling.append((instrument, sorted(holders)))
        elif terms.fill.status == Status.DUE:
            slot = filling_slot(book, feed, at, book.now)
            if slot is not None or book.now >= at + LATE:
                found.fixable.append((instrument, slot or 0))
            else:
                found.wanting.append((feed, at))
    return found


def _holders(book: Book) -> list[tuple[AccountId, InstrumentId]]:
    return [key for key, position in book.positions.items() if position.size]


@dataclass(frozen=True, slots=True)
class Posting:
    """When a price is worth a transaction."""

    deviation_ppm: int  # 0: every slot
    heartbeat_seconds: int


def postings(
    book: Book,
    said: Mapping[FeedId, Sequence[PriceReport]],
    wanting: Iterable[tuple[FeedId, int]],
    policy: Posting,
) -> list[PriceReport]:
    """Reports to post now, older slots first.

    The newest of a feed when its price moved, its heartbeat is over, every slot counts or it
    would trigger an order; and of older slots those that orders and samples wait for: the first
    at or after their due time.
    """
    triggering = awaited(book, said)
    chosen: dict[tuple[FeedId, int], PriceReport] = {}
    for feed, reports in said.items():
        stored = book.prices[feed]
        newest = 0 if stored is None else stored.slot
        waiting = [one for one in reports if newest < one.slot <= book.now]
        if not waiting:
            continue
        last = waiting[-1]
        moved = stored is None or (
            abs(last.price - stored.median) * PPM >= policy.deviation_ppm * stored.median
        )
        if policy.deviation_ppm == 0:
            chosen.update({(feed, one.slot): one for one in waiting})
        elif moved or feed in triggering or last.slot - newest >= policy.heartbeat_seconds:
            chosen[feed, last.slot] = last
    for feed, due in wanting:
        for one in said.get(feed, ()):
            if one.previous < due <= one.slot <= book.now:
                chosen[feed, one.slot] = one
                break
    return sorted(chosen.values(), key=lambda one: (one.slot, one.feed))


@dataclass(frozen=True, slots=True)
class DueRequests:
    """Controllers of pool requests, by what is due."""

    entries: list[Address]
    exits: list[Address]
    lapsed_entries: list[Address]
    lapsed_exits: list[Address]


def due_requests(book: Book) -> DueRequests:
    """Requests to execute at the stored prices (all of a slot at or after their due time), and
    requests whose window is over."""
    found = DueRequests([], [], [], [])
    oldest = _oldest_slot(book)
    for (side, controller), request in sorted(book.requests.items()):
        if request.amount == 0:
            continue
        entry = side is Side.ENTRY
        if book.now > request.deadline:
            (found.lapsed_entries if entry else found.lapsed_exits).append(controller)
        elif request.due <= oldest:
            (found.entries if entry else found.exits).append(controller)
    return found


def _oldest_slot(book: Book) -> int:
    """The newest slot that every instrument's price is at or after, if all are fresh; else −1."""
    oldest = book.now
    for instrument in book.terms:
        terms = book.listed(instrument)
        if terms.settles:  # worth the same at any price
            continue
        feed = terms.underlying.feed
        stored = book.prices[feed]
        if stored is None or book.now - stored.slot > book.feeds[feed].max_age_seconds:
            return -1
        oldest = min(oldest, stored.slot)
    return oldest
