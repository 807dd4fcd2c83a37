"""Volatility: which slot is a sample, what it moves, what the governor may say; SPEC 12."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import astuple
from decimal import Decimal
from typing import Any

import pytest

from keeper.core import volatility
from keeper.core.fixed import wad_ln
from keeper.core.ramps import Ramp
from keeper.core.units import ceil_div
from keeper.core.volatility import CELL, Estimate, VolatilityTerms
from tests.support.refusals import refused
from tests.support.staffed import usd
from tests.support.world import BTC, ETH, PRICES, World, fresh

CROSS = 2
HOUR, DAY = 3_600, 86_400
LEAST = 52_000  # of BTC, ppm


@pytest.fixture
def world() -> Iterator[World]:
    with fresh() as built:
        next_cell(built)
        built.post(PRICES)
        sample(built)
        yield built


def next_cell(world: World, cells: int = 1) -> None:
    """Go to the last second before a later cell."""
    now = world.evm.timestamp
    world.evm.warp(cells * CELL - now % CELL - 1 or CELL)


def sample(world: World, underlying: int = BTC, slot: int | None = None) -> None:
    world.volatility.sample(
        underlying, slot or world.hub.latest_slot(underlying), sender=world.keeper
    )


def step(world: World, price: Decimal | float | None = None, cells: int = 1) -> int:
    """The first slot of a later cell at this price, and its sample."""
    next_cell(world, cells)
    slot = world.post({BTC: world.price(BTC) if price is None else price})
    sample(world)
    return slot


def estimate(world: World) -> Estimate:
    return Estimate(*world.volatility.estimate(BTC))


def terms(world: World) -> VolatilityTerms:
    return VolatilityTerms(*world.volatility.terms(BTC))


def ramp(world: World) -> Ramp:
    return Ramp(*world.instruments.ramp(BTC))


def read(world: World) -> tuple[int, int, int, int]:
    """(σ_p, σ_m, shock, target) of BTC now, ppm."""
    word = world.volatility.volatilities(BTC)
    sigma_p, sigma_m, shock, target = (word >> at & 0xFFFFFFFF for at in (0, 32, 64, 96))
    return sigma_p, sigma_m, shock, target


# -- samples


def test_sample__one_slot_of_each_cell(world: World) -> None:
    next_cell(world)
    first = world.post(PRICES)
    assert first % CELL == 0
    second = world.post(PRICES)
    with refused("volatility: not the first slot"):
        sample(world, slot=second)
    with refused("oracle: slot not in ring"):
        sample(world, slot=second + 1)
    sample(world, slot=first)
    with refused("volatility: cell sampled before"):
        sample(world, slot=first)
    assert estimate(world).cell == first // CELL


def test_sample__a_late_slot_of_its_cell_is_its_first_too(world: World) -> None:
    """No report for four minutes: the first one after them is the cell's."""
    next_cell(world)
    world.evm.warp(240)
    sample(world, slot=world.post(PRICES))


def test_sample__until_the_next_cell_ends_and_a_later_one_counts_for_both(world: World) -> None:
    before = estimate(world)
    next_cell(world)
    missed = world.post({BTC: 50_500})
    world.evm.warp(2 * CELL - missed % CELL - 1)
    with world.evm.trial():
        sample(world, slot=missed)
    world.evm.warp(1)
    with refused("volatility: cell is over"):
        sample(world, slot=missed)
    slot = world.post({BTC: 51_000})
    sample(world, slot=slot)
    after = estimate(world)
    assert after.cell == before.cell + 3
    price = wad_ln(51_000 * 10**18)
    assert after == volatility.sampled(before, before.cell + 3, price, terms(world).floor_ppm)
    seen = volatility.annual_variance(price - before.log_price, 3 * CELL)
    assert seen > after.fast > before.fast


def test_sample__an_earlier_cell_is_gone_when_a_later_one_is_in(world: World) -> None:
    next_cell(world)
    early = world.post(PRICES)
    next_cell(world)
    sample(world, slot=world.post(PRICES))
    with refused("volatility: cell sampled before"):
        sample(world, slot=early)


