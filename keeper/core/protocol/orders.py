"""Commitments to trade, filled at the price of one determined slot (SPEC 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum

from keeper.core import fills, margin
from keeper.core.accounts import MAX_POSITIONS, mode_of
from keeper.core.margin import Held
from keeper.core.protocol import clearing, markets, oracle
from keeper.core.protocol.state import Commitment, Order, State
from keeper.core.types import Address, InstrumentId, Level, Refused, Status, owner_of, require
from keeper.core.units import PPM, WAD, ceil_div, ppm_ceil

MAX_SIZE = MAX_FEE = 1 << 92  # WAD
MAX_PRICE = 1 << 128  # WAD


class Ending(IntEnum):
    """How an order ends."""

    FILLED = 0
    PRICE = 1
    MARGIN = 2
    LIMIT = 3
    NOTHING_TO_REDUCE = 4
    EXPIRED = 5
    CANCELLED = 6
    HALTED = 7


_ENDINGS = {
    "fill: price": Ending.PRICE,
    "fill: margin": Ending.MARGIN,
    "fill: limit": Ending.LIMIT,
    "fill: nothing to reduce": Ending.NOTHING_TO_REDUCE,
    "fill: halted": Ending.HALTED,
}


def commit(state: State, caller: Address, order: Order) -> Commitment:
    """Promise to trade at the first slot at or after now plus the delay (SPEC 6.2)."""
    parameters = state.parameters
    require(owner_of(order.account) == caller, "account: not the owner")
    require(
        abs(order.size) < MAX_SIZE
        and order.acceptable < MAX_PRICE
        and order.execution_fee < MAX_FEE,
        "orders: figure out of range",
    )
    require(state.orders[order] is None, "orders: already committed")
    reserved, lapse, opening = _hold(state, order)
    due = state.now + parameters.order_delay_seconds
    commitment = Commitment(
        due=due,
        deadline=due + parameters.order_window_seconds,
        feed=state.listed(order.instrument).underlying.feed,
        opening=opening,
        reserved=reserved,
        lapse=lapse,
    )
    require(reserved < 1 << 92 and lapse < 1 << 92, "word: value too large")
    state.orders[order] = commitment
    return commitment


def cancel(state: State, caller: Address, order: Order) -> None:
    """Take an order back: free before it is due, for the lapse charge after its window."""
    require(owner_of(order.account) == caller, "account: not the owner")
    commitment = _live(state, order)
    charge = 0
    if state.now >= commitment.due and not state.listed(order.instrument).over:
        require(state.now > commitment.deadline, "orders: due already")
        charge = commitment.lapse
    _end(state, order, commitment, charge, None)


def execute(state: State, caller: Address, order: Order, slot: int) -> Ending:
    """Fill an order at its slot's price, or end it for the reason that it cannot (SPEC 6.4)."""
    commitment = _live(state, order)
    require(state.now <= commitment.deadline, "orders: window is over")
    index = _fill_index(state, order, commitment, slot)
    try:
        with state.attempt():
            clearing.fill(
                state,
                order.account,
                order.instrument,
                order.size,
                index,
                slot,
                order.acceptable,
                order.reduce_only,
                commitment.reserved,
                order.execution_fee,
                caller,
            )
    except Refused as refused:
        ending = _ENDINGS.get(refused.reason)
        if ending is None:
            raise
        halted = ending is Ending.HALTED and commitment.opening
        if halted or state.listed(order.instrument).over:
            _end(state, order, commitment, 0, None)
        else:
            _end(state, order, commitment, commitment.lapse, caller)
        return ending
    del state.orders[order]
    return Ending.FILLED


def execute_many(
    state: State, caller: Address, batch: Sequence[tuple[Order, int]]
) -> list[Ending | None]:
    """Execute several (order, slot); None for one that cannot be executed and stays as it is."""
    endings: list[Ending | None] = []
    for order, slot in batch:
        ending = None
        try:
            with state.attempt():
                ending = execute(state, caller, order, slot)
        except Refused:
            pass
        endings.append(ending)
    return endings


def expire(state: State, order: Order, slot: int) -> int:
    """End an order whose window is over; the charge is due if its slot was within (SPEC 6.5)."""
    commitment = _live(state, order)
    require(state.now > commitment.deadline, "orders: window is open")
    charge = 0
    if not state.listed(order.instrument).over:
        _fill_index(state, order, commitment, slot)
        charge = commitment.lapse if slot <= commitment.deadline else 0
    _end(state, order, commitment, charge, None)
    return charge


