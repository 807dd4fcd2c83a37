"""The one margin question: what must a book of positions hold (SPEC 7).

Isolated and cross are the same sum; an isolated account merely has one position. Portfolio nets
inside an underlying and sets off a part of one underlying against another of its cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from keeper.core import scan
from keeper.core.pricing import Kind
from keeper.core.quotes import Quote
from keeper.core.terms import Terms, UnderlyingTerms
from keeper.core.types import FeedId, InstrumentId, Mode, require
from keeper.core.units import DAY, PPM, WAD, ceil_div, mul_ceil, mul_floor, ppm_ceil, ppm_floor

PROVISION_PER_DAY = 3  # funding is provided for 8 hours
PROVISION_SECONDS = DAY // PROVISION_PER_DAY


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
    surcharge: int  # for shocks on their way up, and full blocks
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


def surcharge(loss: int, underlying: UnderlyingTerms, initial_shock_ppm: int) -> int:
    """What new risk needs beyond plain initial while the shock is on its way up, or blocks are
    full, rounded up (SPEC 7.5)."""
    above = max(0, initial_shock_ppm - underlying.shock_ppm)
    return ceil_div(loss * underlying.factor_ppm * above, PPM * underlying.shock_ppm)


def provision(size: int, index: int, terms: Terms, seconds: int = PROVISION_SECONDS) -> int:
    """Eight hours of the highest funding, rounded up (SPEC 7.4): of the premium at its cap, and of
    the time value, which a long pays over its period."""
    rate = terms.risk.funding_cap_ppm_per_day
    value = terms.value(index)
    decay = max(0, size * (value.fair - value.payoff)) * seconds
    return ceil_div(abs(size) * index * rate * seconds, DAY * PPM * WAD) + ceil_div(
        decay, terms.risk.period_seconds * WAD
    )


def short_option(size: int, index: int, terms: Terms) -> int:
    """What an option that is owed adds, rounded up (SPEC 7.4)."""
    if size >= 0 or terms.risk.kind not in (Kind.CALL, Kind.PUT):
        return 0
    return ceil_div(-size * index * terms.scan.short_option_ppm, PPM * WAD)


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


@dataclass(frozen=True, slots=True)
class Line:
    """What the positions on one underlying come to, WAD."""

    terms: UnderlyingTerms
    loss: int  # L
    exposure: int  # w, signed; 0 unless underlyings offset
    gain: int  # uPnL
    stale: bool
    initial_shock_ppm: int = 0  # what new risk takes for the shock if it is more


@dataclass(frozen=True, slots=True)
class Measure:
    """Every part of a requirement, WAD."""

    lines: dict[int, Line]  # by underlying
    offset: int  # Σ over clusters of 2φ·min(P, M), taken off the sum of losses
    add_ons: dict[str, int]
    maintenance: int
    plain_initial: int
    surcharge: int  # for shocks on their way up, and full blocks
    initial: int


def measure(
    mode: Mode,
    book: Iterable[Held],
    terms_of: Callable[[InstrumentId], Terms],
    price_of: Callable[[FeedId], Quote],
    is_stale: Callable[[FeedId], bool] = lambda _: False,
    provision_seconds: int = PROVISION_SECONDS,
) -> Measure:
    """What `book` must hold in `mode`, part by part (SPEC 7.2-7.5).

    A stale feed takes the offset of its cluster out of initial margin, never of maintenance.
    """
    book = tuple(book)
    require(mode is not Mode.ISOLATED or len(book) <= 1, "risk: isolated holds one")
    by_underlying: dict[int, list[tuple[Held, Terms, Quote]]] = {}
    added = dict.fromkeys(("concentration", "short_options", "provision", "reserve"), 0)
    unsure = 0
    for held in book:
        terms = terms_of(held.instrument)
        quote = price_of(terms.underlying.feed)
        by_underlying.setdefault(terms.risk.underlying, []).append((held, terms, quote))
        added["short_options"] += short_option(held.size, quote.price_wad, terms)
        added["provision"] += provision(held.size, quote.price_wad, terms, provision_seconds)
        added["reserve"] += terms.risk.reserve_wad
        unsure += confidence(held.size, quote.price_wad, quote.conf_ppm)
    lines = {}
    for underlying, positions in by_underlying.items():
        line = lines[underlying] = _line(mode, positions, is_stale)
        added["concentration"] += concentration(line.loss, line.terms)
    offset, initial_offset, fresh_offset = _offsets(lines.values())
    plain = sum(ppm_ceil(line.loss, line.terms.factor_ppm) for line in lines.values())
    plain += sum(added.values()) - initial_offset
    surge = sum(surcharge(one.loss, one.terms, one.initial_shock_ppm) for one in lines.values())
    return Measure(
        lines=lines,
        offset=offset,
        add_ons=added,
        maintenance=sum(line.loss for line in lines.values()) - offset + sum(added.values()),
        plain_initial=plain,
        surcharge=surge,
        initial=plain + initial_offset - fresh_offset + unsure + surge,
    )


def _line(
    mode: Mode, positions: list[tuple[Held, Terms, Quote]], is_stale: Callable[[FeedId], bool]
) -> Line:
    """One underlying: netted in portfolio mode, else each instrument on its own."""
    _, terms, quote = positions[0]
    point = point_of(terms, quote)
    legs = [leg_of(held, about) for held, about, _ in positions]
    loss, exposure = 0, 0
    if mode is Mode.PORTFOLIO:
        loss, exposure = scan.measure(legs, point)
    else:
        loss = sum(scan.measure((leg,), point)[0] for leg in legs)
    gain = sum(
        mul_floor(held.size, about.value(at.price_wad).fair) - held.notional
        for held, about, at in positions
    )
    stale = is_stale(terms.underlying.feed)
    return Line(terms.underlying, loss, exposure, gain, stale, terms.initial_shock_ppm)


def point_of(terms: Terms, quote: Quote) -> scan.Point:
    """Where an instrument's underlying is scanned from."""
    return scan.Point(
        quote.price_wad, terms.underlying.shock_ppm, terms.scan.sigmas, terms.scan.tail_weight_ppm
    )


