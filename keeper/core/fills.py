"""What a trade costs and what it does to a position (SPEC 5.7-5.10).

The premium is integrated over the trade, so splitting one gains nothing and a round trip at a
still price costs the fees. Signed notionals: > 0 is what a buyer pays.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.core.accounts import Position
from keeper.core.terms import Terms
from keeper.core.units import BPS, MICRO, PPM, WAD, ceil_div, floor_div, mul_ceil


def notional(fair: int, index: int, delta: int, premium_size: int, depth: int) -> int:
    """n of a trade of `delta` units starting at Q_p = `premium_size`, rounded up (SPEC 5.7)."""
    premium = ceil_div(index * delta * (2 * premium_size + delta), 2 * depth * WAD)
    return mul_ceil(fair, delta) + premium


def acceptable(cost: int, delta: int, price: int) -> bool:
    """Whether a trade costs a buyer at most, or brings a seller at least, `price` a unit.

    `price` is WAD; sells have a negative delta and a negative cost (SPEC 6.6).
    """
    return cost * WAD <= price * delta


def forced_charge(index: int, delta: int, lambda_ppm: int) -> int:
    """λ of a liquidating fill, WAD, rounded up (SPEC 5.8)."""
    return ceil_div(index * abs(delta) * lambda_ppm, PPM * WAD)


def forced_notional(fair: int, index: int, delta: int, lambda_ppm: int) -> int:
    """n of a liquidating fill: no premium, λ against the account (SPEC 5.8)."""
    return mul_ceil(fair, delta) + forced_charge(index, delta, lambda_ppm)


def closing(size: int, delta: int) -> int:
    """How much of a trade closes what a position holds, ≥ 0."""
    return min(abs(delta), abs(size)) if size * delta < 0 else 0


@dataclass(frozen=True, slots=True)
class Applied:
    """A position after a trade, and what the trade realised."""

    size: int
    notional: int
    realised: int  # WAD, to cash from the pool line


def applied(position: Position, delta: int, cost: int) -> Applied:
    """Apply a trade of `delta` for the notional `cost` (SPEC 5.9); Σ N + Σ realised is exact."""
    held = abs(position.size)
    closed = closing(position.size, delta)
    cost_closing = ceil_div(cost * closed, abs(delta))
    kept = floor_div(position.notional * (held - closed), held) if held else 0
    return Applied(
        size=position.size + delta,
        notional=kept + cost - cost_closing,
        realised=kept - position.notional - cost_closing,
    )


def trading_fee(terms: Terms, index: int, delta: int, net: int) -> int:
    """Maker fee on what brings |Q| down, taker fee on the rest, rounded up (SPEC 5.10)."""
    maker = closing(net, delta)
    taker = abs(delta) - maker
    rated = maker * terms.fill.maker_ppm + taker * terms.fill.taker_ppm
    return ceil_div(rated * index, PPM * WAD)


def opening_gap_fee(terms: Terms, index: int, opened: int) -> int:
    """A day of the gap fee on what a trade opens, rounded up (SPEC 5.10)."""
    return ceil_div(opened * index * terms.fill.gap_ppm_per_year, PPM * 365 * WAD)


@dataclass(frozen=True, slots=True)
class FeeParts:
    """Where a fee goes; the three add up to it exactly."""

    pool: int  # WAD
    insurance: int  # WAD
    protocol: int  # micro-USD


def split_fee(terms: Terms, fee: int) -> FeeParts:
    """Insurance and protocol rounded down, the rest to the pool (SPEC 5.10)."""
    insurance = floor_div(fee * terms.limit.fee_insurance_bps, BPS)
    protocol = floor_div(floor_div(fee * terms.limit.fee_protocol_bps, BPS), MICRO)
    return FeeParts(pool=fee - insurance - protocol * MICRO, insurance=insurance, protocol=protocol)
