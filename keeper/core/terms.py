"""The terms of an instrument: four packed words, each field named once (SPEC 3.1)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from keeper.core import pricing
from keeper.core.pricing import Series, Value
from keeper.core.ramps import Ramp
from keeper.core.types import FeedId, Status
from keeper.core.units import MILLI, PPM, WAD, ppm_ceil, ppm_floor
from keeper.core.words import Layout

RISK = Layout(
    kind=8,
    underlying=16,
    period_seconds=24,
    oi_rate_ppm=24,
    reserve_milli=24,
    funding_cap_ppm_per_day=24,
    strike_wad=96,
    margin_class=8,
)
FILL = Layout(
    depth_wad=128,
    premium_max_ppm=24,
    maker_ppm=24,
    taker_ppm=24,
    gap_ppm_per_year=24,
    lapse_ppm=24,
    status=8,
)
LIMIT = Layout(
    oi_cap_wad=96,
    oi_cap_usd=48,
    min_notional_usd=24,
    lambda_ppm=20,
    penalty_ppm=20,
    liquidator_bps=14,
    fee_insurance_bps=14,
    fee_protocol_bps=14,
)
UNDERLYING = Layout(
    feed=16,
    shock_ppm=24,
    factor_ppm=24,
    liquidity_usd=48,
    concentration_ppm=24,
    cluster=8,
    rho_ppm=24,
)
SCAN = Layout(
    sigma_ppm=24,
    margin_sigma_ppm=24,
    down_ppm=24,
    up_ppm=24,
    up_least_ppm=24,
    tail_weight_ppm=24,
    short_option_ppm=24,
    class_1_ppm=24,
    class_2_ppm=24,
)


@dataclass(frozen=True, slots=True)
class RiskTerms:
    """What an instrument is and what its margin adds to the scan."""

    kind: int
    underlying: int
    strike_wad: int
    period_seconds: int  # funding period T
    oi_rate_ppm: int  # initial margin on a full side of open interest
    reserve_milli: int  # 10^-3 USD per position
    funding_cap_ppm_per_day: int
    margin_class: int

    @property
    def reserve_wad(self) -> int:
        """Flat requirement of a position, WAD."""
        return self.reserve_milli * MILLI

    @property
    def series(self) -> Series:
        """What the instrument is, as it is priced."""
        return Series(self.kind, self.strike_wad, self.period_seconds)


@dataclass(frozen=True, slots=True)
class FillTerms:
    """What a trade pays."""

    depth_wad: int  # units at which the premium would be 100 % of S
    premium_max_ppm: int
    maker_ppm: int
    taker_ppm: int
    gap_ppm_per_year: int
    lapse_ppm: int
    status: int


@dataclass(frozen=True, slots=True)
class LimitTerms:
    """How much of an instrument there may be, and how a liquidation of it is split."""

    oi_cap_wad: int  # units per side
    oi_cap_usd: int  # whole USD per side
    min_notional_usd: int  # whole USD
    lambda_ppm: int
    penalty_ppm: int
    liquidator_bps: int  # of the penalty
    fee_insurance_bps: int  # of every fee
    fee_protocol_bps: int  # of every fee

    @property
    def min_notional_wad(self) -> int:
        return self.min_notional_usd * WAD


@dataclass(frozen=True, slots=True)
class UnderlyingTerms:
    """How far the price may jump, and how much of it can be sold at once."""

    feed: FeedId
    shock_ppm: int  # as set, the least; in force, what it is now
    factor_ppm: int  # plain initial over maintenance: 1,300,000 = 1.3
    liquidity_usd: int  # Lq, whole USD
    concentration_ppm: int  # k
    cluster: int
    rho_ppm: int

    @property
    def liquidity_wad(self) -> int:
        return self.liquidity_usd * WAD


@dataclass(frozen=True, slots=True)
class ScanTerms:
    """Volatilities of an underlying, and how far its scan moves them; 0 where only futures are."""

    sigma_ppm: int = 0  # σ_p a year, what options are priced at
    margin_sigma_ppm: int = 0  # σ_m a year, what margin expects at least
    down_ppm: int = 0  # b: σ_p(1 − b)
    up_ppm: int = 0  # a: (1 + a) of the larger volatility, at least
    up_least_ppm: int = 0  # σ_p plus it
    tail_weight_ppm: int = 330_000  # w of the moves by three shocks
    short_option_ppm: int = 0  # of the index price, for each option owed
    class_1_ppm: int = PPM  # factors of the strike classes on volatility
    class_2_ppm: int = PPM

    def class_ppm(self, margin_class: int) -> int:
        """The factor of a strike class; class 0 is the underlying's own volatility."""
        return (PPM, self.class_1_ppm, self.class_2_ppm)[margin_class]

    @property
    def sigmas(self) -> tuple[int, int, int]:
        """Volatility down, as it is and up, ppm a year; down is rounded down, up is up.

        The one place that says where the scan takes its volatilities from.
        """
        up = max(
            ppm_ceil(max(self.sigma_ppm, self.margin_sigma_ppm), PPM + self.up_ppm),
            self.sigma_ppm + self.up_least_ppm,
        )
        return ppm_floor(self.sigma_ppm, PPM - self.down_ppm), self.sigma_ppm, up


