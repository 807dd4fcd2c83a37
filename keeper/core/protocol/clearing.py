"""Cash and positions of accounts, and what may be done with them (SPEC 1, 2, 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from keeper.core import accounts, funding, margin
from keeper.core.accounts import MAX_POSITIONS, Account, Position, listed, mode_of, unlisted
from keeper.core.liquidation import Assessment
from keeper.core.margin import Held
from keeper.core.protocol import debts, markets, oracle
from keeper.core.protocol.markets import Outcome
from keeper.core.protocol.state import CLEARINGHOUSE, SETTLEMENT, State
from keeper.core.quotes import Quote
from keeper.core.types import (
    AccountId,
    Address,
    FeedId,
    InstrumentId,
    Level,
    Mode,
    account_id,
    owner_of,
    require,
)
from keeper.core.units import WAD

NOBODY = Address(bytes(20))
NO_INSTRUMENT = InstrumentId(0)
DUST = WAD  # collateral below it is not worth a sale

# ---------------------------------------------------------------- owners of accounts


def deposit(state: State, caller: Address, account: AccountId, amount: int) -> None:
    """Add native settlement tokens to the cash of an account; anyone may."""
    require(owner_of(account) != NOBODY, "account: no owner")
    require(amount > 0, "account: nothing to move")
    credit(state, account, wad_of(state, amount))
    state.send(SETTLEMENT, caller, CLEARINGHOUSE, amount)


def withdraw(
    state: State, caller: Address, account: AccountId, amount: int, receiver: Address
) -> None:
    """Send native settlement tokens out of the cash of an account."""
    require(owner_of(account) == caller, "account: not the owner")
    _debit(state, account, amount)
    state.send(SETTLEMENT, CLEARINGHOUSE, receiver, amount)


def move_cash(
    state: State, caller: Address, source: AccountId, target: AccountId, amount: int
) -> None:
    """Move cash between two buckets of one owner; the source is checked as in a withdrawal."""
    _require_buckets(caller, source, target)
    _debit(state, source, amount)
    credit(state, target, wad_of(state, amount))


def move_position(
    state: State,
    caller: Address,
    source: AccountId,
    target: AccountId,
    instrument: InstrumentId,
) -> None:
    """Move a whole position, settled on the way; both buckets are above initial after it."""
    _require_buckets(caller, source, target)
    position = state.positions[source, instrument]
    require(position.size != 0, "account: no such position")
    require(state.positions[target, instrument].size == 0, "account: holds it already")
    owed, settled = markets.settle(state, instrument, position)
    giver = state.accounts[source]
    hold_position(state, source, replace(giver, cash=giver.cash - owed), instrument, Position())
    hold_position(state, target, state.accounts[target], instrument, settled)
    require_free(state, source)
    require_initial(state, target)


def set_mode(state: State, caller: Address, account: AccountId, mode: int) -> None:
    """Choose how the bucket's requirements add up, above initial margin in the new mode."""
    require(owner_of(account) == caller, "account: not the owner")
    require(mode in (Mode.ISOLATED, Mode.CROSS, Mode.PORTFOLIO), "risk: mode not available")
    write(state, account, replace(state.accounts[account], mode=Mode(mode)))
    require_initial(state, account)


def fund_insurance(state: State, caller: Address, amount: int) -> None:
    """Give native settlement tokens to insurance."""
    markets.change_lines(state, insurance=wad_of(state, amount))
    state.send(SETTLEMENT, caller, CLEARINGHOUSE, amount)


def _require_buckets(caller: Address, source: AccountId, target: AccountId) -> None:
    require(owner_of(source) == caller, "account: not the owner")
    require(owner_of(target) == caller, "account: not the owner")
    require(source != target, "account: same bucket")


# ---------------------------------------------------------------- cash


def wad_of(state: State, amount: int) -> int:
    """Native settlement tokens as WAD; refused without a reason where 256 bits overflow."""
    wad = amount * state.parameters.scale
    require(wad < 1 << 255, "")
    return wad


def store(state: State, account: AccountId, record: Account) -> None:
    """Write an account whose cash an act has set; interest of debt leaves it on the way."""
    if record.debt or state.accounts[account].debt:
        bearing = bool(record.book or record.collateral)
        record = replace(record, cash=debts.change(state, account, record.cash, bearing))
    write(state, account, record)


def write(state: State, account: AccountId, record: Account) -> None:
    """Write an account as it is."""
    require(accounts.fits(record), "word: value too large")
    state.accounts[account] = record


def credit(state: State, account: AccountId, wad: int) -> None:
    record = state.accounts[account]
    store(state, account, replace(record, cash=record.cash + wad))


def credit_owner(state: State, owner: Address, wad: int) -> None:
    """Pay someone into bucket 0; nothing is written for 0."""
    if wad:
        credit(state, account_id(owner, 0), wad)


