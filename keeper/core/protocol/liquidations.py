"""Calls, liquidations, deficits, sales of collateral for debt (SPEC 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keeper.core import liquidation, margin
from keeper.core.accounts import mode_of
from keeper.core.liquidation import Assessment
from keeper.core.protocol import clearing, collateral, debts, oracle
from keeper.core.protocol.state import CLEARINGHOUSE, SETTLEMENT, State
from keeper.core.types import (
    AccountId,
    Address,
    InstrumentId,
    Level,
    Mode,
    Refused,
    owner_of,
    require,
)
from keeper.core.units import PPM, ceil_div, mul_ceil

NOBODY = Address(bytes(20))


@dataclass(frozen=True, slots=True)
class Liquidated:
    """What one liquidation closed."""

    size: int  # WAD units, > 0
    reward: int  # WAD, to bucket 0 of the liquidator


def call(state: State, account: AccountId) -> bool:
    """Call an account that fell below its line, or clear the call of one that is back above."""
    assessed = clearing.assess(state, account, Level.FRESH)
    line = liquidation.call_line(assessed, state.parameters.calls.call_ppm)
    below = assessed.equity < line
    record = state.accounts[account]
    require(below != record.called, "call: nothing to change")
    _set_call(state, account, below)
    return below


def is_liquidatable(state: State, account: AccountId) -> bool:
    """The view: whether `liquidate` would find the account liquidatable now (SPEC 8.2)."""
    return _liquidatable(state, account, clearing.assess(state, account, Level.FRESH))


def liquidate(
    state: State,
    caller: Address,
    account: AccountId,
    instrument: InstrumentId,
    max_size: int,
) -> Liquidated:
    """Close what brings the account back to plain initial, at most `max_size` (SPEC 8.3, 8.4)."""
    require(owner_of(account) != caller, "liquidation: own account")
    assessed = clearing.assess(state, account, Level.FRESH)
    require(_liquidatable(state, account, assessed), "liquidation: not liquidatable")
    terms = state.listed(instrument)
    require(not terms.over, "market: to be settled")
    index = oracle.price(state, terms.underlying.feed, Level.FRESH).price_wad
    position = state.positions[account, instrument]
    require(position.size != 0, "account: no such position")
    exposure = sum(
        mul_ceil(abs(held.size), index)
        for held in clearing.book_of(state, account)
        if state.listed(held.instrument).risk.underlying == terms.risk.underlying
        and not state.listed(held.instrument).settles
    )
    size = liquidation.closing_size(assessed, position.size, index, exposure, terms, max_size)
    delta = -size if position.size > 0 else size
    hard = liquidation.below_hard(assessed, state.parameters.calls)
    record = state.accounts[account]
    if mode_of(account, record) is Mode.PORTFOLIO and len(record.book) > 1 and not hard:
        rises = _improves(state, account, instrument, delta, assessed, index)
        require(rises, "liquidation: health would fall")
    outcome = clearing.force_fill(state, account, instrument, delta, assessed.equity, caller)
    return Liquidated(size=size, reward=outcome.reward)


def _improves(
    state: State,
    account: AccountId,
    instrument: InstrumentId,
    delta: int,
    assessed: Assessment,
    index: int,
) -> bool:
    """Whether health rises when a portfolio closes part of a position at the full price of a
    liquidation: what is closed may have hedged the rest (SPEC 8.3)."""
    book = [
        replace(held, size=held.size + (delta if held.instrument == instrument else 0))
        for held in clearing.book_of(state, account)
    ]
    needed = margin.requirement(
        Mode.PORTFOLIO,
        [held for held in book if held.size],
        state.listed,
        clearing.stored_prices(state, Level.FRESH),
        state.parameters.upnl_ppm,
    )
    paid = ceil_div(
        mul_ceil(abs(delta), index) * liquidation.cost(state.listed(instrument)), PPM * PPM
    )
    return (assessed.equity - paid) * assessed.maintenance > assessed.equity * needed.maintenance


def liquidate_many(
    state: State, caller: Address, targets: Sequence[tuple[AccountId, InstrumentId]]
) -> list[Liquidated | None]:
    """Liquidate several, skipping what is not liquidatable and what fails (SPEC 8.5)."""
    done: list[Liquidated | None] = []
    for account, instrument in targets:
        try:
            with state.attempt():
                done.append(liquidate(state, caller, account, instrument, (1 << 255) - 1))
        except Refused:
            done.append(None)
    return done


def settle_positions(state: State, accounts: Sequence[AccountId], instrument: InstrumentId) -> None:
    """End positions of an instrument that settles, at its value, for nothing (SPEC 10.6)."""
    require(state.listed(instrument).settles, "instruments: not settling")
    for account in accounts:
        size = state.positions[account, instrument].size
        if size:
            clearing.force_fill(state, account, instrument, -size, 0, NOBODY)


def absorb(state: State, account: AccountId) -> None:
    """Have the deficit paid of an account that has neither position nor collateral left."""
    clearing.absorb(state, account)


def mark_debt(state: State, account: AccountId) -> None:
    """Say since when an account's debt is due, or that it is due no more (SPEC 8.7)."""
    since, marked = due_from(state, account), state.debt_due[account]
    require((marked == 0 or since < marked) and since != marked, "debt: nothing to change")
    state.debt_due[account] = since


