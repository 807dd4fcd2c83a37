"""Where prices come from: a CSV file, a seeded generator, or a feed that somebody pushes.

A source is asked with the chain's time and answers with what is known up to it, oldest first.
"""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Protocol

import requests

from keeper.config import PriceSettings
from keeper.edges.telemetry import logger

YEAR = 31_536_000
HTTP_TIMEOUT = 2.0  # seconds


class PriceError(Exception):
    """A source that cannot be used; the text names the file and line, or the address's fault."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Prices that hold from one moment on."""

    time: int  # unix seconds of the chain
    prices: Mapping[str, Decimal]  # USD by asset
    confidence_ppm: int | None = None  # None: what the configuration says


class Source(Protocol):
    """Something that knows prices."""

    def poll(self, now: int) -> list[Observation]:
        """What became known up to `now`, oldest first, each once."""
        ...


class Silent:
    """No prices: others post them."""

    def poll(self, now: int) -> list[Observation]:
        return []


class CsvSource:
    """Rows `time,asset,price` in order of time; the first time may be moved to a start."""

    def __init__(self, path: Path, assets: Sequence[str], start: int | None) -> None:
        """`start`: the chain's time that the first row is moved to; None leaves times alone."""
        self._waiting = _read_csv(path, assets)
        first = self._waiting[0].time
        self._shift = 0 if start is None else start - first
        self._next = 0

    def poll(self, now: int) -> list[Observation]:
        found = []
        while self._next < len(self._waiting):
            row = self._waiting[self._next]
            if row.time + self._shift > now:
                break
            found.append(Observation(row.time + self._shift, row.prices))
            self._next += 1
        return found


def _read_csv(path: Path, assets: Sequence[str]) -> list[Observation]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PriceError(f"{path}: cannot be read: {error}") from None
    if not rows or [cell.strip() for cell in rows[0]] != ["time", "asset", "price"]:
        raise PriceError(f"{path}: line 1: expected the header time,asset,price")
    moments: list[tuple[int, dict[str, Decimal]]] = []
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        time, asset, price = _csv_row(f"{path}: line {number}", row, assets)
        if not moments or time > moments[-1][0]:
            moments.append((time, {}))
        elif time < moments[-1][0]:
            raise PriceError(f"{path}: line {number}: time {time} is before the one above it")
        moments[-1][1][asset] = price
    if not moments:
        raise PriceError(f"{path}: no prices in it")
    return [Observation(time, prices) for time, prices in moments]


def _csv_row(place: str, row: list[str], assets: Sequence[str]) -> tuple[int, str, Decimal]:
    if len(row) != 3:
        raise PriceError(f"{place}: expected time,asset,price, got {len(row)} columns")
    time, asset, price = (cell.strip() for cell in row)
    if not time.isdecimal():
        raise PriceError(f"{place}: time {time!r}: expected unix seconds")
    if asset not in assets:
        raise PriceError(f"{place}: asset {asset!r}: expected one of {', '.join(assets)}")
    return int(time), asset, _price(price, place)


def _price(value: Any, place: str) -> Decimal:
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or price <= 0:
        raise PriceError(f"{place}: price {value!r}: expected a number above 0")
    return price


class GeneratorSource:
    """A seeded random walk: the step into a moment depends on seed, asset and moment alone, and a
    restart goes on from the last price posted."""

    def __init__(
        self, start: Mapping[str, float], seed: int, volatility: float,
        last: Mapping[str, Decimal], step: int = 1,
    ) -> None:  # fmt: skip
        """`last`: prices already posted, to go on from; `step`: seconds between prices."""
        self._prices = {asset: float(last.get(asset, price)) for asset, price in start.items()}
        self._seed, self._step = seed, step
        self._deviation = volatility * math.sqrt(step / YEAR)
        self._time: int | None = None

    def poll(self, now: int) -> list[Observation]:
        moment = now - now % self._step
        if self._time is not None and moment <= self._time:
            return []
        self._time = moment
        for asset, price in self._prices.items():
            draw = random.Random(f"{self._seed}:{asset}:{moment}").gauss(0, self._deviation)
            self._prices[asset] = price * math.exp(draw)
        return [Observation(moment, {a: Decimal(repr(p)) for a, p in self._prices.items()})]


