"""Files of real prices: the long form and bars, plain or gzipped.

Long form: `time,asset,price`, one row per price, sorted by time.
Bars: `ts,open,high,low,close,volume`, one file per asset, sorted; more columns may follow.
Times are unix seconds, or ISO 8601 with a zone; prices are USD.
"""

from __future__ import annotations

import csv
import gzip
import re
import shlex
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from scripts.price_paths.types import PRICE_UNIT, Series

LONG_COLUMNS = ("time", "asset", "price")
BAR_COLUMNS = ("ts", "open", "high", "low", "close", "volume")
PRICE_MAX = Decimal(10**8)  # USD; fits the 56-bit mantissa of a stored price
SECONDS_MAX = 10**11  # a larger number is not seconds
BAR_SECONDS_MIN = 4  # a bar is replayed as four moments
LONE_BAR_SECONDS = 60


class PathError(Exception):
    """A price path cannot be used; the text names the file, the line and the remedy."""


class BarOrder(StrEnum):
    """Which extreme of a bar came first: the bar itself does not say."""

    HIGH_FIRST = "high first"
    LOW_FIRST = "low first"


def orders(specification: str) -> tuple[BarOrder | None, ...]:
    """The ways in which these files have to be replayed: bars in both orders of high and low."""
    return tuple(BarOrder) if _assignments(specification) else (None,)


def read(specification: str, order: BarOrder | None, known: Collection[str]) -> dict[str, Series]:
    """What PRICES names: a file in long form, or `ASSET=bars` for some assets.

    order: which extreme of a bar comes first; None for the long form.
    known: the assets that there are instruments for; others are refused.
    Raises PathError.
    """
    named = _assignments(specification)
    if not named:
        words = _words(specification)
        if len(words) != 1:
            raise PathError(
                f'PRICES="{specification}": name one file in long form (PRICES=path.csv), '
                'or bars by asset (PRICES="BTC=bars.csv ETH=bars.csv.gz")'
            )
        return _read_long(Path(words[0]), known)
    series: dict[str, Series] = {}
    for asset, path in named:
        if asset in series:
            raise PathError(f'PRICES="{specification}": {asset} is named twice')
        if asset not in known:
            raise PathError(f'PRICES="{specification}": {_unknown(asset, known)}')
        series[asset] = _read_bars(path, order or BarOrder.HIGH_FIRST)
    return series


def _words(specification: str) -> list[str]:
    try:
        return shlex.split(specification)
    except ValueError as error:
        raise PathError(f"PRICES={specification}: {error}; check the quotes") from None


def _assignments(specification: str) -> list[tuple[str, Path]]:
    """`ASSET=file` pairs; empty when the specification is a single file in long form."""
    matches = [re.fullmatch(r"(\w+)=(.+)", word) for word in _words(specification)]
    pairs = [(m[1].upper(), Path(m[2])) for m in matches if m]
    if pairs and len(pairs) != len(matches):
        raise PathError(f'PRICES="{specification}": every word has to be ASSET=file')
    return pairs


def _unknown(asset: str, known: Collection[str]) -> str:
    return f"no instrument for {asset!r}; there are {', '.join(sorted(known))}"


def _read_long(path: Path, known: Collection[str]) -> dict[str, Series]:
    rows = _Rows(path, LONG_COLUMNS)
    series: dict[str, list[tuple[int, Decimal]]] = {}
    latest: int | None = None
    for row in rows:
        time, asset = row.seconds("time"), row.text("asset").upper()
        if asset not in known:
            raise row.error("asset", _unknown(asset, known))
        if latest is not None and time < latest:
            raise row.error("time", f"is before the row above ({latest}); sort the rows by time")
        prices = series.setdefault(asset, [])
        if prices and time == prices[-1][0]:
            raise row.error("time", f"has a second price of {asset}; keep one")
        prices.append((time, row.price("price")))
        latest = time
    for asset, prices in series.items():
        if len(prices) < 2:
            raise PathError(f"{path}: {asset} has one price; a path needs two or more")
    return {asset: tuple(prices) for asset, prices in series.items()}


