"""Every figure that a governor sets has a bound on either side (hazard G-07; I-39).

Each setter of each contract is called at the bounds of each of its figures, which it accepts, and a
unit beyond, which it refuses. A figure without a row fails: so does a setter that is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from scripts import plan
from tests.attack.test_roles import MATRIX
from tests.support.evm import Contract, Revert
from tests.support.refusals import refused
from tests.support.staffed import account_of
from tests.support.world import BTC, ETH, INSTRUMENTS, USD, WAD, World

HUGE = 2**256 - 1
PPM, DAY = 10**6, 86_400
NOBODY = "0x" + "00" * 20
NUMBER = None  # of a feed, an underlying, an instrument: it is there or it is not

Bound = tuple[int, int]
Bounds = Bound | Callable[[World], Bound] | None


class Setter(NamedTuple):
    """A call that is accepted, and the bounds of its figures in the order of the ABI; a figure's
    neighbours may have to be others for it to reach its bound."""

    arguments: Callable[[World], tuple[Any, ...]]
    bounds: Mapping[str, Bounds]
    beside: Mapping[str, Mapping[str, int]] = MappingProxyType({})


# An underlying so wide, and an instrument so generous, that each figure alone may go to its bound
UNDERLYING = (1, 500_000, 5_000_000, 10**7, 50_000, 1, 550_000)
GAPS = (1, 1)
RISK = (0, 4, 0, 28_800, 10_000, 2_000, 7_500, 0)
FILL = (10**36, 1, 0, 500, 10_000, 500)
LIMIT = (800 * WAD, 40_000_000, 100, 3_500, 7_500, 4_000, 0, 0)
WIDE = 4  # the number of both

OF_UNDERLYING: dict[str, Bounds] = {
    "terms.feed": NUMBER,
    "terms.shock_ppm": (1_000, 500_000),
    "terms.factor_ppm": (PPM + 1, 5 * PPM),
    "terms.liquidity_usd": (1_000, 10**12),
    "terms.concentration_ppm": (0, 10 * PPM),
    "terms.cluster": (0, 255),
    "terms.rho_ppm": (0, PPM),
    "gaps.band_ppm": (1, 200_000),
    "gaps.tail_ppm": (1, 500_000),
}
OF_RISK = {
    "period_seconds": (3_600, 30 * DAY),
    "oi_rate_ppm": (0, 500_000),
    "reserve_milli": (0, PPM),
    "funding_cap_ppm_per_day": (1, 300_000),
}
OF_FILL = {
    "depth_wad": (10**15, 10**36),
    "premium_max_ppm": (1, 200_000),
    "maker_ppm": (0, 500),  # the taker's
    "taker_ppm": (1, 20_000),
    "gap_ppm_per_year": (0, PPM),
    "lapse_ppm": (0, 50_000),
}
OF_LIMIT = {
    "oi_cap_wad": (1, 10**28),
    "oi_cap_usd": (1, 10**12),
    "min_notional_usd": (1, PPM),
    "lambda_ppm": (0, 100_000),
    "penalty_ppm": (1, 100_000),
    "liquidator_bps": (0, 10_000),
    "fee_insurance_bps": (0, 10_000),
    "fee_protocol_bps": (0, 10_000),
}
OF_LIMITS_OF_FEED = {
    "max_age_seconds": (1, 900),  # the recent's
    "max_age_recent_seconds": (120, 7 * DAY),  # the fresh's
    "conf_max_ppm": (1, 100_000),
    "width_ppm": (1, 100_000),
}


def named(prefix: str, bounds: dict[str, Bound]) -> dict[str, Bounds]:
    return {f"{prefix}.{name}": bound for name, bound in bounds.items()}


def notice(world: World) -> Bound:
    return world.evm.timestamp + DAY, world.evm.timestamp + 90 * DAY


def within_rings(world: World) -> Bound:
    """An hour, or what the rings leave of it after the delay and a minute to post in."""
    return 10, min(3_600, world.instruments.ring_seconds() - 2 - 60)


SETTERS: dict[str, Setter] = {
    "OracleHub.add_feed": Setter(
        lambda world: ((8, 1, 1_024, 120, 900, 5_000, 2_000, NOBODY),),
        {
            "config.decimals": (0, 18),
            "config.grid_seconds": (1, 3_600),
            "config.ring_length": (16, 2**16 - 1),
            **named("config", OF_LIMITS_OF_FEED),
        },
    ),
    "OracleHub.set_feed_limits": Setter(
        lambda world: (1, 120, 900, 5_000, 2_000), {"feed": NUMBER, **OF_LIMITS_OF_FEED}
    ),
    "OracleHub.add_reporter": Setter(lambda world: (world.wallet("sixth"), 4), {"quorum": (4, 6)}),
    "OracleHub.remove_reporter": Setter(
        lambda world: (world.reporters.addresses[0], 3), {"quorum": (3, 4)}
    ),
    "OracleHub.set_quorum": Setter(lambda world: (3,), {"quorum": (3, 5)}),
    "Instruments.add_underlying": Setter(lambda world: (UNDERLYING, GAPS), OF_UNDERLYING),
    "Instruments.set_underlying": Setter(
        lambda world: (bare_underlying(world), UNDERLYING, GAPS),
        {"underlying": NUMBER, **OF_UNDERLYING},
    ),
    "Instruments.add_instrument": Setter(
        lambda world: (RISK, FILL, LIMIT),
        {
            "risk.kind": NUMBER,
            "risk.underlying": NUMBER,
            "risk.strike_wad": NUMBER,
            **named("risk", OF_RISK),
            "risk.strike_class": NUMBER,
            **named("fill", OF_FILL),
            **named("limit", OF_LIMIT),
        },
        {"fill.depth_wad": {"limit.oi_cap_wad": 1}, "fill.taker_ppm": {"fill.maker_ppm": 0}},
    ),
    "Instruments.set_risk_terms": Setter(
        lambda world: (WIDE, *RISK[3:7]), {"instrument": NUMBER, **OF_RISK}
    ),
    "Instruments.set_fill_terms": Setter(
        lambda world: (shallow(world), FILL), {"instrument": NUMBER, **named("terms", OF_FILL)}
    ),
    "Instruments.set_limits": Setter(
        lambda world: (WIDE, LIMIT), {"instrument": NUMBER, **named("terms", OF_LIMIT)}
    ),
    "Instruments.set_caps": Setter(
        lambda world: (WIDE, WAD, 10**6),
        {
            "instrument": NUMBER,
            "oi_cap_wad": OF_LIMIT["oi_cap_wad"],
            "oi_cap_usd": OF_LIMIT["oi_cap_usd"],
        },
    ),
    "Instruments.set_status": Setter(
        lambda world: (WIDE, 1), {"instrument": NUMBER, "status": (0, 2)}
    ),
    "Instruments.delist": Setter(
        lambda world: (WIDE, world.evm.timestamp + 2 * DAY), {"instrument": NUMBER, "at": notice}
    ),
    "RiskEngine.set_margin_terms": Setter(
        lambda world: (800_000, 50_000, 100_000),
        {
            "upnl_ppm": (0, PPM),
            "debt_maintenance_ppm": (10_000, 99_999),
            "debt_initial_ppm": (50_001, PPM),
        },
    ),
    "Markets.set_safety": Setter(
        lambda world: (2 * PPM, 20_000, 28_800),
        {
            "pool_factor_ppm": (PPM, 10 * PPM),
            "pool_low_ppm": (0, PPM),
            "forced_window": (600, 1_000_000),
        },
    ),
    "Losses.set_insurance_cap": Setter(
        lambda world: (BTC, WAD), {"instrument": NUMBER, "cap_wad": (0, 10**27)}
    ),
    "Losses.set_terms": Setter(
        lambda world: ((20_000, 30_000, 50_000, DAY, 1_000 * WAD),),
        {
            "limits.instrument_ppm": (0, 30_000),  # the underlying's
            "limits.underlying_ppm": (20_000, 50_000),  # from the instrument's to the total
            "limits.total_ppm": (30_000, 500_000),
            "limits.window_seconds": (3_600, 30 * DAY),
            "limits.floor_wad": (0, 10**27),
        },
    ),
    "Debts.set_ceilings": Setter(
        lambda world: (1_000 * WAD, 1_000), {"cap_wad": (0, 10**27), "share_ppm": (0, 500_000)}
    ),
    "Debts.set_curve": Setter(
        lambda world: (0, 800_000, 0, 0, 100_000),
        {
            "base_ppm": (0, 2 * PPM),
            "kink_ppm": (10_000, 990_000),
            "low_ppm": (0, 2 * PPM),
            "high_ppm": (0, 2 * PPM),
            "insurance_ppm": (0, 500_000),
        },
    ),
    "Orders.set_timing": Setter(
        lambda world: (2, 30), {"delay_seconds": (1, 300), "window_seconds": within_rings}
    ),
    "Orders.set_buffer": Setter(lambda world: (0,), {"buffer_ppm": (0, PPM)}),
    "Liquidator.set_call_terms": Setter(
        lambda world: (400_000, 800_000, 0, 0),
        {
            "call_ppm": (1, PPM - 1),
            "hard_ppm": (500_000, PPM),
            "isolated_grace": (0, DAY),
            "cross_grace": (0, DAY),
        },
    ),
    "Liquidator.set_debt_timing": Setter(
        lambda world: (0, 60), {"grace": (0, 7 * DAY), "rise": (60, 7 * DAY)}
    ),
    "Volatility.set_terms": Setter(
        lambda world: (1, (10_000, 4_000_000, 6_000, 3_600, 100_000)),
        {
            "underlying": NUMBER,
            "terms.floor_ppm": (10_000, 4_000_000),
            "terms.stress_ppm": (10_000, 4_000_000),
            "terms.z_milli": (1_000, 20_000),
            "terms.horizon_seconds": (60, DAY),
            "terms.cap_ppm": (1_000, 500_000),
        },
    ),
    "Volatility.start": Setter(
        lambda world: (unstarted(world), 500_000),
        {"underlying": NUMBER, "sigma_ppm": (10_000, 4_000_000)},
    ),
    "Volatility.set_congestion": Setter(
        lambda world: ((0, 0, DAY, 0),),
        {
            "terms.liquidation_seconds": (0, DAY),
            "terms.delay_seconds": (0, DAY),
            "terms.delay_max_seconds": (0, DAY),
            "terms.by_age": (0, 1),
        },
    ),
    "Liquidator.set_debt_threshold": Setter(lambda world: (WAD,), {"threshold_wad": (0, 10**27)}),
    "Vault.list_token": Setter(
        lambda world: (new_token(world), 1, 200_000, 1, 1_000),
        {
            "feed": NUMBER,
            "haircut_ppm": (0, PPM),
            "cap": (0, 2**112 - 1),
            "probe": NUMBER,
        },
    ),
    "Vault.set_haircut": Setter(
        lambda world: (world.weth.address, 200_000), {"haircut_ppm": (0, PPM)}
    ),
    "Vault.set_slope": Setter(lambda world: (world.weth.address, 0), {"slope_ppm": (0, PPM)}),
    "Vault.set_sale_discount": Setter(
        lambda world: after_haircuts(world), {"discount_ppm": (0, 200_000)}
    ),
    "Vault.set_cap": Setter(lambda world: (world.weth.address, 1), {"cap": (0, 2**112 - 1)}),
    "LiquidityPool.set_timing": Setter(
        lambda world: (60, 600),
        {"delay_seconds": (10, 7 * DAY), "window_seconds": (60, 30 * DAY)},
    ),
    "LiquidityPool.set_exit_terms": Setter(
        lambda world: (2 * PPM, 0), {"factor_ppm": (PPM, 10 * PPM), "fee_ppm": (0, 50_000)}
    ),
}

# whose only arguments are addresses
WITHOUT_FIGURES = {
    "transfer_ownership",
    "set_feed_source",
    "set_guardian",
    "set_steward",
    "announce_risk_engine",
    "adopt_risk_engine",
    "collect_protocol",
}


def bare_underlying(world: World) -> int:
    """One without instruments, of whose figures the rules ask no more than the bounds do."""
    return int(world.instruments.add_underlying(UNDERLYING, GAPS, sender=world.governor))


def unstarted(world: World) -> int:
    underlying = bare_underlying(world)
    terms = (10_000, 10_000, 6_000, 3_600, 100_000)
    world.contracts["Volatility"].set_terms(underlying, terms, sender=world.governor)
    return underlying


def shallow(world: World) -> int:
    """The wide instrument, with so little open interest that any depth carries it."""
    limit = (1, *LIMIT[1:])
    world.instruments.set_limits(WIDE, limit, sender=world.governor)
    return WIDE


def after_haircuts(world: World) -> tuple[int]:
    """Once every haircut allows the largest discount: no sale may lower its debtor's equity."""
    for token in (world.weth, world.wbtc):
        world.vault.set_haircut(token.address, 250_000, sender=world.governor)
    world.evm.warp(4 * DAY)
    return (0,)


