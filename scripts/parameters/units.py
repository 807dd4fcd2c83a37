"""The units that people type, and the whole numbers that the contracts take for them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field

PPM = 10**6
BPS = 10**4
WAD = 10**18


def ppm(percent: Decimal) -> int:
    """5.2 (%) is 52,000 ppm."""
    return _whole_number(percent * PPM / 100)


def bps(percent: Decimal) -> int:
    """40 (%) is 4,000 bps."""
    return _whole_number(percent * BPS / 100)


def factor_ppm(factor: Decimal) -> int:
    """1.5 is 1,500,000 ppm."""
    return _whole_number(factor * PPM)


def wad(amount: Decimal | int) -> int:
    """1 is 10^18; digits beyond are cut."""
    return int(amount * WAD)


def native(amount: Decimal | int, decimals: int) -> int:
    """1 token is 10^decimals; digits beyond are cut."""
    return int(amount * 10**decimals)


def _whole_number(value: Decimal) -> int:
    if value != int(value):
        raise ValueError(f"{value} is not a whole number of units")
    return int(value)


def _number(low: str, high: str, places: int, noun: str) -> BeforeValidator:
    """A decimal within bounds, both included, with at most `places` digits after the point."""
    step = Decimal(1).scaleb(-places)

    def check(value: object) -> Decimal:
        if not isinstance(value, int | Decimal) or isinstance(value, bool):
            raise ValueError(expected)
        number = Decimal(value)
        if not number.is_finite() or not Decimal(low) <= number <= Decimal(high):
            raise ValueError(expected)
        if number % step:
            raise ValueError(expected)
        return number

    expected = f"expected {noun} from {low} to {high}" + (
        f", {places} decimals at most" * bool(places)
    )
    return BeforeValidator(check)


def _whole(low: int, high: int, noun: str) -> BeforeValidator:
    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"expected {noun} from {low} to {high}")
        return value

    return BeforeValidator(check)


Percent = Annotated[Decimal, _number("0", "100", 4, "a percentage")]
Yearly = Annotated[Decimal, _number("0", "400", 4, "a percentage")]
Deviations = Annotated[Decimal, _number("1", "20", 3, "a number of deviations")]
Share = Annotated[Decimal, _number("0", "100", 2, "a percentage")]
Factor = Annotated[Decimal, _number("1", "10", 6, "a factor")]
Usd = Annotated[Decimal, _number("0", "1000000", 3, "US dollars")]
UsdWhole = Annotated[int, _whole(0, 10**12, "whole US dollars")]
Seconds = Annotated[int, _whole(0, 30 * 86_400, "seconds")]
SecondsPositive = Annotated[int, _whole(1, 30 * 86_400, "seconds")]
Decimals = Annotated[int, _whole(0, 18, "decimals")]
Cluster = Annotated[int, _whole(0, 255, "a cluster's number")]
Count = Annotated[int, _whole(1, 16, "a number")]
Name = Annotated[str, Field(min_length=1, max_length=32)]
