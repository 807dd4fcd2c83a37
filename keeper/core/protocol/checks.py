"""Laws that must hold in every state, checked from all accounts (named by id in the tests)."""

from __future__ import annotations

from keeper.core import funding, interest, market
from keeper.core.market import Market
from keeper.core.protocol import debts, oracle
from keeper.core.protocol.state import (
    CLEARINGHOUSE,
    POOL,
    SETTLEMENT,
    VAULT,
    State,
)
from keeper.core.types import InstrumentId, Level
from keeper.core.units import MICRO, mul_floor


class Broken(AssertionError):
    """A law does not hold; the text says which, and both sides of it."""


def _equal(law: str, left: object, right: object) -> None:
    if left != right:
        raise Broken(f"{law}: {left} != {right}")


def ledger(state: State) -> None:
    """I-01: tokens held = Σ cash + lines + dust, exactly; nothing else claims them."""
    cash = sum(account.cash for _, account in state.accounts.items()) + escrowed(state)
    held = (state.wallets[SETTLEMENT, CLEARINGHOUSE] - state.dust) * state.parameters.scale
    _equal("I-01 ledger", held, cash + state.lines.total)
    credit = state.credit
    owing = {account: record.debt for account, record in state.accounts.items() if record.debt}
    settled = {account: state.debt_indices[account] for account in owing}
    _equal("I-01 total debt", credit.total, sum(owing.values()))
    bearing = sum(debt for account, debt in owing.items() if settled[account])
    _equal("I-01 debt with interest", credit.bearing, bearing)
    scaled = sum(interest.part(debt, settled[account]) for account, debt in owing.items())
    _equal("I-01 scaled debt", credit.scaled, scaled)
    _equal("I-01 escrow", state.wallets[SETTLEMENT, POOL], state.escrow)


def escrowed(state: State) -> int:
    """WAD of execution fees that live orders hold: of those that wait, for their trigger too."""
    return sum(
        order.execution_fee * (2 if live.waits else 1)
        for order, live in state.orders.items()
        if live is not None
    )


def sums(state: State) -> None:
    """I-08, I-09, I-11: open interest, ΣN, Σ floor(|q|·G0) and books, from the positions."""
    long: dict[InstrumentId, int] = {}
    short: dict[InstrumentId, int] = {}
    notional: dict[InstrumentId, int] = {}
    indexed: dict[InstrumentId, int] = {}
    books: dict[object, set[InstrumentId]] = {}
    for (account, one), position in state.positions.items():
        side = long if position.size > 0 else short
        side[one] = side.get(one, 0) + abs(position.size)
        notional[one] = notional.get(one, 0) + position.notional
        indexed[one] = indexed.get(one, 0) + funding.index_part(position)
        books.setdefault(account, set()).add(one)
    for one in state.terms:
        totals = state.markets[one]
        _equal(f"I-08 longs of {one}", totals.long_interest, long.get(one, 0))
        _equal(f"I-08 shorts of {one}", totals.short_interest, short.get(one, 0))
        _equal(f"I-09 ΣN of {one}", totals.notional_sum, notional.get(one, 0))
        _equal(f"I-09 Σ|q|G0 of {one}", totals.index_sum, indexed.get(one, 0))
    for account, record in state.accounts.items():
        _equal("I-11 book", set(record.book), books.get(account, set()))
        _equal("I-11 places", len(record.book), len(set(record.book)))
    marks = sum(state.markets[one].mark for one in state.terms)
    _equal("I-09 Σ mark", state.lines.mark, marks)
    needed = sum(state.markets[one].requirement for one in state.terms) * MICRO
    _equal("I-09 Σ requirement", state.lines.requirement, needed)
    held = [0] * len(state.tokens)
    for (_, token), amount in state.collateral.items():
        held[token] += amount
    for token, amount in enumerate(held):
        _equal(f"I-08 collateral {token}", state.collateral_total[token], amount)
        dust = state.wallets[token, VAULT] - amount
        if dust < 0:
            raise Broken(f"I-01 vault holds too little of token {token}: {dust}")


def reserves(state: State) -> None:
    """I-01: what is reserved of an account is what its live orders hold."""
    reserved: dict[object, int] = {}
    for order, commitment in state.orders.items():
        if commitment is not None:
            reserved[order.account] = reserved.get(order.account, 0) + commitment.reserved
    for account, record in state.accounts.items():
        _equal("I-01 reserved", record.reserved, reserved.get(account, 0))


def claims(state: State) -> None:
    """I-02, SPEC 2.3: Σ (cash + uPnL − owed) + NAV + Σ reserve + insurance + protocol = tokens.

    At the stored prices and this moment, to one unit a position and three an instrument.
    """
    lines = state.lines
    claimed = sum(account.cash for _, account in state.accounts.items())
    claimed += escrowed(state) + lines.total
    tolerance = 0
    now: dict[InstrumentId, tuple[Market, int]] = {}
    for one in state.terms:
        about = state.listed(one)
        accrued, _ = funding.accrued(state.markets[one], state.now)
        if about.settles:
            now[one] = accrued, about.settlement_wad
            claimed += market.unrealised(accrued, about.settlement_wad)
            tolerance += 3
            continue
        if state.prices[about.underlying.feed] is None:
            continue
        index = oracle.price(state, about.underlying.feed, Level.ANY).price_wad
        fair = about.value(index).fair
        # the gap fee that falls due goes from the pool line to insurance: their sum stays
        seen = market.premium_net(accrued, state.now, state.parameters.forced_window_seconds)
        depth = about.fill.depth_wad
        claimed += market.mark(accrued, fair, index, depth, seen)
        claimed += market.reserve(index, depth, accrued.net, seen)
        now[one] = accrued, fair
        tolerance += 3
    for (_, one), position in state.positions.items():
        accrued, fair = now[one]
        claimed += mul_floor(position.size, fair) - position.notional
        claimed -= funding.owed(position.size, accrued.side_index(position.size), position.index)
        tolerance += 3
    # what the pool passes on to insurance when interest is accrued moves between two lines
    grown = debts.index(state)
    claimed += interest.due(state.credit, grown)
    for account, settled in state.debt_indices.items():
        if settled:
            claimed -= debts.owed(state, account)
            tolerance += 2 + grown // interest.RAY
    held = (state.wallets[SETTLEMENT, CLEARINGHOUSE] - state.dust) * state.parameters.scale
    if not -tolerance <= claimed - held <= tolerance:
        raise Broken(f"I-02 claims: {claimed} for {held} held, off by {claimed - held}")
