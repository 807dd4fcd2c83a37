"""Figures of a market, read from TOML in the units that people use.

    terms = parameters.load("devnet")
    units.ppm(terms.underlyings["BTC"].shock_percent)      # 52000

Percentages and factors are exact decimals. Whether a figure is sensible is for the setters of the
contracts to say; here it has to be known by name, be a number, and have a whole counterpart in the
units of the contracts.
"""

from __future__ import annotations

import difflib
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from scripts.parameters.units import (
    Cluster,
    Count,
    Decimals,
    Deviations,
    Factor,
    Name,
    Percent,
    Seconds,
    SecondsPositive,
    Share,
    Usd,
    UsdWhole,
    Yearly,
)

FOLDER = Path(__file__).parent


class ParameterError(Exception):
    """A parameter file cannot be used; the text names file, key, value and what is expected."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Settlement(_Section):
    """The stablecoin that cash is counted in."""

    symbol: Name
    decimals: Decimals


class Governance(_Section):
    """The delay before what the governor decides takes effect."""

    timelock_delay_seconds: Seconds


class Oracle(_Section):
    """Who may sign prices, and how many must agree."""

    reporters: Count
    quorum: Count


class Feed(_Section):
    """One feed's form, age and precision."""

    decimals: Decimals
    grid_seconds: SecondsPositive
    fresh_seconds: SecondsPositive
    recent_seconds: SecondsPositive
    width_percent: Percent
    confidence_max_percent: Percent


class Underlying(_Section):
    """How far a price moves, and what margin follows."""

    feed: Name
    shock_percent: Percent
    factor: Factor
    band_percent: Percent
    tail_percent: Percent
    liquidity_usd: UsdWhole
    concentration_percent: Percent
    cluster: Cluster
    correlation_percent: Percent


class Volatility(_Section):
    """How much an underlying moves a year, and what shock follows."""

    start_percent: Yearly
    floor_percent: Yearly
    stress_percent: Yearly
    deviations: Deviations
    horizon_seconds: SecondsPositive
    shock_cap_percent: Percent


class Congestion(_Section):
    """How much longer a liquidation takes when blocks are full."""

    measure: Literal["base fee", "age"] = "base fee"
    liquidation_seconds: Seconds = 0  # 0: none is counted
    delay_seconds: Seconds = 0
    delay_max_seconds: Seconds = 0


class Instrument(_Section):
    """What is traded, at which fees and up to which limits."""

    kind: Literal["future"]
    underlying: Name
    funding_period_seconds: SecondsPositive
    funding_cap_percent_per_day: Percent
    gap_fee_percent_per_year: Percent
    depth_usd: UsdWhole
    premium_max_percent: Percent
    maker_fee_percent: Percent
    taker_fee_percent: Percent
    lapse_charge_percent: Percent
    open_interest_cap_usd: UsdWhole
    open_interest_rate_percent: Percent
    minimum_position_usd: UsdWhole
    flat_reserve_usd: Usd
    forced_discount_percent: Percent
    penalty_percent: Percent
    liquidator_share_percent: Share
    insurance_fee_share_percent: Share
    protocol_fee_share_percent: Share
    insurance_cap_usd: UsdWhole


class Collateral(_Section):
    """A token that counts towards margin."""

    feed: Name
    decimals: Decimals
    haircut_percent: Percent
    haircut_slope_percent: Percent
    cap_usd: UsdWhole


class Debt(_Section):
    """Negative cash against collateral."""

    account_cap_usd: UsdWhole
    pool_share_percent: Percent
    maintenance_percent: Percent
    initial_percent: Percent
    sale_discount_percent: Percent
    sale_threshold_usd: UsdWhole
    sale_grace_seconds: Seconds
    sale_rise_seconds: SecondsPositive
    insurance_cap_usd: UsdWhole
    interest_base_percent_per_year: Percent
    interest_kink_percent: Percent
    interest_to_kink_percent_per_year: Percent
    interest_beyond_kink_percent_per_year: Percent
    interest_insurance_share_percent: Share


class Margin(_Section):
    """What counts for new risk."""

    gain_weight_percent: Percent
    order_buffer_percent: Percent


class Calls(_Section):
    """When an account is called, and how long it has."""

    call_line_percent: Percent
    hard_level_percent: Percent
    grace_isolated_seconds: Seconds
    grace_cross_seconds: Seconds


