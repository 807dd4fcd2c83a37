"""What each event of the contracts says about the state: the fold, event by event.

It fills the same `State` that the reference model acts on, so that what is computed from it is
computed by the code that is proven equal to the contracts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keeper.core.accounts import Position
from keeper.core.interest import Credit
from keeper.core.protocol import clearing, orders
from keeper.core.protocol.markets import LONGS_LOST, SHORTS_LOST
from keeper.core.protocol.state import (
    Commitment,
    Mandate,
    MandateUse,
    Order,
    Parameters,
    Request,
    Settlement,
    Side,
    Stage,
    State,
    Table,
    Token,
    TopUp,
)
from keeper.core.quotes import GAP_MAX, Feed, StoredPrice
from keeper.core.ramps import Ramp
from keeper.core.terms import Terms
from keeper.core.types import AccountId, Address, FeedId, InstrumentId, Mode
from keeper.core.volatility import Estimate


@dataclass(frozen=True, slots=True)
class Log:
    """A decoded event; bytes32 and addresses are bytes."""

    name: str
    args: Mapping[str, Any]
    block: int
    time: int  # of its block, unix seconds
    place: int  # in the block


@dataclass(frozen=True, slots=True)
class Constants:
    """What governance sets: read by views, since it is no part of the story that logs tell."""

    parameters: Parameters
    feeds: Mapping[FeedId, Feed]
    tokens: Sequence[Token]
    places: Mapping[Address, int]  # bit of a collateral token in the accounts' masks
    instruments: Mapping[InstrumentId, Terms]
    settlements: Mapping[InstrumentId, Settlement]


# Events that change nothing which is kept here. An event that is neither here nor handled says
# that governance may have changed a constant, and has them read again.
_SILENT = frozenset(
    {
        "MarginCalled",
        "CallCleared",
        "OrderRelayed",
        "Liquidated",
        "DebtSold",
        "DepositRequest",
        "RedeemRequest",
        "Deposit",
        "Withdraw",
        "ReturnClaimed",
        "OperatorSet",
        "Transfer",
        "Approval",
    }
)


class Book(State):
    """The state as logs tell it, with what a keeper wants to know beside it."""

    def __init__(self, constants: Constants) -> None:
        super().__init__(
            constants.parameters, constants.feeds, constants.tokens, constants.instruments, 0
        )
        self.places = dict(constants.places)
        for instrument, end in constants.settlements.items():
            self.settlements[instrument] = end
        self._undo.clear()
        self.order_ids: Table[bytes, Order | None] = self._table(None)
        # (block, place) of an account's last log: which of its states a decision was made from
        self.touched: Table[AccountId, tuple[int, int]] = self._table((0, 0))
        self.constants_stale = False

    def adopt(self, constants: Constants) -> None:
        """Take what governance changed: it is what the chain says now, not part of the fold."""
        kept = len(self._undo)
        self.parameters = constants.parameters
        self.feeds = dict(constants.feeds)
        self.tokens = tuple(constants.tokens)
        self.places = dict(constants.places)
        for instrument, terms in constants.instruments.items():
            self.terms[instrument] = terms
        for instrument, end in constants.settlements.items():
            self.settlements[instrument] = end
        del self._undo[kept:]
        self.constants_stale = False

    def apply(self, log: Log) -> None:
        """Change what the event says has changed."""
        self.now = log.time
        handler = _HANDLERS.get(log.name)
        if handler is not None:
            handler(self, log)
        elif log.name not in _SILENT:
            self.constants_stale = True

    def live_orders(self) -> list[tuple[bytes, Order, Commitment]]:
        """Orders that have not ended: those that wait for a trigger, then the oldest due."""
        found = []
        for order_id, order in self.order_ids.items():
            commitment = self.orders[order] if order is not None else None
            if order is not None and commitment is not None:
                found.append((order_id, order, commitment))
        return sorted(found, key=lambda one: (one[2].due, one[0]))


def _account(log: Log) -> AccountId:
    return AccountId(log.args["account"])


def _cash_changed(book: Book, log: Log) -> None:
    account = _account(log)
    record = replace(book.accounts[account], cash=log.args["cash"], reserved=log.args["reserved"])
    clearing.write(book, account, record)
    book.touched[account] = (log.block, log.place)


def _position_changed(book: Book, log: Log) -> None:
    account, args = _account(log), log.args
    instrument = InstrumentId(args["instrument"])
    record = replace(book.accounts[account], cash=args["cash"], reserved=args["reserved"])
    position = Position(args["size"], args["notional"], args["index"])
    if position.size or instrument in record.book:
        record = clearing.place_position(book, account, record, instrument, position)
    clearing.write(book, account, record)
    book.touched[account] = (log.block, log.place)


def _flags_changed(book: Book, log: Log) -> None:
    account, args = _account(log), log.args
    book.accounts[account] = replace(
        book.accounts[account],
        mode=Mode(args["mode"]),
        collateral=args["collateral"],
        called=args["called"],
        call_deadline=args["deadline"],
    )
    book.touched[account] = (log.block, log.place)


def _market_changed(book: Book, log: Log) -> None:
    args, instrument = log.args, InstrumentId(log.args["instrument"])
    book.markets[instrument] = replace(
        book.markets[instrument],
        long_index=args["long_index"],
        short_index=args["short_index"],
        rate=args["rate"],
        gap=args["gap"],
        long_interest=args["long_interest"],
        short_interest=args["short_interest"],
        forced=args["forced"],
        forced_at=log.time,
        accrued_at=log.time,
    )
    _ledger_changed(book, log)


def _ledger_changed(book: Book, log: Log) -> None:
    book.lines = replace(
        book.lines,
        pool=log.args["pool"],
        insurance=log.args["insurance"],
        protocol=log.args["protocol"],
    )


def _deficit_paid(book: Book, log: Log) -> None:
    args, instrument = log.args, InstrumentId(log.args["instrument"])
    if args["settles"] and not book.markets[instrument].stopped:
        lost = LONGS_LOST if args["long"] else SHORTS_LOST
        book.markets[instrument] = replace(book.markets[instrument], stopped=lost)
    book.touched[_account(log)] = (log.block, log.place)


def _debt_changed(book: Book, log: Log) -> None:
    book.debt_indices[_account(log)] = log.args["index"]


def _debt_due(book: Book, log: Log) -> None:
    book.debt_due[_account(log)] = log.args["since"]


def _rule_set(book: Book, log: Log) -> None:
    args = log.args
    book.top_ups[_account(log)] = TopUp(
        trigger_ppm=args["trigger_ppm"],
        target_ppm=args["target_ppm"],
        interval=args["interval"],
        most=args["most"],
        budget=args["budget"],
    )


def _topped_up(book: Book, log: Log) -> None:
    account = _account(log)
    rule = replace(book.top_ups[account], budget=log.args["budget"], last_at=log.time)
    book.top_ups[account] = rule


def _interest_accrued(book: Book, log: Log) -> None:
    args = log.args
    book.credit = Credit(
        index=args["index"],
        rate=args["rate"],
        accrued_at=log.time,
        total=args["total"],
        bearing=args["bearing"],
        scaled=args["scaled"],
    )


def _collateral_changed(book: Book, log: Log) -> None:
    account, place = _account(log), book.places[Address(log.args["token"])]
    book.collateral[account, place] = log.args["balance"]
    book.collateral_total[place] = log.args["total"]
    book.touched[account] = (log.block, log.place)


def _price_posted(book: Book, log: Log) -> None:
    args, feed = log.args, FeedId(log.args["feed"])
    about, slot = book.feeds[feed], args["slot"]
    fixed = StoredPrice(
        median=args["median"],
        high=args["high"],
        low=args["low"],
        conf_ppm=args["conf_ppm"],
        slot=slot,
        gap=min(slot - args["previous"], GAP_MAX),
    )
    newest = book.prices[feed]
    if newest is None or newest.slot < slot:
        book.prices[feed] = fixed
    book.ring[feed, slot // about.grid_seconds % about.ring_length] = fixed


def _order_committed(book: Book, log: Log) -> None:
    args = log.args
    order = Order(
        account=_account(log),
        instrument=InstrumentId(args["instrument"]),
        size=args["size"],
        acceptable=args["acceptable"],
        reduce_only=args["reduce_only"],
        execution_fee=args["execution_fee"],
        salt=args["salt"],
        bracket=args["bracket"],
    )
    book.orders[order] = _commitment(log)
    book.order_ids[args["id"]] = order


def _commitment(log: Log) -> Commitment:
    args = log.args
    return Commitment(
        due=args["due"],
        deadline=args["deadline"],
        feed=FeedId(args["feed"]),
        opening=args["opening"],
        reserved=args["reserved"],
        lapse=args["lapse"],
    )


def _order_placed(book: Book, log: Log) -> None:
    args = {name: value for name, value in log.args.items() if name != "id"}
    order = Order(**args)
    book.orders[order] = Commitment(0, 0, FeedId(0), False, 0, 0, placed=log.time)
    book.order_ids[log.args["id"]] = order


def _order_triggered(book: Book, log: Log) -> None:
    order = book.order_ids[log.args["id"]]
    if order is not None:
        book.orders[order] = _commitment(log)
        if order.bracket and order.reduce_only:
            book.brackets[order.account, order.bracket] = Stage.LEFT


def _order_ended(book: Book, log: Log) -> None:
    order = book.order_ids[log.args["id"]]
    if order is not None:
        del book.orders[order]
        del book.order_ids[log.args["id"]]
        if log.args["status"] == orders.Ending.FILLED:
            orders.enter(book, order)


def _nonce_used(book: Book, log: Log) -> None:
    book.nonces[log.args["signer"], log.args["place"]] = log.args["used"]


def _mandate_changed(book: Book, log: Log) -> None:
    args = log.args
    book.mandates[args["owner"], args["delegate"]] = Mandate(*args["mandate"])


def _mandate_used(book: Book, log: Log) -> None:
    args = log.args
    used = MandateUse(args["day"], args["notional"], args["fees"])
    book.mandates_used[args["owner"], args["delegate"]] = used


def _request_key(log: Log) -> tuple[Side, Address]:
    return Side(log.args["kind"]), Address(log.args["controller"])


def _request_scheduled(book: Book, log: Log) -> None:
    args = log.args
    book.requests[_request_key(log)] = Request(
        due=args["due"],
        deadline=args["deadline"],
        amount=args["amount"],
        min_out=args["min_out"],
    )


def _request_ended(book: Book, log: Log) -> None:
    """Executed, returned, or both: there is nothing left of it."""
    del book.requests[_request_key(log)]


def _underlying_moved(book: Book, log: Log) -> None:
    book.ramps[log.args["underlying"]] = Ramp(*log.args["ramp"])


def _estimate_changed(book: Book, log: Log) -> None:
    book.estimates[log.args["underlying"]] = Estimate(*log.args["estimate"])


_HANDLERS: dict[str, Callable[[Book, Log], None]] = {
    "UnderlyingMoved": _underlying_moved,
    "EstimateChanged": _estimate_changed,
    "CashChanged": _cash_changed,
    "PositionChanged": _position_changed,
    "BookFlagsChanged": _flags_changed,
    "MarketChanged": _market_changed,
    "LedgerChanged": _ledger_changed,
    "DeficitPaid": _deficit_paid,
    "DebtChanged": _debt_changed,
    "DebtDue": _debt_due,
    "RuleSet": _rule_set,
    "ToppedUp": _topped_up,
    "InterestAccrued": _interest_accrued,
    "CollateralChanged": _collateral_changed,
    "PricePosted": _price_posted,
    "OrderCommitted": _order_committed,
    "OrderPlaced": _order_placed,
    "OrderTriggered": _order_triggered,
    "OrderEnded": _order_ended,
    "NonceUsed": _nonce_used,
    "MandateChanged": _mandate_changed,
    "MandateUsed": _mandate_used,
    "RequestScheduled": _request_scheduled,
    "RequestExecuted": _request_ended,
    "RequestReturned": _request_ended,
}