def _debit(state: State, account: AccountId, amount: int) -> None:
    require(amount > 0, "account: nothing to move")
    credit(state, account, -wad_of(state, amount))
    record = state.accounts[account]
    if record.book or record.cash < record.reserved:
        require_free(state, account)


def hold_position(
    state: State,
    account: AccountId,
    record: Account,
    instrument: InstrumentId,
    position: Position,
) -> None:
    """Write an account with a position opened, changed or (size 0) closed."""
    store(state, account, place_position(state, account, record, instrument, position))


def place_position(
    state: State,
    account: AccountId,
    record: Account,
    instrument: InstrumentId,
    position: Position,
) -> Account:
    """Write a position opened, changed or closed; its account, with the book that follows."""
    held = state.positions[account, instrument].size != 0
    if position.size == 0:
        record = replace(record, book=unlisted(record.book, instrument))
        del state.positions[account, instrument]
    else:
        if not held:
            require(len(record.book) < MAX_POSITIONS, "account: book is full")
            record = replace(record, book=listed(record.book, instrument))
        require(accounts.position_fits(position), "word: value too large")
        state.positions[account, instrument] = position
    return record


# ---------------------------------------------------------------- margin


def book_of(state: State, account: AccountId) -> list[Held]:
    """The positions of an account."""
    book = []
    for instrument in state.accounts[account].book:
        position = state.positions[account, instrument]
        book.append(Held(instrument, position.size, position.notional))
    return book


def owed_by(state: State, account: AccountId, instrument: InstrumentId) -> int:
    """What a position owes its index now, WAD; < 0: it is owed money."""
    position = state.positions[account, instrument]
    index = markets.indices(state, instrument).side_index(position.size)
    return funding.owed(position.size, index, position.index)


def assess(
    state: State,
    account: AccountId,
    level: Level,
    price_of: Callable[[FeedId], Quote] | None = None,
    backing_price_of: Callable[[FeedId], Quote] | None = None,
) -> Assessment:
    """What an account is worth and must hold now, funding to this moment included (SPEC 7).

    `price_of` stands in for the stored prices of positions, `backing_price_of` for those of
    collateral.
    """
    stored = stored_prices(state, level)
    record, parameters = state.accounts[account], state.parameters
    cash = record.cash - debts.owed(state, account)
    settled = cash - sum(owed_by(state, account, one) for one in record.book)
    equity = equity_initial = settled
    maintenance = plain_initial = initial = 0
    if record.book:
        needed = margin.requirement(
            mode_of(account, record),
            book_of(state, account),
            state.listed,
            price_of or stored,
            parameters.upnl_ppm,
            level is Level.RECENT,
        )
        maintenance, plain_initial = needed.maintenance, needed.plain_initial
        initial = needed.initial
        equity += needed.upnl
        equity_initial += needed.upnl_initial
    elif cash < 0:
        maintenance, plain_initial = margin.debt_requirement(
            -cash, parameters.debt_maintenance_ppm, parameters.debt_initial_ppm
        )
        initial = plain_initial
    worth, worth_initial = collateral_value(state, account, backing_price_of or stored)
    return Assessment(
        equity=equity + worth,
        equity_initial=equity_initial + worth_initial,
        maintenance=maintenance,
        plain_initial=plain_initial,
        initial=initial,
        settled_cash=settled,
        collateral_initial=worth_initial,
    )


def collateral_value(
    state: State, account: AccountId, price_of: Callable[[FeedId], Quote]
) -> tuple[int, int]:
    """What collateral counts for in maintenance and in initial margin, WAD (SPEC 7.9)."""
    worth = worth_initial = 0
    record = state.accounts[account]
    for place, token in enumerate(state.tokens):
        if record.collateral >> place & 1:
            price = price_of(token.feed).price_wad
            held = state.collateral[account, place]
            base = token.haircut.base(state.now)
            strict = token.haircut.initial(state.now, state.collateral_total[place], token.cap)
            worth += margin.collateral_value(held, price, base, token.decimals)
            worth_initial += margin.collateral_value(held, price, strict, token.decimals)
    return worth, worth_initial


def stored_prices(state: State, level: Level) -> Callable[[FeedId], Quote]:
    """The stored prices, refused where one fails its level."""
    return lambda feed: oracle.price(state, feed, level)


def require_initial(state: State, account: AccountId) -> Assessment:
    """Refuse unless the account may take new risk."""
    assessed = assess(state, account, Level.TIGHT)
    reserved = state.accounts[account].reserved
    require(assessed.equity_initial >= assessed.initial + reserved, "account: below initial margin")
    return assessed