class Orders(_Section):
    """From commitment to fill."""

    delay_seconds: SecondsPositive
    window_seconds: SecondsPositive


class Pool(_Section):
    """The other side of every trade."""

    request_delay_seconds: SecondsPositive
    request_window_seconds: SecondsPositive
    exit_fee_percent: Percent
    margin_factor: Factor
    exit_factor: Factor
    reduce_only_percent: Percent
    forced_window_seconds: SecondsPositive


class Losses(_Section):
    """Who pays what an account could not."""

    instrument_share_percent: Percent
    underlying_share_percent: Percent
    total_share_percent: Percent
    window_seconds: SecondsPositive
    settlement_floor_usd: UsdWhole


class Parameters(_Section):
    """A whole parameter file."""

    settlement: Settlement
    governance: Governance
    oracle: Oracle
    feeds: dict[Name, Feed]
    underlyings: dict[Name, Underlying]
    volatility: dict[Name, Volatility] = {}  # without: the least shock, for ever
    congestion: Congestion = Congestion()
    instruments: dict[Name, Instrument]
    collateral: dict[Name, Collateral]
    debt: Debt
    margin: Margin
    calls: Calls
    orders: Orders
    pool: Pool
    losses: Losses

    @model_validator(mode="after")
    def _names_exist(self) -> Parameters:
        for section, key, known in (
            ("underlyings", "feed", self.feeds),
            ("instruments", "underlying", self.underlyings),
            ("collateral", "feed", self.feeds),
        ):
            for name, entry in getattr(self, section).items():
                value = getattr(entry, key)
                if value not in known:
                    raise ValueError(
                        f'{section}.{name}.{key} = "{value}": expected one of {", ".join(known)}'
                    )
        for name in self.volatility:
            if name not in self.underlyings:
                known_names = ", ".join(self.underlyings)
                raise ValueError(f"volatility.{name}: expected one of {known_names}")
        for symbol, token in self.collateral.items():
            if token.haircut_percent < self.debt.sale_discount_percent:
                raise ValueError(
                    f"collateral.{symbol}.haircut_percent = {token.haircut_percent}: expected at "
                    f"least debt.sale_discount_percent, {self.debt.sale_discount_percent}: a sale "
                    "at a larger discount than the haircut lowers equity"
                )
        if self.oracle.quorum > self.oracle.reporters:
            raise ValueError(
                f"oracle.quorum = {self.oracle.quorum}: "
                f"expected no more than oracle.reporters = {self.oracle.reporters}"
            )
        return self


def load(market: str | Path) -> Parameters:
    """Read `scripts/parameters/<market>.toml`, or the file at a path. Raises ParameterError."""
    path = market if isinstance(market, Path) else FOLDER / f"{market}.toml"
    shown = path.relative_to(FOLDER.parents[1]) if path.is_relative_to(FOLDER) else path
    try:
        content = tomllib.loads(path.read_text(), parse_float=Decimal)
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.toml")))
        raise ParameterError(f"{shown}: no such file; there are: {known}") from None
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{shown}: not TOML: {error}") from None
    try:
        return Parameters.model_validate(content)
    except ValidationError as error:
        raise ParameterError("\n".join(f"{shown}: {line}" for line in _problems(error))) from None


def _problems(error: ValidationError) -> list[str]:
    """One line per wrong key: where, what stands there, what is expected."""
    problems = []
    for problem in error.errors():
        place, value = ".".join(map(str, problem["loc"])), problem["input"]
        kind = problem["type"]
        if kind == "missing":
            problems.append(f"{place}: missing")
        elif kind == "extra_forbidden":
            problems.append(f"{place}: unknown key{_similar(problem['loc'])}")
        elif not place:
            problems.append(str(problem["ctx"]["error"]))
        else:
            says = str(problem.get("ctx", {}).get("error", problem["msg"]))
            problems.append(f"{place} = {value if not isinstance(value, dict) else '{…}'}: {says}")
    return problems


def _similar(location: tuple[int | str, ...]) -> str:
    """A suggestion for a mistyped key, from the section that it stands in."""
    model: Any = Parameters
    for part in location[:-1]:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[str(part)].annotation
        else:
            model = model.__args__[1]  # dict[name, section]
    known = list(model.model_fields)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