def new_token(world: World) -> str:
    token = world.evm.deploy(world.artifacts["TestToken"], "New", "NEW", 18, sender=world.governor)
    world.mint(token, world.governor, 1_000, world.vault)
    return str(token.address)


@pytest.fixture
def wide(world: World) -> World:
    """The world with the wide instrument, no debt sale's discount below which no haircut may be,
    and rings that any window fits."""
    governor = world.governor
    world.instruments.add_underlying(UNDERLYING, GAPS, sender=governor)
    world.instruments.add_instrument(RISK, FILL, LIMIT, sender=governor)
    world.vault.set_sale_discount(0, sender=governor)
    return world


def figures(entry: dict[str, Any], path: str = "") -> Iterator[str]:
    """The numbers among the inputs of a function, as paths."""
    for one in entry["inputs"] if "inputs" in entry else entry["components"]:
        here = f"{path}{one['name']}"
        if one["type"] == "tuple":
            yield from figures(one, f"{here}.")
        elif "int" in one["type"]:
            yield here


def with_figure(entry: dict[str, Any], arguments: Any, path: str, figure: int) -> tuple[Any, ...]:
    """The arguments with one number changed."""
    name, _, rest = path.partition(".")
    inputs = entry["inputs"] if "inputs" in entry else entry["components"]
    return tuple(
        argument
        if one["name"] != name
        else with_figure(one, argument, rest, figure)
        if rest
        else figure
        for one, argument in zip(inputs, arguments, strict=True)
    )


