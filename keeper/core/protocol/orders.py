"""Commitments to trade, filled at the price of one determined slot (SPEC 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum

from keeper.core import fills, margin
from keeper.core.accounts import MAX_POSITIONS, mode_of
from keeper.core.margin import Held
from keeper.core.protocol import clearing, markets, oracle
from keeper.core.protocol.state import Commitment, Mandate, MandateUse, Order, Stage, State
from keeper.core.types import (
    AccountId,
    Address,
    FeedId,
    InstrumentId,
    Level,
    Refused,
    Status,
    bucket_of,
    owner_of,
    require,
)
from keeper.core.units import DAY, PPM, WAD, ceil_div, ppm_ceil

MAX_SIZE = MAX_FEE = 1 << 92  # WAD
MAX_PRICE = 1 << 128  # WAD
TRIGGER_AGE = 30  # seconds that the slot of a trigger may be old
MARKET, LIMIT, STOP, TAKE_PROFIT = range(4)  # kinds


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
    """Promise to trade at the first slot at or after now plus the delay, or once triggered."""
    return _take(state, caller, order, 0)


def commit_many(state: State, caller: Address, batch: Sequence[Order]) -> list[Commitment]:
    """Several at once, all or none."""
    return [_take(state, caller, order, 0) for order in batch]


def relay_signed(
    state: State,
    caller: Address,
    order: Order,
    relay_fee: int,
    deadline: int,
    signer: Address,
    signed_by: Address | None,
) -> Commitment:
    """Commit an order that its owner or his delegate has signed (SPEC 6.9).

    `signed_by` is whose signature it truly is: None for what is none.
    """
    require(state.now <= deadline, "orders: signature is late")
    place, bit = order.salt >> 8, 1 << (order.salt & 255)
    require(not state.nonces[signer, place] & bit, "orders: nonce is used")
    state.nonces[signer, place] |= bit
    require(signed_by == signer, "orders: bad signature")
    require(relay_fee < MAX_FEE, "orders: figure out of range")
    commitment = _take(state, signer, order, relay_fee)
    _pay(state, order.account, caller, relay_fee)
    return commitment


def cancel_nonces(state: State, caller: Address, place: int, mask: int) -> None:
    """Make what the caller has signed with these nonces worthless."""
    state.nonces[caller, place] |= mask


def set_delegate(state: State, caller: Address, delegate: Address, mandate: Mandate) -> None:
    """Let somebody commit and cancel orders for the caller's accounts (SPEC 6.10)."""
    require(
        mandate.expiry < 1 << 40
        and mandate.bucket < 1 << 96
        and mandate.daily_usd < 1 << 48
        and mandate.daily_fees_usd < 1 << 32,
        "word: value too large",
    )
    state.mandates[caller, delegate] = mandate


def cancel(state: State, caller: Address, order: Order) -> None:
    """Take an order back: free while it waits or is not due, for the lapse charge after its
    window."""
    if owner_of(order.account) != caller:
        _in_scope(state, caller, order)
    commitment = _live(state, order)
    charge = 0
    due = not commitment.waits and state.now >= commitment.due
    if due and not state.listed(order.instrument).over:
        require(state.now > commitment.deadline, "orders: due already")
        charge = commitment.lapse
    _end(state, order, commitment, charge, None)


def trigger(state: State, caller: Address, order: Order, slot: int) -> Commitment:
    """Show a price that a waiting order waits for: it is a commitment of now (SPEC 6.7)."""
    waiting = _live(state, order)
    require(waiting.waits, "orders: triggered already")
    require(not _is_expired(state, order), "orders: expired")
    require(slot > waiting.placed, "orders: slot before the order")
    require(slot + TRIGGER_AGE >= state.now, "orders: slot too old")
    feed = state.listed(order.instrument).underlying.feed
    shown = oracle.slot_price(state, feed, slot)
    median = oracle.wad(state, feed, shown.median)
    require(is_met(order, median, shown.conf_ppm), "orders: trigger not met")
    if order.bracket:
        stage = state.brackets[order.account, order.bracket]
        if order.reduce_only:
            require(stage != Stage.NONE, "orders: entry not filled")
            require(stage == Stage.ENTERED, "orders: bracket is used")
            state.brackets[order.account, order.bracket] = Stage.LEFT
        else:
            require(stage == Stage.NONE, "orders: bracket is used")
    commitment = _stamp(state, order, 0)
    _pay(state, order.account, caller, order.execution_fee)
    return commitment


