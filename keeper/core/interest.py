"""What a debt costs: growth by an index of every second, and a rate by how much is lent (SPEC 11).

Compounded every second, so that who asks how often changes nothing. All rounds up, against the
debtor.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.core.units import PPM, YEAR, ceil_div

RAY = 10**27
PPM_RAY = RAY // PPM
LONGEST = YEAR  # seconds of one accrual: more time counts for nothing
MAX_INDEX = (1 << 128) - 1  # where interest ends


@dataclass(frozen=True, slots=True)
class Curve:
    """Yearly rates by utilisation, ppm."""

    base_ppm: int  # when nothing is lent
    kink_ppm: int  # of what may be lent
    low_ppm: int  # more, up to the kink
    high_ppm: int  # more again, from the kink to all
    insurance_ppm: int  # insurance's share of interest


@dataclass(frozen=True, slots=True)
class Credit:
    """All debts of accounts, as they were accrued last."""

    index: int = RAY  # what a debt of RAY has grown to since the beginning
    rate: int = 0  # RAY a second, from accrued_at on
    accrued_at: int = 0  # unix seconds
    total: int = 0  # WAD, Σ max(0, −cash)
    bearing: int = 0  # WAD, the part of it that bears interest
    scaled: int = 0  # WAD, Σ of that part, each over the index that it is settled to


def growth(rate: int, seconds: int) -> int:
    """(1 + rate)^seconds, RAY, by squaring."""
    grown, base, left = RAY, RAY + rate, min(seconds, LONGEST)
    while left:
        if left & 1:
            grown = ceil_div(grown * base, RAY)
        left >>= 1
        if left:
            base = ceil_div(base * base, RAY)
    return grown


def index_after(index: int, rate: int, seconds: int) -> int:
    """The index after some time at a rate."""
    if seconds == 0:
        return index
    return min(ceil_div(index * growth(rate, seconds), RAY), MAX_INDEX)


def utilisation(total: int, lendable: int) -> int:
    """How much is lent of what may be, RAY; more than all counts as all."""
    if total == 0:
        return 0
    return ceil_div(total * RAY, lendable) if total < lendable else RAY


def rate(curve: Curve, used: int) -> int:
    """RAY a second, at a utilisation of RAY; continuous at the kink."""
    kink = curve.kink_ppm * PPM_RAY
    yearly = curve.base_ppm * PPM_RAY
    if used <= kink:
        yearly += ceil_div(curve.low_ppm * PPM_RAY * used, kink)
    else:
        yearly += curve.low_ppm * PPM_RAY
        yearly += ceil_div(curve.high_ppm * PPM_RAY * (used - kink), RAY - kink)
    return ceil_div(yearly, YEAR)


def owed(debt: int, index: int, settled: int) -> int:
    """Interest of a debt since its index was `settled`, rounded up; 0: it bears none."""
    return ceil_div(debt * index, settled) - debt if settled else 0


def counted(debt: int, index: int, settled: int) -> int:
    """The same as the pool counts it, rounded down."""
    return debt * index // settled - debt if settled else 0


def part(debt: int, settled: int) -> int:
    """What a debt adds to `scaled`."""
    return debt * RAY // settled if settled else 0


def due(credit: Credit, index: int) -> int:
    """Interest of all debts at an index, counted down, WAD."""
    return max(credit.scaled * index // RAY - credit.bearing, 0)