def place(world: World, setter: str) -> tuple[Contract, dict[str, Any]]:
    """A setter's contract and its entry in the ABI."""
    contract, function = setter.split(".")
    found = world.contracts[contract]
    return found, next(e for e in found.abi if e.get("name") == function)


def test_g07_every_setter_and_every_figure_has_a_bound(world: World) -> None:
    governed = {
        f"{contract}.{function}"
        for contract, roles in MATRIX.items()
        if contract != "Timelock"
        for role, functions in roles.items()
        if "owner" in role.split()
        for function in functions.split()
        if function not in WITHOUT_FIGURES
    }
    assert governed == set(SETTERS)
    for setter, about in SETTERS.items():
        _, entry = place(world, setter)
        assert list(figures(entry)) == list(about.bounds), f"the figures of {setter}"


@pytest.mark.parametrize(
    ("setter", "figure"),
    [
        (setter, figure)
        for setter, about in SETTERS.items()
        for figure, bound in about.bounds.items()
        if bound is not NUMBER
    ],
)
def test_g07_at_the_bounds_accepted_and_beyond_refused(
    wide: World, setter: str, figure: str
) -> None:
    about = SETTERS[setter]
    contract, entry = place(wide, setter)
    low, high = bound_of(wide, about.bounds[figure])
    base = about.arguments(wide)
    for other, value in about.beside.get(figure, {}).items():
        base = with_figure(entry, base, other, value)

    def put(value: int) -> None:
        with wide.evm.trial():
            call = getattr(contract, entry["name"])
            call(*with_figure(entry, base, figure, value), sender=wide.governor)

    for edge in (low, high):
        put(edge)
    for beyond in (low - 1, high + 1, HUGE):
        if beyond >= 0:
            with pytest.raises(Revert):
                put(beyond)