class PushSource:
    """JSON that somebody writes: `{"time": …, "prices": {"BTC": "43000.5"}, "confidence_ppm": …}`.

    A file ending in .json holds the latest, one in .jsonl grows by a line each, a folder by a
    .json file each (in the order of their names), an address answers with the latest.
    """

    def __init__(self, where: Path | str, assets: Sequence[str]) -> None:
        self._assets = frozenset(assets)
        self._waiting: list[Observation] = []
        self._latest = 0
        self._read: Callable[[], list[tuple[str, str]]]
        if isinstance(where, str):
            self._session, self._url = requests.Session(), where
            self._read = self._http
        else:
            self._path = where
            self._offset, self._seen, self._stamp = 0, "", (0, 0)
            readers = {".jsonl": self._lines, ".json": self._file}
            self._read = readers.get(where.suffix, self._folder)

    def poll(self, now: int) -> list[Observation]:
        for place, text in self._read():
            try:
                self._waiting.append(self._parsed(place, text))
            except PriceError as error:
                logger().warning("price refused", why=str(error))
        due = [one for one in self._waiting if one.time <= now]
        self._waiting = [one for one in self._waiting if one.time > now]
        return sorted(due, key=lambda one: one.time)

    def _parsed(self, place: str, text: str) -> Observation:
        try:
            content = json.loads(text, parse_float=Decimal)
            time, prices = content["time"], content["prices"]
            confidence = content.get("confidence_ppm")
            known = {
                asset: _price(price, f"{place}: {asset}")
                for asset, price in prices.items()
                if asset in self._assets
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PriceError(f"{place}: expected time and prices: {error!r}") from None
        if not isinstance(time, int) or not isinstance(confidence, int | None):
            raise PriceError(f"{place}: time and confidence_ppm are whole numbers")
        return Observation(time, known, confidence)

    def _lines(self) -> list[tuple[str, str]]:
        """Complete lines added since the last look."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                added = file.read()
        except FileNotFoundError:
            return []
        complete = added[: added.rfind(b"\n") + 1]
        self._offset += len(complete)
        return [(self._path.name, line.decode()) for line in complete.splitlines() if line.strip()]

    def _file(self) -> list[tuple[str, str]]:
        """The content when the file has changed."""
        try:
            about = self._path.stat()
            stamp = (about.st_mtime_ns, about.st_ino)
            if stamp == self._stamp:
                return []
            self._stamp = stamp
            return [(self._path.name, self._path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []

    def _folder(self) -> list[tuple[str, str]]:
        """Files whose names come after the last one read."""
        names = sorted(file.name for file in self._path.glob("*.json") if file.name > self._seen)
        if names:
            self._seen = names[-1]
        return [(name, (self._path / name).read_text(encoding="utf-8")) for name in names]

    def _http(self) -> list[tuple[str, str]]:
        try:
            answer = self._session.get(self._url, timeout=HTTP_TIMEOUT)
            answer.raise_for_status()
        except requests.RequestException as error:
            logger().warning("price feed not reached", why=type(error).__name__)
            return []
        if answer.text == self._seen_text:
            return []
        self._seen_text = answer.text
        return [("price feed", answer.text)]

    _seen_text = ""


def source_of(
    settings: PriceSettings, assets: Sequence[str], start: int, last: Mapping[str, Decimal]
) -> Source:
    """The source that the configuration names. Raises PriceError."""
    if settings.source == "csv" and settings.path is not None:
        return CsvSource(settings.path, assets, start if settings.shift else None)
    if settings.source == "generator":
        unknown = sorted(set(settings.start) - set(assets))
        if unknown:
            raise PriceError(
                f"prices.start: {unknown[0]!r} has no feed: known are {', '.join(assets)}"
            )
        return GeneratorSource(settings.start, settings.seed, settings.volatility, last)
    if settings.source == "push" and settings.url is not None:
        return PushSource(str(settings.url), assets)
    if settings.source == "push" and settings.path is not None:
        return PushSource(settings.path, assets)
    return Silent()