def due_from(state: State, account: AccountId) -> int:
    """When a debt marked now would be due; 0: there is none to mark."""
    assessed = clearing.assess(state, account, Level.FRESH)
    debt = state.accounts[account].debt + debts.owed(state, account)
    if not debt:
        return 0
    if _liquidatable(state, account, assessed):
        return state.now
    if debt > state.parameters.debt_sale_threshold:
        return state.now + state.parameters.debt_grace_seconds
    return 0


def repay_with_collateral(
    state: State, caller: Address, account: AccountId, token: int, cash: int, minimum: int
) -> int:
    """Pay native settlement tokens towards a debt and receive collateral for it (SPEC 8.7).

    No more is paid than the debt, to the next whole native unit; an account that has less of the
    token gives all it has.
    """
    parameters = state.parameters
    assessed = clearing.assess(state, account, Level.FRESH)
    debt = state.accounts[account].debt + debts.owed(state, account)
    require(debt > 0, "debt: not for sale")
    require(cash > 0, "debt: nothing to pay")
    discount_ppm = _sale_discount(state, account, debt, _liquidatable(state, account, assessed))
    cash = min(cash, ceil_div(debt, parameters.scale))
    paid = clearing.wad_of(state, cash)
    clearing.credit(state, account, paid)
    state.send(SETTLEMENT, caller, CLEARINGHOUSE, cash)
    if not 0 <= token < len(state.tokens):
        raise Refused("oracle: unknown feed")
    about = state.tokens[token]
    price = oracle.price(state, about.feed, Level.FRESH).price_wad
    bought = liquidation.collateral_bought(paid, price, discount_ppm, about.decimals)
    amount = min(bought, state.collateral[account, token])
    require(amount >= max(1, minimum), "debt: too little collateral")
    if paid >= debt:
        state.debt_due[account] = 0
    collateral.seize(state, account, token, amount, caller)
    return amount


def _sale_discount(state: State, account: AccountId, debt: int, liquidatable: bool) -> int:
    """What a sale takes off the price now; the liquidatable are due from the first who asks on."""
    since, parameters = state.debt_due[account], state.parameters
    if liquidatable:
        if since == 0 or since > state.now:
            since = state.debt_due[account] = state.now
    else:
        require(debt > parameters.debt_sale_threshold, "debt: not for sale")
        require(0 < since <= state.now, "debt: in grace")
    return liquidation.sale_discount(
        since, state.now, parameters.debt_rise_seconds, parameters.debt_discount_ppm
    )


def _liquidatable(state: State, account: AccountId, assessed: Assessment) -> bool:
    record = state.accounts[account]
    return liquidation.liquidatable(
        assessed,
        mode_of(account, record),
        record.called,
        record.call_deadline,
        state.parameters.calls,
        state.now,
    )


def _set_call(state: State, account: AccountId, called: bool) -> None:
    record = state.accounts[account]
    grace = state.parameters.calls.grace(mode_of(account, record))
    deadline = state.now + grace if called else 0
    clearing.write(state, account, replace(record, called=called, call_deadline=deadline))