def test_sample__equals_the_model_over_random_paths(world: World, seed: int) -> None:
    dice = random.Random(seed)
    price = 50_000.0
    for _ in range(40):
        before, moving, cells = estimate(world), ramp(world), dice.choice((1, 1, 1, 2, 7, 300))
        price *= 1 + dice.gauss(0, dice.choice((0.0005, 0.002, 0.03)))
        step(world, round(price, 2), cells)
        cell = world.hub.latest_slot(BTC) // CELL
        log_price = wad_ln(world.hub.state(BTC).price_wad)
        found = volatility.sampled(before, cell, log_price, terms(world).floor_ppm)
        assert estimate(world) == found
        sigma_m = volatility.margin_sigma(found, terms(world))
        goal = volatility.shock_target(sigma_m, terms(world))
        now = world.evm.timestamp
        expected = moving.sampled(
            LEAST, goal, ramp(world).surge_ppm, volatility.pricing_sigma(found), now
        )
        assert ramp(world) == expected
        assert read(world) == (
            expected.sigma(now),
            sigma_m,
            expected.shock(LEAST, now),
            expected.target(LEAST),
        )
        (event,) = world.evm.events("EstimateChanged")
        assert event.args == (BTC, world.hub.latest_slot(BTC), astuple(found))


def test_sample__first_of_an_underlying_sets_its_price_alone(world: World) -> None:
    next_cell(world)
    world.post(PRICES)
    before = Estimate(*world.volatility.estimate(ETH))
    assert (before.log_price, before.cell, before.fast) == (0, 0, 650_000**2)
    sample(world, ETH)
    after = Estimate(*world.volatility.estimate(ETH))
    assert after.log_price == wad_ln(2_500 * 10**18)
    assert (after.fast, after.slow, after.jump) == (before.fast, before.slow, 0)


def test_sample__at_any_price_that_a_feed_holds(world: World) -> None:
    """From 10^-8 USD to the most that 56 bits hold and back: averages stay in their words."""
    for price in (Decimal("0.00000001"), Decimal(720_000_000), Decimal("0.00000001"), 50_000):
        step(world, price)
        found = estimate(world)
        assert max(found.fast, found.slow, found.jump) <= volatility.MAX_VARIANCE
    assert read(world)[3] == terms(world).cap_ppm


def test_sample__costs_the_same_with_any_number_of_instruments(world: World) -> None:
    def gas() -> int:
        step(world)
        return world.evm.gas_used

    step(world)
    few = gas()
    about = world.instruments
    risk, fill, limit, _ = (
        (0, 1, 0, 28_800, 10_000, 2_000, 7_500, 0),
        (100_000 * 10**18, 2_500, 200, 500, 10_000, 500),
        (800 * 10**18, 40_000_000, 100, 3_500, 7_500, 4_000, 2_000, 1_000),
        None,
    )
    for _ in range(12):
        about.add_instrument(risk, fill, limit, sender=world.governor)
    assert abs(gas() - few) < 200


# -- what margin takes


def requirement(world: World) -> Any:
    now = world.markets.indices(BTC)[0]
    return world.risk_engine.requirement(CROSS, [(BTC, 10**18, 0, now)], 0, 0, 0)


def test_requirement__new_risk_pays_the_target_and_congestion(world: World) -> None:
    """A fall of 8 % in five minutes: maintenance stays, new risk pays at once."""
    calm = requirement(world)
    step(world, 46_000)
    _, _, shock, target = read(world)
    assert (shock, target) == (LEAST, 82_500)
    asked = requirement(world)
    index = 46_000 * 10**18
    loss = ceil_div(index * LEAST, 10**6)
    assert asked.maintenance == loss + calm.maintenance - 2_600 * 10**18 - usd("10")
    assert asked.plain_initial - asked.maintenance == loss // 2
    surge = ramp(world).surge_ppm
    assert surge == 20_000  # 12 s of waiting are 0.7 % of 15 minutes: a step of the grid
    initial = ceil_div(target * (10**6 + surge), 10**6)
    confidence = index * 200 // 10**6
    excess = ceil_div(loss * 1_500_000 * (initial - LEAST), 10**6 * LEAST)
    assert asked.initial == asked.plain_initial + confidence + excess
    world.evm.warp(HOUR)
    later = requirement(world)
    assert loss * 1.18 < later.maintenance - (asked.maintenance - loss) < loss * 1.2
    assert later.initial == asked.initial


def test_requirement__of_an_order_reserves_for_the_target(world: World) -> None:
    trader = world.account("trader")
    world.deposit(trader, 100_000)
    step(world, 46_000)
    world.repost()
    _, _, shock, target = read(world)
    order = world.order(trader, BTC, 1)
    world.commit(order)
    reserved = world.orders.commitment(world.orders.order_id(order.as_argument())).reserved
    assert reserved > 46_000 * 10**12 * target * 3 // 2 > 46_000 * 10**12 * shock * 2


