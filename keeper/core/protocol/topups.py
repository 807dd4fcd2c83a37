"""Standing orders of owners that move cash of bucket 0 where it is missing (SPEC 13)."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.protocol import clearing
from keeper.core.protocol.state import State, TopUp
from keeper.core.types import AccountId, Address, Level, account_id, bucket_of, owner_of, require
from keeper.core.units import MICRO, PPM, ceil_div, ppm_ceil

MAX_HEALTH_PPM = 10_000_000
MIN_INTERVAL, MAX_INTERVAL = 60, 30 * 86_400
LEAST_PART = 10  # a tenth of what is wanted, or nothing


def set_rule(
    state: State,
    caller: Address,
    account: AccountId,
    trigger_ppm: int,
    target_ppm: int,
    interval: int,
    most: int,
    budget: int,
) -> None:
    """Have a bucket topped up from bucket 0; a budget of 0 ends the rule."""
    require(owner_of(account) == caller, "account: not the owner")
    require(bucket_of(account) != 0, "topup: bucket 0 is the source")
    if budget == 0:
        state.top_ups[account] = TopUp()
        return
    require(
        PPM <= trigger_ppm < target_ppm <= MAX_HEALTH_PPM
        and MIN_INTERVAL <= interval <= MAX_INTERVAL
        and 0 < most < 1 << 64
        and budget < 1 << 64,
        "topup: out of range",
    )
    state.top_ups[account] = TopUp(trigger_ppm, target_ppm, interval, 0, most, budget)


def top_up(state: State, account: AccountId) -> int:
    """Do what the rule of a bucket says now; native units moved."""
    rule, scale = state.top_ups[account], state.parameters.scale
    amount = wanted(state, account)
    used = min(ceil_div(amount * scale, MICRO), rule.budget)
    state.top_ups[account] = replace(rule, budget=rule.budget - used, last_at=state.now)
    owner = owner_of(account)
    clearing.move_cash(state, owner, account_id(owner, 0), account, amount)
    return amount


def wanted(state: State, account: AccountId) -> int:
    """Native units that the rule of a bucket moves now; refused where it does not."""
    rule, scale = state.top_ups[account], state.parameters.scale
    require(rule.budget != 0, "topup: no rule")
    require(state.now >= rule.last_at + rule.interval, "topup: too soon")
    assessed = clearing.assess(state, account, Level.FRESH)
    below = assessed.equity * PPM < rule.trigger_ppm * assessed.maintenance
    require(below, "topup: not needed")
    missing = ppm_ceil(assessed.maintenance, rule.target_ppm) - assessed.equity
    asked = min(ceil_div(missing, scale), min(rule.most, rule.budget) * MICRO // scale)
    amount = min(asked, _free(state, account_id(owner_of(account), 0)) // scale)
    require(amount > 0 and amount * LEAST_PART >= asked, "topup: too little free")
    return amount


def _free(state: State, source: AccountId) -> int:
    """Cash that may leave bucket 0 and that it need not borrow, WAD."""
    record = state.accounts[source]
    free = record.cash - record.reserved
    if record.book and free > 0:
        assessed = clearing.assess(state, source, Level.TIGHT)
        free = min(
            free,
            assessed.equity_initial - assessed.initial - record.reserved,
            assessed.settled_cash + assessed.collateral_initial - record.reserved,
        )
    return max(free, 0)
