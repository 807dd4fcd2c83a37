"""What a story leaves behind for its report. Numbers here are for eyes: floats, in USD and units.

What has to be exact is checked on integers before it becomes one of these.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything at the end of one step of the price path."""

    seconds: int  # since the path's start
    block: int
    prices: dict[str, float]  # asset to USD
    health: dict[str, float]  # account to equity / maintenance, of those that must hold margin
    funding: dict[str, float]  # instrument to percent per day, > 0 longs pay
    net_usd: dict[str, float]  # instrument to longs less shorts, USD
    nav: float
    insurance: float


@dataclass(frozen=True, slots=True)
class Liquidation:
    """One position closed by force, as far as margin was missing."""

    seconds: int
    block: int
    account: str
    instrument: str
    asset: str
    long: bool  # what the account held
    notional: float  # closed, USD
    price: float
    health: float  # by the reference, just before
    whole: bool  # nothing stayed


@dataclass(frozen=True, slots=True)
class Call:
    """An account asked for margin."""

    seconds: int
    account: str


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One account from its first deposit to its last withdrawal."""

    account: str
    mode: str
    opened: str  # what it traded
    leverage: float  # notional over equity at the start
    collateral: str
    put_in: float  # USD; collateral at its first price
    taken_out: float  # USD; collateral at its last price
    outcome: str


@dataclass(slots=True)
class Record:
    """A whole story."""

    title: str  # which prices
    network: str
    moments: list[Moment] = field(default_factory=list)
    liquidations: list[Liquidation] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    accounts: list[AccountLine] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)  # build/demo.json
    notes: list[str] = field(default_factory=list)  # what a reader should know besides
