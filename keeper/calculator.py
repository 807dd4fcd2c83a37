"""`keeper price` and `keeper margin`: what an instrument is worth and what a book would need.

The numbers come from the code that the keeper runs (`core/pricing.py`, `core/margin.py`); here is
only the way in and out: decimal strings, a book file, and a sentence that names the field when
something is wrong. A book file:

    {"params": {"ETH": {"S": 3000, "shock": 0.15, "vol": 0.8}, "rho_min": 0.7},
     "positions": {"ETH": [{"type": "perp", "q": 10},
                           {"type": "eo", "q": -10, "K": 3300, "T": 0.01917808, "call": true},
                           {"type": "power", "q": 1, "p": 2, "scale": 3000, "T": 0.01917808}]},
     "cash": "1000",
     "collateral": {"WETH": {"amount": "2", "price": "3000", "haircut": "0.12"}}}

T is in years of 365 days; a position's `entry` is its price per unit, its fair value if not given.
Fields that may be left out, and what they are then, stand in `UNDERLYING` and `BOOK`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from keeper.core import margin, pricing, scan
from keeper.core.liquidation import Assessment, call_line
from keeper.core.margin import Held, Measure
from keeper.core.pricing import Kind, Series
from keeper.core.quotes import Quote
from keeper.core.terms import (
    FillTerms,
    LimitTerms,
    RiskTerms,
    ScanTerms,
    Terms,
    UnderlyingTerms,
)
from keeper.core.types import FeedId, InstrumentId, Mode
from keeper.core.units import DAY, PPM, WAD, YEAR, floor_div, mul_floor

GRID = "{-1,-2/3,-1/3,0,1/3,2/3,1}*shock x {D,N,U} + {-3,+3}*shock,U,weight .33"  # the only one
KINDS = ("future", "call", "put", "power")
POWERS = {"2": Kind.SQUARE, "3": Kind.CUBE}
MODES = {"isolated": Mode.ISOLATED, "cross": Mode.CROSS, "portfolio": Mode.PORTFOLIO}

# of an underlying: what may be left out, and what it is then; None: must be given
UNDERLYING: dict[str, str | int | bool | None] = {
    "S": None,  # index price
    "shock": None,  # s
    "vol": "0",  # σ_p a year; needed for options and powers
    "margin_vol": "0",  # σ_m: what the scan's upper volatility starts from, if more than vol
    "vol_up": "0.5",
    "vol_dn": "0.3",
    "vol_min_up": "0",
    "ext_mult": 3,  # the tail's shocks: only 3
    "ext_weight": "0.33",
    "opt_contingency": "0.003",  # of S, for each option owed
    "liquidity": "10000000",  # Lq, USD that trade without a surcharge
    "concentration": "0.02",  # k of the surcharge beyond it
    "cluster": 1,  # 0: offsets with nothing
    "confidence": "0",  # of the price, adds to initial
    "stale": False,  # the feed: takes the offset out of initial
}
# of the book, in `params` too
BOOK: dict[str, str] = {
    "rho_min": "",  # floor of correlations; not given: underlyings offset nothing
    "im_factor": "1.3",  # plain initial over maintenance
    "call_share": "0.4",  # place of the call line between the two
    "provision_hours": "0",  # of funding that positions hold; contracts ask for 8
    "funding_cap": "0",  # a day, of the price, for the provision
    "reserve": "0",  # USD that each position holds for its liquidation
    "grid": GRID,
}


class BookError(Exception):
    """An input that cannot be used; the text names it and says what it must be."""


def price(
    kind: str, spot: str, strike: str, vol: str, period_seconds: int, power: int, scale: str
) -> dict[str, str]:
    """Value and slopes of one unit, as decimal strings."""
    if kind not in KINDS:
        raise BookError(f"--kind: {kind!r} is none of {', '.join(KINDS)}")
    index = _positive("--spot", spot)
    if kind == "future":
        series, sigma = pricing.FUTURE, 0
    else:
        sigma = _volatility("--vol", vol)
        _check_period("--period-seconds", period_seconds)
        if kind == "power":
            series = _power("--power", power, "--scale", scale, period_seconds, sigma)
        else:
            series = Series(
                Kind.CALL if kind == "call" else Kind.PUT,
                _positive("--strike", strike),
                period_seconds,
            )
    worth = pricing.value(series, index, sigma)
    slopes = pricing.greeks(series, index, sigma)
    time = worth.fair - worth.payoff
    return {
        "value": shown(worth.fair),
        "time_value": shown(time),
        "delta": shown(slopes.delta),
        "gamma": shown(slopes.gamma),
        "vega": shown(slopes.vega),
        "funding_per_day": shown(floor_div(time * DAY, series.period)),
    }


def requirement(text: str, mode: str) -> dict[str, Any]:
    """What the book of a file holds and needs in a mode, as decimal strings."""
    if mode not in MODES:
        raise BookError(f"--mode: {mode!r} is none of {', '.join(MODES)}")
    book = _Book.read(text)
    if mode == "isolated" and len(book.held) > 1:
        raise BookError("positions: an isolated account holds one instrument")
    parts = margin.measure(
        MODES[mode], book.held, book.terms.__getitem__, book.quotes.__getitem__, book.is_stale,
        book.provision_seconds,
    )  # fmt: skip
    gains = sum(line.gain for line in parts.lines.values())
    return {
        "mode": mode,
        "equity": shown(book.cash + book.collateral + gains),
        **_scanned(book, parts),
        "gross": shown(sum(line.loss for line in parts.lines.values())),
        "offset": shown(parts.offset),
        "risk": shown(sum(line.loss for line in parts.lines.values()) - parts.offset),
        "add_ons": {name: shown(amount) for name, amount in parts.add_ons.items()},
        "maintenance": shown(parts.maintenance),
        "initial": shown(parts.initial),
        "call_line": shown(
            call_line(
                Assessment(0, 0, parts.maintenance, parts.plain_initial, parts.initial),
                book.call_share_ppm,
            )
        ),
    }


def _scanned(book: _Book, parts: Measure) -> dict[str, dict[str, Any]]:
    """Losses, exposures and the scenario table, by underlying."""
    tables = {}
    for number, name in book.names.items():
        legs = [
            margin.leg_of(held, book.terms[held.instrument])
            for held in book.held
            if book.terms[held.instrument].risk.underlying == number
        ]
        if legs:
            sample = next(t for t in book.terms.values() if t.risk.underlying == number)
            point = margin.point_of(sample, book.quotes[FeedId(number)])
            tables[name] = scan.table(legs, point)
    lines = {book.names[number]: line for number, line in parts.lines.items()}
    return {
        "scan_loss": {name: shown(line.loss) for name, line in lines.items()},
        "exposure": {name: shown(line.exposure) for name, line in lines.items()},
        "worst_scenario": {name: scan.worst(results) for name, results in tables.items()},
        "scenarios": {
            name: [shown(floor_div(one, scan.SCALE)) for one in results]
            for name, results in tables.items()
        },
    }


@dataclass(frozen=True, slots=True)
class _Book:
    """A book file, in the core's units."""

    names: dict[int, str]  # of underlyings
    held: list[Held]
    terms: dict[InstrumentId, Terms]
    quotes: dict[FeedId, Quote]
    stale: frozenset[FeedId]
    cash: int
    collateral: int
    call_share_ppm: int
    provision_seconds: int

    def is_stale(self, feed: FeedId) -> bool:
        return feed in self.stale

    @classmethod
    def read(cls, text: str) -> _Book:
        try:
            root = json.loads(text, parse_float=Decimal)
        except json.JSONDecodeError as error:
            raise BookError(f"line {error.lineno}: not JSON: {error.msg}") from None
        root = _mapping("the book", root)
        _known("the book", root, {"params", "positions", "cash", "collateral"})
        params = _mapping("params", root.get("params"))
        shared = {**BOOK, **{key: params[key] for key in BOOK if key in params}}
        if shared["grid"] != GRID:
            raise BookError(f"params.grid: the scan has one: {GRID}")
        rho = None if shared["rho_min"] == "" else _share("params.rho_min", shared["rho_min"])
        common = _Common(
            factor_ppm=_ppm("params.im_factor", shared["im_factor"], least=PPM),
            rho_ppm=rho,
            cap_ppm=_ppm("params.funding_cap", shared["funding_cap"]),
            reserve_milli=_units("params.reserve", shared["reserve"], 3),
        )
        abouts = {
            name: _About.read(f"params.{name}", number, about, common)
            for number, (name, about) in enumerate(
                ((n, a) for n, a in params.items() if n not in BOOK), start=1
            )
        }
        book = cls(
            names={one.number: name for name, one in abouts.items()},
            held=[],
            terms={},
            quotes={FeedId(one.number): one.quote for one in abouts.values()},
            stale=frozenset(FeedId(one.number) for one in abouts.values() if one.stale),
            cash=_wad("cash", root.get("cash", "0")),
            collateral=_collateral(root.get("collateral", {})),
            call_share_ppm=_share("params.call_share", shared["call_share"]),
            provision_seconds=3_600
            * _units("params.provision_hours", shared["provision_hours"], 0),
        )
        for name, entries in _mapping("positions", root.get("positions")).items():
            if name not in abouts:
                raise BookError(f"positions.{name}: params has no underlying of that name")
            if not isinstance(entries, list):
                raise BookError(f"positions.{name}: must be a list of positions")
            for place, entry in enumerate(entries):
                book.add(f"positions.{name}[{place}]", entry, abouts[name], common)
        return book

    def add(self, where: str, entry: object, about: _About, common: _Common) -> None:
        """One more position, an instrument of its own."""
        given = _mapping(where, entry)
        series = _series(where, given, about)
        one = InstrumentId(len(self.held) + 1)
        self.terms[one] = about.terms(series, common)
        size = _wad(f"{where}.q", given.get("q"))
        if "entry" in given:
            cost = _wad(f"{where}.entry", given["entry"])
        else:
            cost = self.terms[one].value(about.quote.price_wad).fair
        self.held.append(Held(one, size, mul_floor(size, cost)))