def bound_of(world: World, bound: Bounds) -> Bound:
    assert bound is not NUMBER
    return bound(world) if callable(bound) else bound


def hostile(world: World, edge: int) -> None:
    """Every figure of every setter at one of its bounds, as far as the rules among them allow."""
    for setter, about in SETTERS.items():
        contract, entry = place(world, setter)
        if entry["name"] in ("add_feed", "add_underlying", "add_instrument", "list_token"):
            continue
        for instrument in INSTRUMENTS:
            for figure, bound in about.bounds.items():
                if bound is NUMBER or figure == "at":
                    continue
                with suppress(Revert):
                    base = about.arguments(world)
                    if "instrument" in about.bounds:
                        base = (instrument, *base[1:])
                    changed = with_figure(entry, base, figure, bound_of(world, bound)[edge])
                    getattr(contract, entry["name"])(*changed, sender=world.governor)


@pytest.mark.parametrize("edge", [0, 1])
def test_i39_no_setter_moves_anybodys_cash_or_stops_what_is_free(wide: World, edge: int) -> None:
    """A governor who turns every figure as far as it goes takes no unit, and who has no position
    walks away with all he has."""
    saver, trader = wide.account("saver"), wide.account("trader")
    wide.deposit(saver, 10_000)
    wide.add_collateral(saver, wide.weth, 2)
    wide.deposit(trader, 50_000)
    wide.open_position(trader, ETH, 2)
    before = [account_of(wide, one).cash for one in (saver, trader)]
    held = wide.usdc.balanceOf(wide.clearinghouse.address)
    shares = wide.pool.totalSupply()
    hostile(wide, edge)
    assert [account_of(wide, one).cash for one in (saver, trader)] == before
    assert wide.usdc.balanceOf(wide.clearinghouse.address) == held
    assert wide.pool.totalSupply() == shares
    owner = wide.owner(saver)
    wide.clearinghouse.withdraw(saver, 10_000 * USD, owner, sender=owner)
    wide.vault.withdraw(saver, wide.weth.address, 2 * WAD, owner, sender=owner)