def leg_of(held: Held, terms: Terms) -> scan.Leg:
    """A position as the scan sees it."""
    return scan.Leg(held.size, terms.risk.series, terms.class_ppm)


def _offsets(lines: Iterable[Line]) -> tuple[int, int, int]:
    """Offsets between underlyings, summed over clusters: of losses, of losses times the smallest
    factor of the cluster, and of those the ones of clusters whose every feed is fresh.

    A cluster offsets by the smallest correlation that one of its members states.
    """
    clusters: dict[int, list[Line]] = {}
    for line in lines:
        if line.terms.cluster:
            clusters.setdefault(line.terms.cluster, []).append(line)
    whole = weighted = fresh = 0
    for members in clusters.values():
        phi = scan.phi(min(line.terms.rho_ppm for line in members))
        offset = scan.offset((line.exposure for line in members), phi)
        counted = ppm_floor(offset, min(line.terms.factor_ppm for line in members))
        whole += offset
        weighted += counted
        fresh += 0 if any(line.stale for line in members) else counted
    return whole, weighted, fresh


def requirement(
    mode: Mode,
    book: Iterable[Held],
    terms_of: Callable[[InstrumentId], Terms],
    price_of: Callable[[FeedId], Quote],
    upnl_ppm: int,
    stale: bool = False,
) -> Requirement:
    """What `book` must hold in `mode`, at the prices that `price_of` answers (SPEC 7.1-7.8).

    `stale`: prices may be, as at level RECENT: none of them offsets new risk.
    """
    require(mode is not Mode.DEFAULT, "risk: mode not available")
    book = tuple(book)
    # what settles is moved by no price: nothing to cover, a gain counts in full
    settled = [held for held in book if terms_of(held.instrument).settles]
    final = sum(
        mul_floor(held.size, terms_of(held.instrument).settlement_wad) - held.notional
        for held in settled
    )
    require(mode is not Mode.ISOLATED or len(book) <= 1, "risk: isolated holds one")
    live = [held for held in book if held not in settled] if settled else book
    parts = measure(mode, live, terms_of, price_of, lambda _: stale)
    gains = [line.gain for line in parts.lines.values()]
    return Requirement(
        maintenance=parts.maintenance,
        plain_initial=parts.plain_initial,
        surcharge=parts.surcharge,
        initial=parts.initial,
        upnl=final + sum(gains),
        upnl_initial=final + sum(ppm_floor(gain, upnl_ppm) if gain > 0 else gain for gain in gains),
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