@dataclass(frozen=True, slots=True)
class _Common:
    """What all underlyings of a book share."""

    factor_ppm: int
    rho_ppm: int | None
    cap_ppm: int
    reserve_milli: int


@dataclass(frozen=True, slots=True)
class _About:
    """One underlying of a book."""

    number: int
    quote: Quote
    stale: bool
    underlying: UnderlyingTerms
    scan: ScanTerms

    @classmethod
    def read(cls, where: str, number: int, about: object, common: _Common) -> _About:
        given = {**UNDERLYING, **_mapping(where, about)}
        _known(where, given, set(UNDERLYING))
        if str(given["ext_mult"]) != "3":
            raise BookError(f"{where}.ext_mult: the tail is at 3 shocks")
        if not isinstance(given["stale"], bool):
            raise BookError(f"{where}.stale: must be true or false")
        cluster = given["cluster"]
        if not isinstance(cluster, int) or not 0 <= cluster < 256:
            raise BookError(f"{where}.cluster: must be a whole number from 0 to 255")

        def ppm(name: str) -> int:
            return _share(f"{where}.{name}", given[name])

        tail = ppm("ext_weight")
        if tail * 3 >= PPM:
            raise BookError(f"{where}.ext_weight: must be below a third")
        return cls(
            number=number,
            quote=Quote(
                price_wad=_positive(f"{where}.S", given["S"]), conf_ppm=ppm("confidence"),
                slot=0, gap=0,
            ),
            stale=given["stale"],
            underlying=UnderlyingTerms(
                feed=FeedId(number),
                shock_ppm=_at_least(f"{where}.shock", ppm("shock"), 1),
                factor_ppm=common.factor_ppm,
                liquidity_usd=_at_least(
                    f"{where}.liquidity", _units(f"{where}.liquidity", given["liquidity"], 0), 1
                ),
                concentration_ppm=ppm("concentration"),
                cluster=0 if common.rho_ppm is None else cluster,
                rho_ppm=common.rho_ppm or 0,
            ),
            scan=ScanTerms(
                sigma_ppm=_ppm(f"{where}.vol", given["vol"]),
                margin_sigma_ppm=_ppm(f"{where}.margin_vol", given["margin_vol"]),
                down_ppm=ppm("vol_dn"),
                up_ppm=_ppm(f"{where}.vol_up", given["vol_up"]),
                up_least_ppm=_ppm(f"{where}.vol_min_up", given["vol_min_up"]),
                tail_weight_ppm=tail,
                short_option_ppm=ppm("opt_contingency"),
            ),
        )  # fmt: skip

    def terms(self, series: Series, common: _Common) -> Terms:
        """Terms of an instrument on it; what only trades ask is nothing."""
        return Terms(
            risk=RiskTerms(
                kind=series.kind, underlying=self.number, strike_wad=series.strike,
                period_seconds=series.period, oi_rate_ppm=0, reserve_milli=common.reserve_milli,
                funding_cap_ppm_per_day=common.cap_ppm, margin_class=0,
            ),
            fill=FillTerms(WAD, 0, 0, 0, 0, 0, 0),
            limit=LimitTerms(WAD, 0, 0, 0, 0, 0, 0, 0),
            underlying=self.underlying,
            scan=self.scan,
        )  # fmt: skip


