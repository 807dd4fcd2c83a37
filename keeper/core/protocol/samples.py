"""Samples of volatility, and where they send the figures of an underlying (SPEC 12)."""

from __future__ import annotations

from keeper.core import volatility
from keeper.core.fixed import wad_ln
from keeper.core.protocol.state import State
from keeper.core.types import FeedId, Refused, require
from keeper.core.units import to_wad
from keeper.core.volatility import Estimate

NANO = 10**9


def sample(state: State, underlying: int, slot: int) -> None:
    """Give a cell its sample; anyone may, once."""
    before = state.estimates[underlying]
    if before is None:
        raise Refused("volatility: not started")
    cell = slot // volatility.CELL
    require(cell > before.cell, "volatility: cell sampled before")
    require(state.now < (cell + 2) * volatility.CELL, "volatility: cell is over")
    feed = state.feed_of(underlying)
    about = state.feeds[feed]
    fixed = state.ring[feed, slot // about.grid_seconds % about.ring_length]
    if fixed is None or fixed.slot != slot or slot == 0:
        raise Refused("oracle: slot not in ring")
    require(slot - fixed.gap < cell * volatility.CELL, "volatility: not the first slot")
    terms = state.volatility_terms[underlying]
    log_price = wad_ln(to_wad(fixed.median, about.decimals))
    after = volatility.sampled(before, cell, log_price, terms.floor_ppm)
    state.estimates[underlying] = after
    _send(state, underlying, after, _surge(state, feed, cell))


def _send(state: State, underlying: int, found: Estimate, surge_ppm: int) -> None:
    """Give the ramps of an underlying their new goals."""
    ramp = state.ramps[underlying]
    assert ramp is not None  # it began when the underlying was listed
    terms = state.volatility_terms[underlying]
    state.ramps[underlying] = ramp.sampled(
        state.least_shock(underlying),
        volatility.shock_target(volatility.margin_sigma(found, terms), terms),
        surge_ppm,
        volatility.pricing_sigma(found),
        state.now,
    )


def _surge(state: State, feed: FeedId, cell: int) -> int:
    """What congestion adds, after a look at how full blocks are if it is the cell's first."""
    terms = state.congestion
    if terms.liquidation_seconds == 0:
        return 0
    seen = state.base_fee
    if terms.by_age:
        newest = state.prices[feed]
        seen = (state.now - (newest.slot if newest else 0)) * NANO
    state.load = load = volatility.load_after(state.load, cell, seen)
    return volatility.surge(terms, load)
