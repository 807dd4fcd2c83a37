"""Who is called, who is liquidated, by how much, and who gets what of it (SPEC 8).

Health is equity over maintenance; it is compared by cross products, never divided.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.core import fills, margin
from keeper.core.terms import Terms
from keeper.core.types import Mode, require
from keeper.core.units import BPS, PPM, WAD, ceil_div, floor_div, ppm_ceil


@dataclass(frozen=True, slots=True)
class Policy:
    """When an account is called and when it is closed."""

    call_ppm: int  # place of the call line between maintenance and plain initial
    hard_ppm: int  # health below which no grace is given
    grace_isolated: int  # seconds from a call
    grace_cross: int

    def grace(self, mode: Mode) -> int:
        return self.grace_isolated if mode == Mode.ISOLATED else self.grace_cross


@dataclass(frozen=True, slots=True)
class Assessment:
    """An account measured against what it must hold, WAD."""

    equity: int
    equity_initial: int  # gains and collateral weighted for new risk
    maintenance: int
    plain_initial: int
    initial: int
    settled_cash: int = 0  # cash less what is owed by index: equity without any gain
    collateral_initial: int = 0  # what equity counts of collateral


def call_line(assessed: Assessment, call_ppm: int) -> int:
    """Equity below which an account may be called (SPEC 8.1)."""
    return assessed.maintenance + ppm_ceil(assessed.plain_initial - assessed.maintenance, call_ppm)


def liquidatable(
    assessed: Assessment, mode: Mode, called: bool, deadline: int, policy: Policy, now: int
) -> bool:
    """Whether positions of the account may be closed by anyone (SPEC 8.2)."""
    if assessed.equity >= assessed.maintenance:
        return False
    if below_hard(assessed, policy):
        return True
    return policy.grace(mode) == 0 or (called and now >= deadline)


def below_hard(assessed: Assessment, policy: Policy) -> bool:
    """Whether health is below the level at which nobody has any grace."""
    return assessed.equity * PPM < policy.hard_ppm * assessed.maintenance


def relief(terms: Terms, exposure: int) -> int:
    """How much plain initial falls per notional closed, in 10^-12 (SPEC 8.3).

    `exposure` is the WAD notional of the account's positions on the underlying. Concentration is
    convex, so its slope at the whole of it never lets a liquidation close too much.
    """
    under = terms.underlying
    rate = under.factor_ppm * under.shock_ppm
    rate += floor_div(terms.risk.funding_cap_ppm_per_day * PPM, margin.PROVISION_PER_DAY)
    liquidity = under.liquidity_wad
    if exposure > liquidity:
        slope = under.concentration_ppm * (2 * exposure - liquidity) * PPM
        rate += floor_div(slope, liquidity)
    return rate


def cost(terms: Terms) -> int:
    """What closing costs the account per notional, in 10^-12."""
    return PPM * (terms.limit.penalty_ppm + terms.limit.lambda_ppm + terms.fill.taker_ppm)


def closing_size(
    assessed: Assessment, size: int, index: int, exposure: int, terms: Terms, most: int
) -> int:
    """Units to close of a position: what is missing to plain initial (SPEC 8.3).

    Everything when half of maintenance is gone, when closing costs as much as it frees, or when
    what stays would be below the minimum; refused where `most` forbids that, for a part of
    everything would lower health.
    """
    held = wanted = abs(size)
    freed = relief(terms, exposure) - cost(terms)
    if assessed.equity * 2 >= assessed.maintenance and freed > 0:
        shortage = assessed.plain_initial - assessed.equity
        wanted = min(held, most, ceil_div(shortage * PPM * PPM * WAD, index * freed))
    if leaves_dust(held - wanted, index, terms):
        wanted = held
    require(0 < wanted <= most, "liquidation: nothing to close")
    return wanted


def leaves_dust(kept: int, index: int, terms: Terms) -> bool:
    """Whether `kept` units would be worth less than the instrument's minimum."""
    return kept > 0 and kept * index < terms.limit.min_notional_wad * WAD


@dataclass(frozen=True, slots=True)
class Charges:
    """What a liquidated account pays beside λ, WAD."""

    fee: int
    penalty: int
    reward: int  # the liquidator's part of the penalty; insurance has the rest


def charges(equity: int, index: int, delta: int, net: int, terms: Terms) -> Charges:
    """Fee and penalty, limited by the equity that the fill leaves (SPEC 8.4)."""
    limit = terms.limit
    left = equity - fills.forced_charge(index, delta, limit.lambda_ppm)
    fee = min(fills.trading_fee(terms, index, delta, net), max(0, left))
    full = ceil_div(abs(delta) * index * limit.penalty_ppm, PPM * WAD)
    penalty = min(full, max(0, left - fee))
    return Charges(fee, penalty, floor_div(penalty * limit.liquidator_bps, BPS))


def sale_discount(since: int, now: int, rise: int, most_ppm: int) -> int:
    """What a debt sale takes off the price, ppm, by the time that the debt is due (SPEC 8.7)."""
    return most_ppm * min(now - since, rise) // rise


def collateral_bought(cash: int, price_wad: int, discount_ppm: int, decimals: int) -> int:
    """Native units of collateral that `cash` (WAD) buys at a discount (SPEC 8.7)."""
    return cash * int(10**decimals) * PPM // (price_wad * (PPM - discount_ppm))