_FIELDS = {
    "perp": {"type", "q", "entry"},
    "eo": {"type", "q", "entry", "K", "T", "call"},
    "power": {"type", "q", "entry", "p", "scale", "T"},
}


def _series(where: str, given: Mapping[str, Any], about: _About) -> Series:
    """What a position is in."""
    kind = given.get("type")
    if kind not in _FIELDS:
        raise BookError(f"{where}.type: must be one of {', '.join(_FIELDS)}, is {kind!r}")
    _known(where, given, _FIELDS[kind])
    if kind == "perp":
        return pricing.FUTURE
    years = _decimal(f"{where}.T", given.get("T"))
    period = int((years * YEAR).to_integral_value())
    _check_period(f"{where}.T", period)
    sigma = about.scan.sigma_ppm
    _check_volatility(f"params.{where.split('.')[1].split('[')[0]}.vol", sigma)
    if kind == "power":
        return _power(
            f"{where}.p", given.get("p"), f"{where}.scale", given.get("scale", "1"), period,
            about.scan.sigmas[2],
        )  # fmt: skip
    if not isinstance(given.get("call"), bool):
        raise BookError(f"{where}.call: must be true or false")
    return Series(
        Kind.CALL if given["call"] else Kind.PUT, _positive(f"{where}.K", given.get("K")), period
    )