def is_met(order: Order, median: int, conf_ppm: int) -> bool:
    """Whether a price reaches the order's trigger by its confidence at least, WAD."""
    if (order.kind == STOP) == (order.size > 0):
        return median * (PPM - conf_ppm) >= order.trigger * PPM
    return median * (PPM + conf_ppm) <= order.trigger * PPM


def is_dead(state: State, order: Order) -> bool:
    """Whether nothing can trigger a waiting order any more."""
    if _is_expired(state, order) or state.listed(order.instrument).over:
        return True
    stage = state.brackets[order.account, order.bracket] if order.bracket else Stage.NONE
    return stage == Stage.LEFT or (stage == Stage.ENTERED and not order.reduce_only)


def execute(state: State, caller: Address, order: Order, slot: int) -> Ending:
    """Fill an order at its slot's price, or end it for the reason that it cannot (SPEC 6.4)."""
    commitment = _live(state, order)
    require(not commitment.waits, "orders: not triggered")
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
    enter(state, order)
    return Ending.FILLED


def enter(state: State, order: Order) -> None:
    """What the fill of an order does to its bracket."""
    entry = order.bracket and not order.reduce_only
    if entry and state.brackets[order.account, order.bracket] == Stage.NONE:
        state.brackets[order.account, order.bracket] = Stage.ENTERED


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
    if commitment.waits:
        require(is_dead(state, order), "orders: still waits")
        _end(state, order, commitment, 0, None)
        return 0
    require(state.now > commitment.deadline, "orders: window is open")
    charge = 0
    if not state.listed(order.instrument).over:
        _fill_index(state, order, commitment, slot)
        charge = commitment.lapse if slot <= commitment.deadline else 0
    _end(state, order, commitment, charge, None)
    return charge


def _take(state: State, trader: Address, order: Order, relay_fee: int) -> Commitment:
    """Commit an order on the word of the owner or his delegate (SPEC 6.2, 6.7)."""
    require(
        abs(order.size) < MAX_SIZE
        and order.size != 0
        and order.acceptable < MAX_PRICE
        and order.execution_fee < MAX_FEE,
        "orders: figure out of range",
    )
    _check_kind(state, order)
    require(state.orders[order] is None, "orders: already committed")
    if owner_of(order.account) != trader:
        _delegated(state, trader, order, relay_fee)
    if order.kind == MARKET:
        return _stamp(state, order, order.execution_fee + relay_fee)
    fees = 2 * order.execution_fee + relay_fee
    if fees:
        _escrow(state, order.account, fees)
    waiting = Commitment(0, 0, FeedId(0), False, 0, 0, placed=state.now)
    state.orders[order] = waiting
    return waiting


def _check_kind(state: State, order: Order) -> None:
    """What waits has a price to wait for; exits of a bracket wait."""
    require(order.kind <= TAKE_PROFIT and order.trigger < MAX_PRICE, "orders: figure out of range")
    waits = order.kind != MARKET
    require(
        waits == (order.trigger != 0)
        and (waits or not order.expiry)
        and (order.reduce_only or order.kind != TAKE_PROFIT)
        and (waits or not order.bracket or not order.reduce_only),
        "orders: not of its kind",
    )
    require(not _is_expired(state, order), "orders: expired")
    if order.bracket:
        stage = state.brackets[order.account, order.bracket]
        free = stage == Stage.NONE or (stage == Stage.ENTERED and order.reduce_only)
        require(free, "orders: bracket is used")
    require(not (waits and state.listed(order.instrument).over), "market: not open")