def require_free(state: State, account: AccountId) -> None:
    """Refuse unless value may leave the account (SPEC 2.6, 2.7)."""
    assessed = require_initial(state, account)
    record = state.accounts[account]
    require(
        assessed.settled_cash + assessed.collateral_initial >= record.reserved,
        "account: gain not withdrawable",
    )
    require_debt(state, account)


def require_debt(state: State, account: AccountId) -> None:
    """Refuse unless the debt of the account, and all debt, is below its ceiling (SPEC 2.7)."""
    debt = state.accounts[account].debt
    require(debt == 0 or debts.fits(state, debt), "account: debt above its cap")


# ---------------------------------------------------------------- fills


def fill(
    state: State,
    account: AccountId,
    instrument: InstrumentId,
    size: int,
    index: int,
    slot: int,
    acceptable: int,
    reduce_only: bool,
    reserved: int,
    execution_fee: int,
    executor: Address,
) -> None:
    """Fill an order and free its reserve (SPEC 6.3, 6.4, 6.6).

    Refused with `fill: price`, `fill: margin`, `fill: limit`, `fill: nothing to reduce` or
    `fill: halted` for what ends the order.
    """
    position = state.positions[account, instrument]
    if reduce_only:
        require(position.size * size < 0, "fill: nothing to reduce")
        if abs(size) > abs(position.size):
            size = -position.size
    before = state.accounts[account]
    alone = before.book in ((), (instrument,))
    if not position.size:
        isolated = mode_of(account, before) is Mode.ISOLATED
        require(alone or not isolated, "fill: margin")
        require(len(before.book) < MAX_POSITIONS, "fill: margin")
    reducing = position.size * size < 0 and abs(size) <= abs(position.size)
    bare = alone and not before.collateral
    health = None
    if reducing and not (bare and position.size + size == 0):
        health = assess(state, account, Level.RECENT)
    outcome = markets.fill(state, instrument, position, size, index, acceptable)
    after = replace(before, cash=before.cash + outcome.cash, reserved=before.reserved - reserved)
    hold_position(state, account, after, instrument, outcome.position)
    credit_owner(state, executor, execution_fee)
    if bare and not outcome.position.size:
        require(state.accounts[account].cash >= 0, "fill: margin")
    else:
        require(_margin_holds(state, account, outcome, index, slot, health), "fill: margin")


def _margin_holds(
    state: State,
    account: AccountId,
    outcome: Outcome,
    index: int,
    slot: int,
    health: Assessment | None,
) -> bool:
    """Whether an account may be as a fill has left it.

    Above initial margin at the newest price, and at the slot's where that is another; a
    reduction also where it is no nearer to liquidation than `health`, before it.
    """
    level = Level.TIGHT if health is None else Level.RECENT
    needed = state.accounts[account].reserved + outcome.crowding
    stored = stored_prices(state, level)

    def at_slot(feed: FeedId) -> Quote:
        quote = stored(feed)
        return replace(quote, price_wad=index) if feed == outcome.feed else quote

    now = assess(state, account, level)
    if health and now.equity * health.maintenance >= health.equity * now.maintenance:
        return True
    if now.equity_initial < now.initial + needed:
        return False
    if slot == outcome.quote.slot:
        return True
    then = assess(state, account, level, at_slot)
    return then.equity_initial >= then.initial + needed


def force_fill(
    state: State,
    account: AccountId,
    instrument: InstrumentId,
    size: int,
    equity: int,
    liquidator: Address,
) -> Outcome:
    """Close part of a liquidated position and pay the liquidator; have what the account cannot
    pay paid once it has nothing left (SPEC 8.4, 8.6)."""
    outcome = markets.force(state, instrument, state.positions[account, instrument], size, equity)
    record = state.accounts[account]
    hold_position(
        state,
        account,
        replace(record, cash=record.cash + outcome.cash),
        instrument,
        outcome.position,
    )
    credit_owner(state, liquidator, outcome.reward)
    if outcome.fee == 0 and (equity < 0 or not state.accounts[account].book):
        lost = max(0, -outcome.cash)
        absorb(state, account, instrument, -lost if size > 0 else lost)
    return outcome


def absorb(
    state: State, account: AccountId, instrument: InstrumentId = NO_INSTRUMENT, lost: int = 0
) -> None:
    """Have paid what a bare account is short of; of one that is not yet, remember the loss.

    `instrument`: of which a position was just closed by force; `lost` > 0 by a long, < 0 by a
    short.
    """
    record = state.accounts[account]
    bare, worth = not record.book, 0
    if bare:
        worth, _ = collateral_value(state, account, stored_prices(state, Level.ANY))
        bare = worth < DUST
        worth = 0 if bare else worth
    if instrument == NO_INSTRUMENT and not bare:
        return
    short = max(0, debts.owed(state, account) - record.cash - worth)
    paid = markets.absorb(state, account, instrument, lost, short, bare)
    if paid:
        credit(state, account, paid)