def _read_bars(path: Path, order: BarOrder) -> Series:
    """Four moments per bar: open, the two extremes in this order, close."""
    bars: list[tuple[int, tuple[Decimal, Decimal, Decimal, Decimal]]] = []
    for row in _Rows(path, BAR_COLUMNS):
        time = row.seconds("ts")
        if bars and time <= bars[-1][0]:
            raise row.error("ts", f"is not after the row above ({bars[-1][0]}); sort by ts")
        opened, high, low, close = (row.price(name) for name in BAR_COLUMNS[1:5])
        for name, price in (("open", opened), ("close", close)):
            if not low <= price <= high:
                raise row.error(name, f"is outside low {low} to high {high}")
        extremes = (high, low) if order is BarOrder.HIGH_FIRST else (low, high)
        bars.append((time, (opened, *extremes, close)))
    length = min((b[0] - a[0] for a, b in pairwise(bars)), default=LONE_BAR_SECONDS)
    if length < BAR_SECONDS_MIN:
        raise PathError(f"{path}: bars are {length} s apart; {BAR_SECONDS_MIN} s is the least")
    return tuple(
        (time + length * quarter // 4, price)
        for time, prices in bars
        for quarter, price in enumerate(prices)
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a file, able to say where it stands."""

    path: Path
    line: int
    values: dict[str, str]

    def error(self, column: str, problem: str) -> PathError:
        return PathError(f"{self.path}:{self.line}: {column} {self.values[column]!r} {problem}")

    def text(self, column: str) -> str:
        value = self.values[column]
        if not value:
            raise self.error(column, "is empty")
        return value

    def seconds(self, column: str) -> int:
        value = self.text(column)
        expected = "expected unix seconds such as 1583971200, or 2020-03-12T00:00:00Z"
        if re.fullmatch(r"\d+(\.0+)?", value):
            seconds = int(value.partition(".")[0])
        else:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                raise self.error(column, f"is not a time; {expected}") from None
            if moment.tzinfo is None:
                raise self.error(column, f"has no time zone; {expected}")
            seconds = int(moment.timestamp())
        if seconds >= SECONDS_MAX:
            raise self.error(column, f"looks like milliseconds; {expected}")
        return seconds

    def price(self, column: str) -> Decimal:
        value = self.text(column)
        try:
            price = Decimal(value)
        except InvalidOperation:
            price = Decimal("NaN")
        if not price.is_finite():
            raise self.error(column, "is not a number; expected a price in USD such as 64250.5")
        if not PRICE_UNIT <= price <= PRICE_MAX:
            raise self.error(column, f"is out of range; expected {PRICE_UNIT:f} to {PRICE_MAX} USD")
        return price.quantize(PRICE_UNIT)


class _Rows:
    """The rows of a CSV file with a header; says what is wrong with it, and where."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path, self.columns = path, columns

    def __iter__(self) -> Iterator[_Row]:
        reader = csv.reader(self._lines())
        header = self._header(next(reader, None))
        count = 0
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if len(fields) < len(header):
                raise PathError(
                    f"{self.path}:{reader.line_num}: {len(fields)} fields; "
                    f"expected {len(header)}: {','.join(header)}"
                )
            values = [field.strip() for field in fields]
            yield _Row(self.path, reader.line_num, dict(zip(header, values, strict=False)))
            count += 1
        if count == 0:
            raise PathError(f"{self.path}: no rows below the header")

    def _header(self, fields: list[str] | None) -> list[str]:
        wanted = ",".join(self.columns)
        if fields is None:
            raise PathError(f"{self.path}: the file is empty; expected the header {wanted}")
        header = [field.strip().lower() for field in fields]
        missing = [column for column in self.columns if column not in header]
        if not missing:
            return header
        hint = ""
        if all(column in header for column in BAR_COLUMNS):
            hint = f'; these are bars: give them an asset, PRICES="BTC={self.path}"'
        elif all(column in header for column in LONG_COLUMNS):
            hint = f"; this is the long form, which names its assets: PRICES={self.path}"
        raise PathError(
            f"{self.path}:1: no column {', '.join(missing)} in {','.join(header)}; "
            f"expected {wanted}{hint}"
        )

    def _lines(self) -> list[str]:
        path = self.path
        opener: Callable[[Path], bytes] = Path.read_bytes
        if path.suffix == ".gz":
            opener = _gunzip
        try:
            return opener(path).decode("utf-8-sig").splitlines()
        except FileNotFoundError:
            raise PathError(f"{path}: no such file") from None
        except IsADirectoryError:
            raise PathError(f"{path}: is a folder; name a file in it") from None
        except UnicodeDecodeError as error:
            raise PathError(f"{path}: not text at byte {error.start}; expected CSV") from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise PathError(f"{path}: not a whole gzip file ({error})") from None
        except OSError as error:
            raise PathError(f"{path}: cannot be read ({error.strerror})") from None


def _gunzip(path: Path) -> bytes:
    with gzip.open(path) as file:
        return file.read()