def _is_expired(state: State, order: Order) -> bool:
    return order.expiry != 0 and state.now > order.expiry


def _in_scope(state: State, delegate: Address, order: Order) -> Mandate:
    """The mandate by which a delegate may act on an order's account and instrument now."""
    mandate = state.mandates[owner_of(order.account), delegate]
    require(mandate.expiry != 0, "account: not the owner")
    require(state.now <= mandate.expiry, "delegate: mandate is over")
    allowed = order.instrument < 256 and mandate.instruments >> order.instrument & 1
    require(bool(allowed), "delegate: instrument not in it")
    mine = mandate.every_bucket or mandate.bucket == bucket_of(order.account)
    require(mine, "delegate: bucket not in it")
    return mandate


def _delegated(state: State, delegate: Address, order: Order, relay_fee: int) -> None:
    """Take an order from a delegate, within his mandate (SPEC 6.10)."""
    mandate = _in_scope(state, delegate, order)
    fees = order.execution_fee + relay_fee
    if order.kind != MARKET:
        require(0 < order.expiry <= mandate.expiry, "delegate: order outlives it")
        fees += order.execution_fee
    feed = state.listed(order.instrument).underlying.feed
    price = max(oracle.price(state, feed, Level.ANY).price_wad, order.trigger)
    key, day = (owner_of(order.account), delegate), state.now // DAY
    before = state.mandates_used[key]
    if before.day != day:
        before = MandateUse(day)
    notional = ceil_div(abs(order.size) * price, WAD)
    used = MandateUse(day, before.notional + notional, before.fees + fees)
    require(used.notional <= mandate.daily_usd * WAD, "delegate: beyond the day's limit")
    require(used.fees <= mandate.daily_fees_usd * WAD, "delegate: beyond the day's fees")
    state.mandates_used[key] = used


def _stamp(state: State, order: Order, fee: int) -> Commitment:
    """Make an order a commitment of now, with its reserve; `fee` goes into escrow, WAD."""
    parameters = state.parameters
    reserved, lapse, opening = _hold(state, order, fee)
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


def _escrow(state: State, account: AccountId, fee: int) -> None:
    """Put a fee aside, on the terms of a withdrawal."""
    record = state.accounts[account]
    _require_leaves(state, account, 0, fee)
    clearing.store(state, account, replace(record, cash=record.cash - fee))
    clearing.require_debt(state, account)


def _require_leaves(state: State, account: AccountId, reserve: int, fee: int) -> None:
    """A reserve fits beside what is reserved, and a fee may leave the account."""
    assessed = clearing.assess(state, account, Level.TIGHT)
    leaving = state.accounts[account].reserved + fee
    require(
        assessed.equity_initial >= assessed.initial + reserve + leaving
        and assessed.settled_cash + assessed.collateral_initial >= leaving,
        "account: not enough margin",
    )


def _hold(state: State, order: Order, fee: int) -> tuple[int, int, bool]:
    """(reserve WAD, lapse charge WAD, whether it opens) of an order (SPEC 6.2).

    The reserve is taken; the execution fee leaves the account on the terms of a withdrawal.
    """
    account = order.account
    record = state.accounts[account]
    held = state.positions[account, order.instrument].size
    reducing = held * order.size < 0 and (order.reduce_only or abs(order.size) <= abs(held))
    require(reducing or not order.reduce_only, "order: nothing to reduce")
    reserve, lapse = _needed(state, order, reducing)
    if fee or not reducing:
        _require_leaves(state, account, reserve, fee)
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
    fees = order.execution_fee * (2 if commitment.waits else 1)
    if commitment.waits and not fees:
        return
    record = state.accounts[order.account]
    if not record.book and not record.collateral:
        charge = min(charge, max(0, record.cash))
    back = fees if executor is None else 0
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


def _pay(state: State, account: AccountId, receiver: Address, fee: int) -> None:
    """Pay somebody from what an account has put aside; the account's interest is counted anew."""
    if fee:
        clearing.store(state, account, state.accounts[account])
        clearing.credit_owner(state, receiver, fee)


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