# -- the governor


def test_terms__bounds(world: World) -> None:
    good = [300_000, 1_600_000, 6_000, 3_600, 200_000]
    for place, low, high, name in (
        (0, 10_000, 1_600_000, "stress"),
        (1, 300_000, 4_000_000, "stress"),
        (2, 1_000, 20_000, "z"),
        (3, 60, DAY, "horizon"),
        (4, 1_000, 500_000, "cap"),
    ):
        for figure, fits in ((low, True), (high, True), (low - 1, False), (high + 1, False)):
            figures = [*good[:place], figure, *good[place + 1 :]]
            if fits:
                world.volatility.set_terms(BTC, tuple(figures), sender=world.governor)
                assert tuple(world.volatility.terms(BTC)) == tuple(figures)
            else:
                named = "floor" if (place, figure) == (0, low - 1) else name
                with refused(f"volatility: {named} out of range"):
                    world.volatility.set_terms(BTC, tuple(figures), sender=world.governor)


def test_start__once_with_terms_and_within_bounds(world: World) -> None:
    governor, contract = world.governor, world.volatility
    with refused("volatility: started before"):
        contract.start(BTC, 500_000, sender=governor)
    with refused("volatility: no terms"):
        contract.start(4, 500_000, sender=governor)
    with refused("instruments: unknown underlying"):
        contract.set_terms(4, (300_000, 1_600_000, 6_000, 3_600, 200_000), sender=governor)
    about = (1, LEAST, 1_500_000, 10**7, 50_000, 1, 550_000)
    world.instruments.add_underlying(about, (14_000, 40_000), sender=governor)
    with refused("volatility: not started"):
        sample(world, 4, world.hub.latest_slot(BTC))
    contract.set_terms(4, (300_000, 1_600_000, 6_000, 3_600, 200_000), sender=governor)
    for sigma in (9_999, 4_000_001):
        with refused("volatility: sigma out of range"):
            contract.start(4, sigma, sender=governor)
    contract.start(4, 500_000, sender=governor)
    assert tuple(contract.estimate(4)) == (0, 0, 500_000**2, 500_000**2, 0)
    assert Ramp(*world.instruments.ramp(4)).sigma_to == 500_000


def test_congestion__bounds_and_the_age_of_reports(world: World) -> None:
    """On a chain without fees the age of the newest report stands for congestion."""
    contract, governor = world.volatility, world.governor
    for figures in (
        (DAY + 1, 1, 2, 0),
        (1, 3, 2, 0),
        (1, 1, DAY + 1, 0),
        (1, 1, 2, 2),
    ):
        with refused("volatility: congestion range"):
            contract.set_congestion(figures, sender=governor)
    contract.set_congestion((900, 60, 1_800, 1), sender=governor)
    assert tuple(contract.congestion_terms()) == (900, 60, 1_800, 1)
    assert tuple(contract.load()) == (0, 0, 0)
    for _ in range(3):
        next_cell(world)
        slot = world.post({BTC: 50_000})
        world.evm.warp(2)
        sample(world, slot=slot)
    assert ramp(world).surge_ppm == 40_000  # sqrt(960/900) is 3.3 % more
    for _ in range(12):
        next_cell(world)
        slot = world.post({BTC: 50_000})
        world.evm.warp(200)
        sample(world, slot=slot)
    surged = ramp(world)
    assert surged.surge_ppm > 200_000
    assert surged.initial_shock(LEAST, world.evm.timestamp) > LEAST * 12 // 10
    assert surged.shock(LEAST, world.evm.timestamp) == LEAST


def test_authority__only_the_governor_sets_and_anyone_samples(world: World) -> None:
    stranger = world.wallet("stranger")
    governed: dict[str, tuple[Any, ...]] = {
        "set_terms": (BTC, (300_000, 1_600_000, 6_000, 3_600, 200_000)),
        "start": (BTC, 500_000),
        "set_congestion": ((0, 0, 0, 0),),
        "transfer_ownership": (stranger,),
    }
    for name, arguments in governed.items():
        with refused("ownable: caller is not the owner"):
            getattr(world.volatility, name)(*arguments, sender=stranger)
    changing = {
        entry["name"]
        for entry in world.volatility.abi
        if entry["type"] == "function" and entry["stateMutability"] != "view"
    }
    assert changing == {*governed, "sample"}
    next_cell(world)
    world.volatility.sample(BTC, world.post(PRICES), sender=stranger)