def test_g01_nothing_that_robs_can_be_done_without_waiting(world: World) -> None:
    """Listing collateral, changing a feed, raising caps, moving power: the steward, the guardian
    and the governor himself, once the timelock owns everything, are turned away."""
    for name in plan.OWNED:
        world.contracts[name].transfer_ownership(world.wallet("timelock"), sender=world.governor)
    token = new_token(world)
    listing = world.vault.listing(world.weth.address)
    attempts: list[tuple[Any, ...]] = [
        (world.vault.list_token, token, 1, 0, 10**24, 1_000),
        (world.vault.set_cap, world.weth.address, listing.cap + 1),
        (world.vault.set_haircut, world.weth.address, 0),
        (world.hub.add_reporter, world.steward, 6),
        (world.hub.set_quorum, 5),
        (world.hub.add_feed, (8, 1, 1_024, 120, 900, 5_000, 2_000, NOBODY)),
        (world.hub.set_feed_limits, 1, 120, 900, 100_000, 100_000),
        (world.instruments.add_underlying, UNDERLYING, GAPS),
        (world.instruments.add_instrument, RISK, FILL, LIMIT),
        (world.instruments.set_caps, BTC, 10**28, 10**12),
        (world.instruments.delist, BTC, world.evm.timestamp + DAY),
        (world.debts.set_ceilings, 10**27, 500_000),
        (world.markets.announce_risk_engine, world.risk_engine.address),
        (world.clearinghouse.adopt_risk_engine,),
        (world.clearinghouse.collect_protocol, world.steward),
        (world.liquidator.set_call_terms, 400_000, 1_000_000, 0, 0),
    ]
    for attempt, *arguments in attempts:
        for key in (world.governor, world.steward, world.guardian):
            with refused("ownable: caller is not the owner"):
                attempt(*arguments, sender=key)
