"""Value of one unit of an instrument at an index price: the only place that asks its kind.

Trade, funding, margin and liquidation work with the fair value and the payoff that stand here.

| kind | payoff | fair value θ | delta |
| future | S | S | 1 |
| everlasting call, put | max(±(S − K), 0) | payoff + TV | of the call; the put's is 1 less |
| power p over a scale | S^p / scale | payoff / (1 − hT) | pθ/S |

With x = S/K, u = sqrt(1 + 8/(σ²T)): TV = (K/u)·x^((1 − u)/2) for x ≥ 1, (K/u)·x^((1 + u)/2) below,
the same for call and put, so call − put = S − K to the unit. h = p(p − 1)σ²/2. σ is annual, ppm;
T in seconds of a year of 31,536,000.

Values are rounded down and within 2 units + 4·10^-18·max(S, K) of the real ones, a power's within
10^-17 of itself; a position's value is rounded against its holder where sizes are applied. Inputs
beyond the bounds below count as the bound: nothing that is listed reaches them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import isqrt

from keeper.core.fixed import wad_exp, wad_ln
from keeper.core.types import Refused
from keeper.core.units import DAY, PPM, WAD, YEAR

MIN_SIGMA = 10_000  # ppm: 1 %
MAX_SIGMA = 10_000_000  # 1,000 %
MIN_PERIOD = 3_600
MAX_PERIOD = 90 * DAY
MAX_INDEX = (1 << 96) - 1  # WAD, of what is not a future
MAX_VALUE = (1 << 128) - 1  # WAD, of a power
MAX_GROWTH = WAD // 2  # hT


class Kind(IntEnum):
    """What an instrument pays."""

    FUTURE = 0
    CALL = 1
    PUT = 2
    SQUARE = 3
    CUBE = 4


@dataclass(frozen=True, slots=True)
class Series:
    """What an instrument is: all that its value depends on but price and volatility."""

    kind: int
    strike: int = 0  # WAD quote; of a power its scale; 0 of a future
    period: int = DAY  # T, seconds in which funding pays the time value

    @property
    def exponent(self) -> int:
        """p of a power; 0 of everything else."""
        return self.kind - 1 if self.kind in (Kind.SQUARE, Kind.CUBE) else 0


FUTURE = Series(Kind.FUTURE)


@dataclass(frozen=True, slots=True)
class Value:
    """One unit of an instrument, WAD."""

    fair: int  # θ, what equity counts
    payoff: int  # what funding pulls it to


@dataclass(frozen=True, slots=True)
class Greeks:
    """Slopes of θ, WAD, rounded down."""

    delta: int  # per USD of the index
    gamma: int  # of delta, per USD
    vega: int  # USD per 1.00 of annual volatility


def value(series: Series, index: int, sigma_ppm: int) -> Value:
    """θ and payoff at an index price (WAD); refused for a kind that has no pricing."""
    paid = payoff(series, index)
    if series.kind == Kind.FUTURE:
        return Value(fair=paid, payoff=paid)
    if series.exponent:
        grown = growth(series.exponent, sigma_ppm, series.period)
        return Value(fair=min(MAX_VALUE, paid * WAD // (WAD - grown)), payoff=paid)
    log = log_moneyness(min(index, MAX_INDEX), series.strike)
    time = time_value(series.strike, log, root(sigma_ppm, series.period))
    return Value(fair=paid + time, payoff=paid)


def payoff(series: Series, index: int) -> int:
    """What funding pulls the instrument to, WAD."""
    if series.kind == Kind.FUTURE:
        return index
    index = min(index, MAX_INDEX)
    if series.kind == Kind.CALL:
        return max(0, index - series.strike)
    if series.kind == Kind.PUT:
        return max(0, series.strike - index)
    if series.exponent:
        lower = index if series.kind == Kind.SQUARE else index * index // WAD
        return min(MAX_VALUE, lower * index // series.strike)
    raise Refused("pricing: kind not priced")


def root(sigma_ppm: int, period: int) -> int:
    """u = sqrt(1 + 8/(σ²T)), WAD, rounded down."""
    sigma, seconds = _clamped(sigma_ppm, period)
    return isqrt(WAD**2 + 8 * WAD**2 * PPM**2 * YEAR // (sigma**2 * seconds))


def growth(exponent: int, sigma_ppm: int, period: int) -> int:
    """hT = p(p − 1)σ²T/2, WAD, rounded down; at most ½, where a power's value would be twice its
    payoff: setters list none that reaches it."""
    sigma, seconds = _clamped(sigma_ppm, period)
    grown = exponent * (exponent - 1) * sigma**2 * seconds * WAD // (2 * PPM**2 * YEAR)
    return min(grown, MAX_GROWTH)


def log_moneyness(index: int, strike: int) -> int:
    """ln(S/K), WAD: of the ratio above 1, so that its error is that of one unit either way."""
    if index >= strike:
        return wad_ln(index * WAD // strike)
    return -wad_ln(strike * WAD // max(index, 1))


def time_value(strike: int, log: int, u: int) -> int:
    """TV of an everlasting option, WAD, rounded down."""
    return strike * decay(log, u - WAD if log >= 0 else u + WAD) // u


def decay(distance: int, steepness: int) -> int:
    """exp(−|distance|·steepness/2), all WAD."""
    return wad_exp(-(abs(distance) * steepness // (2 * WAD)))


def greeks(series: Series, index: int, sigma_ppm: int) -> Greeks:
    """Delta, gamma and vega of one unit."""
    if series.kind == Kind.FUTURE:
        return Greeks(delta=WAD, gamma=0, vega=0)
    fair = value(series, index, sigma_ppm)
    index = max(1, min(index, MAX_INDEX))
    if series.exponent:
        p, sigma = series.exponent, _clamped(sigma_ppm, series.period)[0]
        grown = growth(p, sigma_ppm, series.period)
        return Greeks(
            delta=p * fair.fair * WAD // index,
            gamma=p * (p - 1) * fair.fair * WAD**2 // index**2,
            vega=2 * fair.fair * grown * PPM // ((WAD - grown) * sigma),
        )
    return _option_greeks(series, index, sigma_ppm, fair.fair - fair.payoff)


def _option_greeks(series: Series, index: int, sigma_ppm: int, time: int) -> Greeks:
    """With 8/(σ²T) = u² − 1 put in: γ = TV(u² − 1)/4S², vega = TV(u² − 1)(1/u + |ln x|/2)/σu."""
    sigma, _ = _clamped(sigma_ppm, series.period)
    u = root(sigma_ppm, series.period)
    log = log_moneyness(index, series.strike)
    above = log >= 0
    slope = (u - WAD if above else u + WAD) * time // (2 * index)
    delta = WAD - slope if above else slope
    curvature = time * (u * u - WAD**2)
    reach = WAD**2 // u + abs(log) // 2
    return Greeks(
        delta=delta if series.kind == Kind.CALL else delta - WAD,
        gamma=curvature // (4 * index**2),
        vega=curvature // (WAD * u) * reach * PPM // (WAD * sigma),
    )


def _clamped(sigma_ppm: int, period: int) -> tuple[int, int]:
    """Volatility and period within the bounds that the arithmetic is proven for."""
    return (
        max(MIN_SIGMA, min(MAX_SIGMA, sigma_ppm)),
        max(MIN_PERIOD, min(MAX_PERIOD, period)),
    )
