"""The one margin question: what must a book of positions hold (SPEC 7).

Isolated and cross are the same sum; an isolated account merely has one position. The scan of a
future is linear, so it costs one multiplication.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from keeper.core import pricing
from keeper.core.quotes import Quote
from keeper.core.terms import Terms, UnderlyingTerms
from keeper.core.types import FeedId, InstrumentId, Mode, require
from keeper.core.units import PPM, WAD, ceil_div, mul_ceil, mul_floor, ppm_ceil, ppm_floor

PROVISION_PER_DAY = 3  # funding is provided for 8 hours


@dataclass(frozen=True, slots=True)
class Held:
    """A position of the book that is asked about."""

    instrument: InstrumentId
    size: int  # WAD units, > 0 long
    notional: int  # WAD, signed sum of its fills


@dataclass(frozen=True, slots=True)
class Requirement:
    """What the book must hold and what it stands to gain, WAD."""

    maintenance: int
    plain_initial: int  # of the book alone
    initial: int  # plus what counts for new risk only
    upnl: int  # full weight
    upnl_initial: int  # gains weighted per underlying


def scan_loss(size: int, index: int, shock_ppm: int) -> int:
    """L of a future: the loss of a shock of the underlying, rounded up (SPEC 7.2)."""
    return ceil_div(abs(size) * index * shock_ppm, PPM * WAD)


def shocked_notional(loss: int, shock_ppm: int) -> int:
    """n: the notional whose shock is `loss`, rounded up (SPEC 7.3)."""
    return ceil_div(loss * PPM, shock_ppm)


def concentration(loss: int, underlying: UnderlyingTerms) -> int:
    """C: what a size that the market cannot take at once adds, rounded up (SPEC 7.3)."""
    notional = shocked_notional(loss, underlying.shock_ppm)
    liquidity = underlying.liquidity_wad
    if notional <= liquidity:
        return 0
    weighted = underlying.concentration_ppm * notional * (notional - liquidity)
    return ceil_div(weighted, PPM * liquidity)


def provision(size: int, index: int, terms: Terms) -> int:
    """Eight hours of the highest funding, rounded up (SPEC 7.4)."""
    rate = terms.risk.funding_cap_ppm_per_day
    return ceil_div(abs(size) * index * rate, PROVISION_PER_DAY * PPM * WAD)


def confidence(size: int, index: int, conf_ppm: int) -> int:
    """What an uncertain price adds to new risk, rounded up (SPEC 7.5)."""
    return ceil_div(abs(size) * index * conf_ppm, PPM * WAD)


def crowding(size: int, index: int, interest: int, terms: Terms) -> int:
    """What the side's open interest adds to new risk, rounded up (SPEC 7.6).

    `interest` is that of the side of `size` after the act, so splitting over accounts gains
    nothing.
    """
    cap = terms.limit.oi_cap_wad
    crowd = mul_ceil(abs(size), index) * terms.risk.oi_rate_ppm * min(interest, cap)
    return ceil_div(crowd, PPM * cap)


def requirement(
    mode: Mode,
    book: Iterable[Held],
    terms_of: Callable[[InstrumentId], Terms],
    price_of: Callable[[FeedId], Quote],
    upnl_ppm: int,
) -> Requirement:
    """What `book` must hold in `mode`, at the prices that `price_of` answers (SPEC 7.1-7.8)."""
    book = tuple(book)
    require(mode in (Mode.ISOLATED, Mode.CROSS), "risk: mode not available")
    require(mode is Mode.CROSS or len(book) <= 1, "risk: isolated holds one")
    losses: dict[int, int] = {}
    gains: dict[int, int] = {}
    underlyings: dict[int, UnderlyingTerms] = {}
    added = 0
    unsure = 0
    final = 0
    for held in book:
        terms = terms_of(held.instrument)
        if terms.settles:  # no price moves it: nothing to cover, a gain counts in full
            final += mul_floor(held.size, terms.settlement_wad) - held.notional
            continue
        quote = price_of(terms.underlying.feed)
        index = quote.price_wad
        under = terms.risk.underlying
        underlyings[under] = terms.underlying
        losses[under] = losses.get(under, 0) + scan_loss(
            held.size, index, terms.underlying.shock_ppm
        )
        fair = pricing.value(terms.risk, index).fair
        gains[under] = gains.get(under, 0) + mul_floor(held.size, fair) - held.notional
        added += provision(held.size, index, terms) + terms.risk.reserve_wad
        unsure += confidence(held.size, index, quote.conf_ppm)
    for under, loss in losses.items():
        added += concentration(loss, underlyings[under])
    plain = added + sum(
        ppm_ceil(loss, underlyings[under].factor_ppm) for under, loss in losses.items()
    )
    return Requirement(
        maintenance=added + sum(losses.values()),
        plain_initial=plain,
        initial=plain + unsure,
        upnl=final + sum(gains.values()),
        upnl_initial=final
        + sum(ppm_floor(gain, upnl_ppm) if gain > 0 else gain for gain in gains.values()),
    )


def debt_requirement(debt: int, maintenance_ppm: int, initial_ppm: int) -> tuple[int, int]:
    """(maintenance, initial) of an account with debt and no position, rounded up (SPEC 7.7)."""
    return ppm_ceil(debt, maintenance_ppm), ppm_ceil(debt, initial_ppm)


def pool_requirement(net: int, index: int, underlying: UnderlyingTerms) -> int:
    """What the pool must hold for the other side of an instrument (SPEC 5.12)."""
    loss = scan_loss(net, index, underlying.shock_ppm)
    return loss + concentration(loss, underlying)


HAIRCUT_RAMP_PPM = 50_000  # a day, either way
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Haircut:
    """What is taken off a collateral token's value, ppm (SPEC 7.9)."""

    from_ppm: int  # the base when it was last changed
    target_ppm: int  # where it has been going since
    since: int  # unix seconds
    slope_ppm: int  # more for new risk, when all that the cap allows is held

    def base(self, now: int) -> int:
        """For maintenance: it moves by its ramp alone."""
        step = HAIRCUT_RAMP_PPM * (now - self.since) // DAY
        if self.from_ppm < self.target_ppm:
            return min(self.from_ppm + step, self.target_ppm)
        return max(self.from_ppm - step, self.target_ppm)

    def initial(self, now: int, total: int, cap: int) -> int:
        """For new risk: the stricter of base and target, and the slope, rounded up."""
        held = self.slope_ppm if total >= cap else ceil_div(self.slope_ppm * total, cap)
        return min(PPM, max(self.base(now), self.target_ppm) + held)


def collateral_value(amount: int, price_wad: int, haircut_ppm: int, decimals: int) -> int:
    """What a token counts for, WAD, rounded down (SPEC 7.9)."""
    return amount * price_wad * (PPM - haircut_ppm) // (PPM * int(10**decimals))