@dataclass(frozen=True, slots=True)
class Terms:
    """All that is fixed about one instrument until the governor changes it."""

    risk: RiskTerms
    fill: FillTerms
    limit: LimitTerms
    underlying: UnderlyingTerms
    scan: ScanTerms = ScanTerms()
    settlement_wad: int = 0  # what a unit is worth for ever once it settles
    initial_shock_ppm: int = 0  # in force: what new risk takes for the shock if it is more

    @property
    def settles(self) -> bool:
        """Whether nothing moves the instrument any more."""
        return self.fill.status == Status.SETTLING

    @property
    def over(self) -> bool:
        """Whether nothing trades any more: delisted and due, or settling."""
        return self.fill.status >= Status.DUE

    @property
    def class_ppm(self) -> int:
        """The factor of the instrument's strike class on volatility."""
        return self.scan.class_ppm(self.risk.margin_class)

    def value(self, index: int) -> Value:
        """θ and payoff at an index price (WAD), at the pricing volatility of the underlying."""
        sigma = ppm_floor(self.scan.sigma_ppm, self.class_ppm)
        return pricing.value(self.risk.series, index, sigma)


def in_force(terms: Terms, ramp: Ramp | None, now: int) -> Terms:
    """Terms as set, at a moment of their underlying's ramp (SPEC 12.8)."""
    if ramp is None:
        return terms
    floor = terms.underlying.shock_ppm
    return replace(
        terms,
        underlying=replace(terms.underlying, shock_ppm=ramp.shock(floor, now)),
        initial_shock_ppm=ramp.initial_shock(floor, now),
        scan=replace(terms.scan, sigma_ppm=ramp.sigma(now)),
    )


def decode(risk: int, fill: int, limit: int, underlying: int) -> Terms:
    """The terms behind the four words that the registry answers with."""
    about = UNDERLYING.unpack(underlying)
    feed = FeedId(about.pop("feed"))
    return Terms(
        risk=RiskTerms(**RISK.unpack(risk)),
        fill=FillTerms(**FILL.unpack(fill)),
        limit=LimitTerms(**LIMIT.unpack(limit)),
        underlying=UnderlyingTerms(feed=feed, **about),
    )


def encode(terms: Terms) -> tuple[int, int, int, int]:
    """The four words (risk, fill, limit, underlying); ValueError names a field out of bounds."""
    return (
        RISK.pack(asdict(terms.risk)),
        FILL.pack(asdict(terms.fill)),
        LIMIT.pack(asdict(terms.limit)),
        UNDERLYING.pack(asdict(terms.underlying)),
    )


def weighable(terms: Terms, band_ppm: int, tail_ppm: int) -> bool:
    """Whether margin covers what a liquidation costs (SPEC 7.10, exact in 10^-12), and what it
    leaves with pool and insurance covers the premium at full open interest (SPEC 7.11)."""
    under, limit = terms.underlying, terms.limit
    cost = limit.penalty_ppm + limit.lambda_ppm + terms.fill.taker_ppm
    gap = (under.factor_ppm - PPM) * under.shock_ppm
    kept = limit.lambda_ppm + limit.penalty_ppm * (10_000 - limit.liquidator_bps) // 10_000
    return (
        gap >= (cost + band_ppm) * PPM
        and under.shock_ppm >= cost + tail_ppm
        and limit.oi_cap_wad * PPM <= terms.fill.depth_wad * kept
    )
