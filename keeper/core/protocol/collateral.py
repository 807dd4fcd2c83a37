"""Tokens that back an account beside its cash: the Vault (SPEC 2.6, 7.9)."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.protocol import clearing
from keeper.core.protocol.state import VAULT, State
from keeper.core.types import AccountId, Address, owner_of, require


def deposit(state: State, caller: Address, account: AccountId, token: int, amount: int) -> None:
    """Add native units of a collateral token to an account; anyone may."""
    require(amount > 0, "vault: amount is zero")
    _require_listed(state, token)
    total, cap = state.collateral_total[token], state.tokens[token].cap
    require(total + amount <= cap, "vault: cap reached")
    state.collateral_total[token] = total + amount
    _set(state, account, token, state.collateral[account, token] + amount)
    state.send(token, caller, VAULT, amount)


def withdraw(
    state: State,
    caller: Address,
    account: AccountId,
    token: int,
    amount: int,
    receiver: Address,
) -> None:
    """Send collateral away, as far as margin allows."""
    require(owner_of(account) == caller, "account: not the owner")
    _take(state, account, token, amount)
    _require_free(state, account)
    state.send(token, VAULT, receiver, amount)


def move(
    state: State,
    caller: Address,
    source: AccountId,
    target: AccountId,
    token: int,
    amount: int,
) -> None:
    """Move collateral between two buckets of one owner; the source is checked."""
    require(owner_of(source) == caller, "account: not the owner")
    require(owner_of(target) == caller, "account: not the owner")
    require(source != target, "account: same bucket")
    require(amount > 0, "vault: amount is zero")
    _require_listed(state, token)
    given = state.collateral[source, token]
    require(amount <= given, "vault: balance too small")
    _set(state, source, token, given - amount)
    _set(state, target, token, state.collateral[target, token] + amount)
    _require_free(state, source)


def seize(state: State, account: AccountId, token: int, amount: int, receiver: Address) -> None:
    """Send collateral of an account to the buyer of its debt."""
    _take(state, account, token, amount)
    state.send(token, VAULT, receiver, amount)


def _take(state: State, account: AccountId, token: int, amount: int) -> None:
    """Take collateral off the books, before it is sent."""
    require(amount > 0, "vault: amount is zero")
    _require_listed(state, token)
    held = state.collateral[account, token]
    require(amount <= held, "vault: balance too small")
    state.collateral_total[token] -= amount
    _set(state, account, token, held - amount)


def _require_free(state: State, account: AccountId) -> None:
    record = state.accounts[account]
    if record.book or record.cash < record.reserved:
        clearing.require_free(state, account)


def _require_listed(state: State, token: int) -> None:
    require(0 <= token < len(state.tokens), "vault: token not listed")


def _set(state: State, account: AccountId, token: int, amount: int) -> None:
    """One balance, and its bit of the account's mask."""
    state.collateral[account, token] = amount
    record = state.accounts[account]
    mask = record.collateral & ~(1 << token) | (1 << token if amount else 0)
    if mask != record.collateral:
        require(owner_of(account) != clearing.NOBODY, "account: no owner")
        clearing.write(state, account, replace(record, collateral=mask))
