"""What a deployment consists of, as data: whoever deploys, to whichever chain, does just this.

    where = plan.addresses(deployer, nonce)               # before anything is deployed
    for name in plan.CONTRACTS:
        deploy(name, plan.constructor(artifact, where | {...}))
    for call in plan.calls(parameters, prices, reporters, where | tokens):
        send((where | tokens)[call.target], call.function, call.arguments)
    for call in plan.appointments(guardian, steward): ...     # and hand over what is OWNED

The contracts name each other in their constructors, so each must know where the others will be:
an address follows from the deployer and its nonce, and the order of CONTRACTS fixes the nonces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from eth_typing import HexAddress, HexStr
from web3.types import Nonce
from web3.utils.address import get_create_address

from scripts.build import Artifact
from scripts.parameters import (
    Congestion,
    Feed,
    Instrument,
    Parameters,
    Underlying,
    Volatility,
)
from scripts.parameters.units import bps, factor_ppm, native, ppm, wad

CONTRACTS = (
    "OracleHub",
    "Instruments",
    "RiskEngine",
    "Markets",
    "Losses",
    "Clearinghouse",
    "Orders",
    "Liquidator",
    "Vault",
    "LiquidityPool",
    "Debts",
    "Volatility",
    "TopUps",
    "Lens",
)
OWNED = CONTRACTS[:-2]  # each has an owner, who is the deployer until it hands over
STEWARDED = ("Instruments", "Debts", "Vault")  # where what only tightens need not wait

NO_SOURCE = "0x" + "00" * 20
PROBE = 1_000  # native units that a token's listing moves in and out

_ALIASES = {"pool": "LiquidityPool"}  # arguments not named like their contract


@dataclass(frozen=True, slots=True)
class Call:
    """One transaction of the deployer: `target` is a contract of CONTRACTS or a token."""

    target: str
    function: str
    arguments: tuple[Any, ...]


def addresses(deployer: str, nonce: int) -> dict[str, str]:
    """Where each contract will be when the deployer sends the first at this nonce."""
    sender = HexAddress(HexStr(deployer))
    created = (get_create_address(sender, Nonce(nonce + i)) for i in range(len(CONTRACTS)))
    return {name: address.lower() for name, address in zip(CONTRACTS, created, strict=True)}


def constructor(artifact: Artifact, known: Mapping[str, str]) -> tuple[str, ...]:
    """The arguments of a contract's constructor: addresses by the names of its parameters.

    `known` holds those of `addresses`, and "owner" and "settlement_token".
    """
    entry = next(e for e in artifact.abi if e["type"] == "constructor")
    named = by_argument(known)
    return tuple(named[parameter["name"]] for parameter in entry["inputs"])


def by_argument(known: Mapping[str, str]) -> dict[str, str]:
    """Addresses by the names that contracts have for each other: `risk_engine` for RiskEngine."""
    named = {_snake(name): address for name, address in known.items()}
    return named | {alias: known[name] for alias, name in _ALIASES.items()}


def calls(
    terms: Parameters,
    prices: Mapping[str, Decimal],
    reporters: Sequence[str],
    known: Mapping[str, str],
) -> Iterator[Call]:
    """What follows the constructors, in this order. Ids are the places in the file, from 1.

    `prices`: USD per unit of each underlying, by which sizes follow from figures in USD.
    `known`: addresses of contracts by name and of collateral tokens by symbol; the deployer must
    hold PROBE of each token.
    """
    feeds = {name: i for i, name in enumerate(terms.feeds, 1)}
    underlyings = {name: i for i, name in enumerate(terms.underlyings, 1)}
    price_of = {about.feed: prices[name] for name, about in terms.underlyings.items()}

    for feed in terms.feeds.values():
        yield Call("OracleHub", "add_feed", (_feed(feed, terms),))
    for listed, reporter in enumerate(reporters, 1):
        majority = listed // 2 + 1
        yield Call(
            "OracleHub", "add_reporter", (reporter, max(majority, min(terms.oracle.quorum, listed)))
        )
    for underlying in terms.underlyings.values():
        yield Call("Instruments", "add_underlying", _underlying(underlying, feeds))
    for number, instrument in enumerate(terms.instruments.values(), 1):
        yield Call(
            "Instruments",
            "add_instrument",
            _instrument(instrument, underlyings, prices[instrument.underlying]),
        )
        yield Call("Losses", "set_insurance_cap", (number, wad(instrument.insurance_cap_usd)))

    if terms.congestion.liquidation_seconds:
        yield Call("Volatility", "set_congestion", (_congestion(terms.congestion),))
    for name, about in terms.volatility.items():
        yield Call("Volatility", "set_terms", (underlyings[name], _volatility(about)))
        yield Call("Volatility", "start", (underlyings[name], ppm(about.start_percent)))

    yield Call(
        "RiskEngine",
        "set_margin_terms",
        (
            ppm(terms.margin.gain_weight_percent),
            ppm(terms.debt.maintenance_percent),
            ppm(terms.debt.initial_percent),
        ),
    )
    yield Call(
        "Markets",
        "set_safety",
        (
            factor_ppm(terms.pool.margin_factor),
            ppm(terms.pool.reduce_only_percent),
            terms.pool.forced_window_seconds,
        ),
    )
    yield Call(
        "Losses",
        "set_terms",
        (
            (
                ppm(terms.losses.instrument_share_percent),
                ppm(terms.losses.underlying_share_percent),
                ppm(terms.losses.total_share_percent),
                terms.losses.window_seconds,
                wad(terms.losses.settlement_floor_usd),
            ),
        ),
    )
    yield Call(
        "Debts",
        "set_ceilings",
        (wad(terms.debt.account_cap_usd), ppm(terms.debt.pool_share_percent)),
    )
    yield Call(
        "Debts",
        "set_curve",
        (
            ppm(terms.debt.interest_base_percent_per_year),
            ppm(terms.debt.interest_kink_percent),
            ppm(terms.debt.interest_to_kink_percent_per_year),
            ppm(terms.debt.interest_beyond_kink_percent_per_year),
            ppm(terms.debt.interest_insurance_share_percent),
        ),
    )
    yield Call("Losses", "set_insurance_cap", (0, wad(terms.debt.insurance_cap_usd)))
    yield Call(
        "Liquidator",
        "set_call_terms",
        (
            ppm(terms.calls.call_line_percent),
            ppm(terms.calls.hard_level_percent),
            terms.calls.grace_isolated_seconds,
            terms.calls.grace_cross_seconds,
        ),
    )
    yield Call("Vault", "set_sale_discount", (ppm(terms.debt.sale_discount_percent),))
    yield Call("Liquidator", "set_debt_threshold", (wad(terms.debt.sale_threshold_usd),))
    yield Call(
        "Liquidator",
        "set_debt_timing",
        (terms.debt.sale_grace_seconds, terms.debt.sale_rise_seconds),
    )
    yield Call("Orders", "set_timing", (terms.orders.delay_seconds, terms.orders.window_seconds))
    yield Call("Orders", "set_buffer", (ppm(terms.margin.order_buffer_percent),))
    yield Call(
        "LiquidityPool",
        "set_timing",
        (terms.pool.request_delay_seconds, terms.pool.request_window_seconds),
    )
    yield Call(
        "LiquidityPool",
        "set_exit_terms",
        (factor_ppm(terms.pool.exit_factor), ppm(terms.pool.exit_fee_percent)),
    )
    for symbol, token in terms.collateral.items():
        yield Call(symbol, "approve", (known["Vault"], PROBE))
        yield Call(
            "Vault",
            "list_token",
            (
                known[symbol],
                feeds[token.feed],
                ppm(token.haircut_percent),
                native(token.cap_usd / price_of[token.feed], token.decimals),
                PROBE,
            ),
        )
        slope = ppm(token.haircut_slope_percent)
        yield Call("Vault", "set_slope", (known[symbol], slope))


def appointments(guardian: str, steward: str) -> Iterator[Call]:
    """Who may act without waiting: halt for a while, and tighten."""
    yield Call("Instruments", "set_guardian", (guardian,))
    for name in STEWARDED:
        yield Call(name, "set_steward", (steward,))


def _feed(feed: Feed, terms: Parameters) -> tuple[Any, ...]:
    """A FeedConfig. Every ring outlasts an order's window and the oldest price in use."""
    oldest = max(one.recent_seconds for one in terms.feeds.values())
    remembered = terms.orders.delay_seconds + terms.orders.window_seconds + oldest
    return (
        feed.decimals,
        feed.grid_seconds,
        max(16, -(-remembered // feed.grid_seconds)),
        feed.fresh_seconds,
        feed.recent_seconds,
        ppm(feed.confidence_max_percent),
        ppm(feed.width_percent),
        NO_SOURCE,
    )


def _underlying(underlying: Underlying, feeds: Mapping[str, int]) -> tuple[Any, ...]:
    """UnderlyingTerms and Gaps."""
    return (
        (
            feeds[underlying.feed],
            ppm(underlying.shock_percent),
            factor_ppm(underlying.factor),
            underlying.liquidity_usd,
            ppm(underlying.concentration_percent),
            underlying.cluster,
            ppm(underlying.correlation_percent),
        ),
        (ppm(underlying.band_percent), ppm(underlying.tail_percent)),
    )


def _volatility(about: Volatility) -> tuple[int, ...]:
    """VolatilityTerms."""
    return (
        ppm(about.floor_percent),
        ppm(about.stress_percent),
        int(about.deviations * 1_000),
        about.horizon_seconds,
        ppm(about.shock_cap_percent),
    )


def _congestion(about: Congestion) -> tuple[int, ...]:
    """CongestionTerms."""
    return (
        about.liquidation_seconds,
        about.delay_seconds,
        about.delay_max_seconds,
        int(about.measure == "age"),
    )


def _instrument(
    instrument: Instrument, underlyings: Mapping[str, int], price: Decimal
) -> tuple[Any, ...]:
    """RiskTerms, FillTerms and LimitTerms of a future."""
    return (
        (
            0,
            underlyings[instrument.underlying],
            0,
            instrument.funding_period_seconds,
            ppm(instrument.open_interest_rate_percent),
            int(instrument.flat_reserve_usd * 1_000),
            ppm(instrument.funding_cap_percent_per_day),
            0,
        ),
        (
            wad(instrument.depth_usd / price),
            ppm(instrument.premium_max_percent),
            ppm(instrument.maker_fee_percent),
            ppm(instrument.taker_fee_percent),
            ppm(instrument.gap_fee_percent_per_year),
            ppm(instrument.lapse_charge_percent),
        ),
        (
            wad(instrument.open_interest_cap_usd / price),
            instrument.open_interest_cap_usd,
            instrument.minimum_position_usd,
            ppm(instrument.forced_discount_percent),
            ppm(instrument.penalty_percent),
            bps(instrument.liquidator_share_percent),
            bps(instrument.insurance_fee_share_percent),
            bps(instrument.protocol_fee_share_percent),
        ),
    )


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