def _hold(state: State, order: Order) -> tuple[int, int, bool]:
    """(reserve WAD, lapse charge WAD, whether it opens) of an order (SPEC 6.2).

    The reserve is taken; the execution fee leaves the account on the terms of a withdrawal.
    """
    account, fee = order.account, order.execution_fee
    record = state.accounts[account]
    held = state.positions[account, order.instrument].size
    reducing = held * order.size < 0 and (order.reduce_only or abs(order.size) <= abs(held))
    require(reducing or not order.reduce_only, "order: nothing to reduce")
    reserve, lapse = _needed(state, order, reducing)
    if fee or not reducing:
        assessed = clearing.assess(state, account, Level.TIGHT)
        leaving = record.reserved + fee
        require(
            assessed.equity_initial >= assessed.initial + reserve + leaving
            and assessed.settled_cash + assessed.collateral_initial >= leaving,
            "account: not enough margin",
        )
    else:
        assessed = clearing.assess(state, account, Level.RECENT)
        require(assessed.equity >= record.reserved + reserve, "account: not enough margin")
    after = replace(record, cash=record.cash - fee, reserved=record.reserved + reserve)
    clearing.store(state, account, after)
    if fee:
        clearing.require_debt(state, account)
    return reserve, lapse, not reducing


def _needed(state: State, order: Order, reducing: bool) -> tuple[int, int]:
    """(reserve, lapse charge) of an order, its execution fee aside, WAD."""
    account, instrument, size = order.account, order.instrument, abs(order.size)
    terms = state.listed(instrument)
    level = Level.RECENT if reducing else Level.TIGHT
    prices = clearing.stored_prices(state, level)
    require(not terms.over, "market: not open")
    index = prices(terms.underlying.feed).price_wad
    lapse_ppm = max(terms.fill.taker_ppm, terms.fill.lapse_ppm)
    lapse = ceil_div(lapse_ppm * size * index, PPM * WAD)
    if not reducing:
        require(terms.fill.status == Status.OPEN, "market: not open")
        large = size * index >= terms.limit.min_notional_wad * WAD
        require(large, "market: size below minimum")

    def initial(book: list[Held]) -> int:
        """Without confidence: the fill is at another price."""
        mode = mode_of(account, state.accounts[account])
        upnl_ppm = state.parameters.upnl_ppm
        needed = margin.requirement(mode, book, state.listed, prices, upnl_ppm)
        return needed.plain_initial + needed.surcharge

    book = clearing.book_of(state, account)
    before = initial(book)  # a reduction, too, needs every price of the book
    if reducing:
        return lapse, lapse
    added = max(0, initial(_with_order(book, instrument, order.size)) - before)
    reserve = added + ppm_ceil(added, state.parameters.order_buffer_ppm)
    reserve += ceil_div(size * terms.fill.taker_ppm * index, PPM * WAD)
    reserve += fills.opening_gap_fee(terms, index, size)
    return max(reserve, lapse), lapse


def _with_order(book: list[Held], instrument: InstrumentId, size: int) -> list[Held]:
    """The book as it would be if an order were filled."""
    held = {one.instrument: one for one in book}
    before = held.get(instrument, Held(instrument, 0, 0))
    require(instrument in held or len(book) < MAX_POSITIONS, "account: book is full")
    held[instrument] = replace(before, size=before.size + size)
    return list(held.values())


def _end(
    state: State, order: Order, commitment: Commitment, charge: int, executor: Address | None
) -> None:
    """End an order unfilled: free its reserve and charge it for insurance.

    Who has neither position nor collateral any more pays what cash he has. The execution fee
    goes to the executor, or back to the account when there is none to be paid.
    """
    del state.orders[order]
    record = state.accounts[order.account]
    if not record.book and not record.collateral:
        charge = min(charge, max(0, record.cash))
    back = order.execution_fee if executor is None else 0
    clearing.store(
        state,
        order.account,
        replace(
            record,
            cash=record.cash - charge + back,
            reserved=record.reserved - commitment.reserved,
        ),
    )
    markets.change_lines(state, insurance=charge)
    if executor is not None:
        clearing.credit_owner(state, executor, order.execution_fee)


def _live(state: State, order: Order) -> Commitment:
    commitment = state.orders[order]
    if commitment is None:
        raise Refused("orders: no such order")
    return commitment


def _fill_index(state: State, order: Order, commitment: Commitment, slot: int) -> int:
    """WAD price that fills the order: the slot's highest for buys, its lowest for sells."""
    require(slot >= commitment.due, "orders: slot before due")
    fixed = oracle.slot_price(state, commitment.feed, slot)
    require(slot - fixed.gap < commitment.due, "orders: slot not the first")
    return oracle.wad(state, commitment.feed, fixed.high if order.size > 0 else fixed.low)