def _power(
    power_field: str, power: object, scale_field: str, scale: object, period: int, sigma: int
) -> Series:
    """A power whose value stays below twice its payoff at a volatility."""
    kind = None if isinstance(power, bool) else POWERS.get(str(power))
    if kind is None:
        raise BookError(f"{power_field}: must be 2 or 3, is {power!r}")
    if pricing.growth(int(str(power)), sigma, period) >= pricing.MAX_GROWTH:
        raise BookError(
            f"{power_field}: hT is above a half: a lower volatility or a shorter period"
        )
    return Series(kind, _positive(scale_field, scale), period)


def _collateral(given: object) -> int:
    """What the tokens of a book count for, WAD."""
    worth = 0
    for token, about in _mapping("collateral", given).items():
        where = f"collateral.{token}"
        fields = _mapping(where, about)
        _known(where, fields, {"amount", "price", "haircut"})
        amount = _wad(f"{where}.amount", fields.get("amount"))
        if amount < 0:
            raise BookError(f"{where}.amount: must not be negative")
        at = _positive(f"{where}.price", fields.get("price"))
        haircut = _share(f"{where}.haircut", fields.get("haircut", "0"))
        worth += margin.collateral_value(amount, at, haircut, 18)
    return worth


# reading and showing numbers


def shown(wad: int) -> str:
    """A WAD number as a decimal string, exact, without trailing zeros."""
    whole, part = divmod(abs(wad), WAD)
    fraction = f".{part:018d}".rstrip("0").rstrip(".")
    return f"{'-' if wad < 0 else ''}{whole}{fraction}"


