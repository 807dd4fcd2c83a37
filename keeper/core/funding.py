"""Money that flows with time: funding between the sides, the gap fee to insurance (SPEC 5.4-5.6).

Everything an instrument's positions owe or are owed grows in two indices, one per side. The
rates applied to a stretch of time are those stored at its start, so nobody prices the past.
"""

from __future__ import annotations

from dataclasses import replace

from keeper.core.accounts import Position
from keeper.core.market import Market, still_won
from keeper.core.pricing import Value
from keeper.core.terms import Terms
from keeper.core.units import DAY, PPM, WAD, YEAR, ceil_div, clamp, floor_div, trunc_div


def accrued(market: Market, now: int) -> tuple[Market, int]:
    """The market with its indices at `now`, and the gap fee (WAD) that pool owes insurance.

    Index growth is an exact product: how often it is computed changes nothing.
    """
    elapsed = now - market.accrued_at
    if elapsed == 0:
        return market, 0
    interest = market.long_interest + market.short_interest
    grown = replace(
        market,
        long_index=market.long_index + (market.rate + market.gap) * elapsed,
        short_index=market.short_index + (market.gap - market.rate) * elapsed,
        accrued_at=now,
        won=still_won(market.won, elapsed),
    )
    return grown, floor_div(interest * market.gap * elapsed, WAD)


def funding_rate(terms: Terms, value: Value, index: int, premium_size: int) -> int:
    """WAD per unit and second that longs pay from now on (SPEC 5.5)."""
    period = terms.risk.period_seconds
    cap = floor_div(index * terms.risk.funding_cap_ppm_per_day, PPM * DAY)
    premium = trunc_div(index * premium_size, terms.fill.depth_wad * period)
    return floor_div(value.fair - value.payoff, period) + clamp(premium, cap)


def gap_rate(terms: Terms, index: int) -> int:
    """WAD per unit and second that both sides pay insurance from now on (SPEC 5.5)."""
    return ceil_div(index * terms.fill.gap_ppm_per_year, PPM * YEAR)


def owed(size: int, index: int, settled: int) -> int:
    """WAD that a position owes since it last settled, rounded up; < 0: it is owed (SPEC 5.6)."""
    return ceil_div(abs(size) * (index - settled), WAD)


def owed_to_pool(size: int, index: int, settled: int) -> int:
    """The part of `owed` that reaches the pool line; the rest, 0 or 1, is insurance's."""
    return floor_div(abs(size) * (index - settled), WAD)


def index_part(position: Position) -> int:
    """A position's part of the market's `index_sum`."""
    return floor_div(abs(position.size) * position.index, WAD)
