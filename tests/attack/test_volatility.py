"""Who would move volatility for profit: reporters' slots, cells, prints, pokes, silence, terms.

Each attack is tried with all that the attacker can choose, and what he gains of it is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keeper.core import volatility
from keeper.core.ramps import Ramp
from keeper.core.volatility import CELL, Estimate
from tests.support.refusals import refused
from tests.support.world import BTC, PRICES, World, fresh
from tests.unit.test_volatility import LEAST, estimate, next_cell, ramp, read, sample, step

HOUR, DAY = 3_600, 86_400


@pytest.fixture
def world() -> Iterator[World]:
    with fresh() as built:
        next_cell(built)
        built.post(PRICES)
        sample(built)
        yield built


def shock(world: World) -> int:
    return ramp(world).shock(LEAST, world.evm.timestamp)


def test_chosen_reports__of_a_cells_slots_only_the_first_counts(world: World) -> None:
    """A poster who likes a later price of the cell better cannot make it the sample: not by
    leaving out the first (its reporters signed that it was there), nor by posting it late."""
    next_cell(world)
    now = world.evm.timestamp + 1
    world.evm.warp(30)
    world.post_price(BTC, 55_000, now + 20, previous=now)  # honest reporters: a slot was before
    with refused("volatility: not the first slot"):
        sample(world, slot=now + 20)
    world.post_price(BTC, 50_000, now, previous=now - 1)  # posted after it, by anyone
    sample(world, slot=now)
    assert estimate(world).fast < 500_000**2


def test_withheld_cells__one_honest_sampler_is_enough_and_none_gains_little(world: World) -> None:
    """Whoever alone samples chooses cells to skip. Prices swing 0.4 % up and down; skipping every
    other cell hides the swings, but never more than the averages forget meanwhile."""
    swing = (50_200, 50_000)
    with world.evm.trial():
        for price in swing * 36:
            step(world, price)
        honest = estimate(world)
    for _ in range(36):
        next_cell(world)
        world.post({BTC: swing[0]})
        step(world, swing[1])
    hidden = estimate(world)
    kept = volatility.kept(72, volatility.SLOW) / 10**18
    assert hidden.slow >= 500_000**2 * kept * 0.999
    assert honest.slow > hidden.slow
    least = volatility.pricing_sigma(Estimate(0, 0, 0, int(500_000**2 * kept), 0))
    assert read(world)[0] >= min(least, 500_000)  # σ_p falls by what an empty record forgets
    assert shock(world) == LEAST


def test_printed_price__moves_nothing_at_once_and_little_after(world: World) -> None:
    """A print 20 % away, taken back in the next cell: maintenance has moved by minutes of its
    ramp, σ_p by less than 2 basis points of itself, the averages by six deviations each."""
    before = estimate(world)
    sigma, _, was, _ = read(world)
    step(world, 60_000)
    assert shock(world) == was
    assert read(world)[0] == sigma
    step(world, 50_000)
    after = estimate(world)
    cut = 2 * 36 * before.slow
    assert after.slow <= before.slow + cut * CELL // volatility.SLOW + 1
    assert after.fast <= before.fast + cut * CELL // volatility.FAST
    assert shock(world) <= was * (1 + 0.2 * CELL / HOUR)
    assert read(world)[0] <= sigma * (1 + 0.01 * CELL / HOUR) + 1


def test_printed_prices__an_hour_of_them_stays_within_the_ramps(world: World) -> None:
    """Every cell of an hour 15 % up or down: the worst that a colluding quorum prints."""
    sigma, _, was, _ = read(world)
    begun = world.evm.timestamp
    for price in (57_500, 50_000) * 6:
        step(world, price)
        hours = (world.evm.timestamp - begun) / HOUR
        assert shock(world) <= was * 1.2**hours + 1
        assert read(world)[0] <= sigma * 1.01**hours + 1
    assert 90_000 < ramp(world).target(LEAST) <= 100_000  # the cap: what new risk pays meanwhile
    assert estimate(world).fast <= max(36 * estimate(world).slow, 500_000**2)


def test_poking__often_moves_no_more_than_time_does(world: World) -> None:
    """Anyone may sample, once a cell; nothing else begins a ramp anew."""
    step(world, 46_000)
    was, begun = shock(world), world.evm.timestamp
    for _ in range(20):
        with refused("volatility: cell sampled before"):
            sample(world)
        world.evm.warp(10)
    for wiggle in range(24):
        step(world, 46_000 + 400 * (wiggle % 2))
    hours = (world.evm.timestamp - begun) / HOUR
    assert was * 1.17**hours < shock(world) <= was * 1.2**hours + 1


def test_stale_feed__ramps_end_where_they_were_sent_and_the_next_sample_counts_for_all(
    world: World,
) -> None:
    step(world, 46_000)
    goal, sigma_goal = ramp(world).target(LEAST), ramp(world).sigma_to
    world.evm.warp(3 * DAY)
    assert (shock(world), read(world)[0]) == (goal, ramp(world).sigma(world.evm.timestamp))
    assert read(world)[0] <= sigma_goal
    before = estimate(world)
    step(world, 46_000)
    silent = estimate(world)
    assert silent.slow < before.slow
    assert silent.cell - before.cell > 800
    assert shock(world) == goal  # a silence moves no margin at once either


def test_governor__cannot_jump_maintenance_nor_stall_it(world: World) -> None:
    """The hardest figures there are, and every setter: maintenance goes its pace, both ways."""
    governor = world.governor
    highest = (4_000_000, 4_000_000, 20_000, DAY, 500_000)
    lowest = (10_000, 10_000, 1_000, 60, 1_000)
    sigma, _, was, _ = read(world)
    world.volatility.set_terms(BTC, highest, sender=governor)
    assert shock(world) == was
    about = (1, 400_000, 1_500_000, 10**7, 50_000, 1, 550_000)
    world.instruments.set_underlying(BTC, about, (14_000, 40_000), sender=governor)
    assert shock(world) == ramp(world).shock(400_000, world.evm.timestamp) == was
    begun = world.evm.timestamp
    for _ in range(12):
        step(world)
    hours = (world.evm.timestamp - begun) / HOUR
    now = ramp(world).shock(400_000, world.evm.timestamp)
    assert was * 1.17**hours < now <= was * 1.2**hours + 1
    assert abs(read(world)[0] / sigma - 1) < 0.011  # pricing knows no stress and no floor

    world.volatility.set_terms(BTC, lowest, sender=governor)
    about = (1, 51_500, 1_600_000, 10**7, 50_000, 1, 550_000)
    world.instruments.set_underlying(BTC, about, (14_000, 40_000), sender=governor)
    assert ramp(world).shock(51_500, world.evm.timestamp) == now
    step(world)  # the next sample takes the new figures
    begun = world.evm.timestamp
    now = ramp(world).shock(51_500, begun)
    for _ in range(12):
        step(world, cells=24)
    days = (world.evm.timestamp - begun) / DAY
    fallen = ramp(world).shock(51_500, world.evm.timestamp)
    assert now * 0.95**days - 1 <= fallen < now * 0.97**days


def test_congestion__never_liquidates(world: World) -> None:
    """The dearest blocks there can be: maintenance, call line and plain initial do not move."""
    trader = world.account("trader")
    world.deposit(trader, 5_000)
    world.open_position(trader, BTC, 1)
    before = world.assess(trader)
    surged = Ramp(LEAST, LEAST, world.evm.timestamp, 500_000, 500_000, 500_000, 0)
    assert surged.shock(LEAST, world.evm.timestamp) == LEAST
    world.volatility.set_congestion((60, 600, 1_800, 0), sender=world.governor)
    step(world)
    assert ramp(world).surge_ppm == 500_000
    after = world.assess(trader)
    assert after.maintenance == before.maintenance
    assert after.plain_initial == before.plain_initial
    assert after.initial > before.initial * 1.4
    assert not world.liquidator.liquidatable(trader)
