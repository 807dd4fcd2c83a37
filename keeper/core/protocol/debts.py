"""What accounts owe against collateral: its ceilings and its interest (SPEC 2.7, 11)."""

from __future__ import annotations

from dataclasses import replace

from keeper.core import interest
from keeper.core.interest import Credit
from keeper.core.protocol import markets
from keeper.core.protocol.state import State
from keeper.core.types import AccountId, require
from keeper.core.units import PPM, ppm_floor


def owed(state: State, account: AccountId) -> int:
    """Interest that an account has run up since its cash last changed, WAD."""
    debt = state.accounts[account].debt
    return interest.owed(debt, index(state), state.debt_indices[account])


def due(state: State) -> int:
    """Interest of all accounts that is the pool's and in nobody's cash yet, WAD."""
    return interest.due(state.credit, index(state)) - _advance(state)


def accrue(state: State) -> None:
    """Bring the index up to now, and pass insurance's share of what it brought on to it."""
    passed_on = _advance(state)
    _store(state, replace(state.credit, index=index(state)))
    if passed_on:
        markets.change_lines(state, pool=-passed_on, insurance=passed_on)


def change(state: State, account: AccountId, cash: int, bearing: bool) -> int:
    """Settle an account's interest as its cash goes to `cash`, in WAD; the cash after both.

    For accounts in debt before or after. Debt that stays bears interest if `bearing`.
    """
    credit, passed_on = state.credit, _advance(state)
    grown, settled = index(state), state.debt_indices[account]
    debt = state.accounts[account].debt
    taken = interest.owed(debt, grown, settled)
    kept = interest.counted(debt, grown, settled)
    cash -= taken
    left = max(0, -cash)
    require(left < 1 << 112, "word: value too large")
    settled_to = grown if bearing and left else 0
    state.debt_indices[account] = settled_to
    _store(
        state,
        replace(
            credit,
            index=grown,
            total=credit.total + left - debt,
            bearing=credit.bearing + (left if settled_to else 0) - (debt if settled else 0),
            scaled=credit.scaled + interest.part(left, settled_to) - interest.part(debt, settled),
        ),
    )
    pool, insurance = kept - passed_on, taken - kept + passed_on
    if pool or insurance:
        markets.change_lines(state, pool=pool, insurance=insurance)
    return cash


def fits(state: State, debt: int) -> bool:
    """Whether a debt, and the sum of all, are below their ceilings (SPEC 2.7)."""
    lent = state.credit.total + interest.due(state.credit, index(state))
    return debt <= state.parameters.debt_cap and lent <= _lendable(state)


def index(state: State) -> int:
    """What a debt of RAY has grown to by now."""
    credit = state.credit
    return interest.index_after(credit.index, credit.rate, state.now - credit.accrued_at)


def _advance(state: State) -> int:
    """What the pool passes on to insurance of the interest since the last accrual."""
    credit = state.credit
    grown = interest.due(credit, index(state)) - interest.due(credit, credit.index)
    return ppm_floor(grown, state.parameters.debt_curve.insurance_ppm)


def _lendable(state: State) -> int:
    return max(0, state.lines.pool) * state.parameters.debt_share_ppm // PPM


def _store(state: State, credit: Credit) -> None:
    """Store debts whose index is up to now, and the rate that follows from what is lent."""
    used = interest.utilisation(credit.total, _lendable(state))
    rate = interest.rate(state.parameters.debt_curve, used)
    state.credit = replace(credit, rate=rate, accrued_at=state.now)