def _decimal(where: str, given: object) -> Decimal:
    if given is None:
        raise BookError(f"{where}: is missing")
    if isinstance(given, bool) or not isinstance(given, int | str | Decimal):
        raise BookError(f"{where}: must be a decimal number, is {given!r}")
    try:
        number = Decimal(given)
    except InvalidOperation:
        raise BookError(f"{where}: must be a decimal number, is {given!r}") from None
    if not number.is_finite() or abs(number) >= Decimal(2**96):
        raise BookError(f"{where}: {given} is out of range")
    return number


def _units(where: str, given: object, decimals: int) -> int:
    """A number of at least 0 and so many decimals, as an integer."""
    number = _decimal(where, given).scaleb(decimals)
    if number != number.to_integral_value():
        raise BookError(f"{where}: {given} has more than {decimals} decimals")
    if number < 0:
        raise BookError(f"{where}: must not be negative, is {given}")
    return int(number)


def _wad(where: str, given: object) -> int:
    """A signed number of at most 18 decimals, WAD."""
    number = _decimal(where, given)
    size = _units(where, abs(number), 18)
    return -size if number < 0 else size


def _positive(where: str, given: object) -> int:
    wad = _wad(where, given)
    if not 0 < wad <= pricing.MAX_INDEX:
        raise BookError(f"{where}: must be above 0 and below {pricing.MAX_INDEX // WAD}")
    return wad


def _ppm(where: str, given: object, least: int = 0) -> int:
    """A rate of at most 6 decimals, ppm, below 16."""
    return _at_least(where, _bounded(where, _units(where, given, 6), 16 * PPM), least)


def _share(where: str, given: object) -> int:
    """A rate from 0 to 1, ppm."""
    return _bounded(where, _units(where, given, 6), PPM)


def _bounded(where: str, number: int, most: int) -> int:
    if number > most:
        raise BookError(f"{where}: must be at most {most // PPM}")
    return number


def _at_least(where: str, number: int, least: int) -> int:
    if number < least:
        raise BookError(f"{where}: is too small")
    return number


def _volatility(where: str, given: object) -> int:
    sigma = _ppm(where, given)
    _check_volatility(where, sigma)
    return sigma


def _check_volatility(where: str, sigma: int) -> None:
    if not pricing.MIN_SIGMA <= sigma <= pricing.MAX_SIGMA:
        raise BookError(f"{where}: must be from 0.01 to 10 a year (1 = 100 %)")


def _check_period(where: str, seconds: int) -> None:
    if not pricing.MIN_PERIOD <= seconds <= pricing.MAX_PERIOD:
        raise BookError(f"{where}: must be from an hour (3,600 s) to 90 days")


def _mapping(where: str, given: object) -> Mapping[str, Any]:
    if given is None:
        raise BookError(f"{where}: is missing")
    if not isinstance(given, dict):
        raise BookError(f"{where}: must be an object of named fields")
    return given


def _known(where: str, given: Mapping[str, Any], fields: set[str]) -> None:
    for name in given:
        if name not in fields:
            raise BookError(f"{where}.{name}: unknown; known are {', '.join(sorted(fields))}")
