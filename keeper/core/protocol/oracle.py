"""Prices in, prices out (SPEC 4): the OracleHub for feeds that live from reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keeper.core import quotes
from keeper.core.protocol.state import State
from keeper.core.quotes import GAP_MAX, Feed, Quote, Report, StoredPrice
from keeper.core.types import FeedId, Level, Refused, require
from keeper.core.units import to_wad


def post(state: State, feed: FeedId, slot: int, previous: int, reports: Sequence[Report]) -> bool:
    """Fix a slot by a quorum; False when it was fixed before, whatever the reports say."""
    about = _feed(state, feed)
    require(slot <= state.now, "oracle: slot in the future")
    require(slot % about.grid_seconds == 0, "oracle: slot off the grid")
    require(previous < slot, "oracle: previous not before slot")
    place = (feed, slot // about.grid_seconds % about.ring_length)
    remembered = state.ring[place]
    if remembered is not None and slot <= remembered.slot:
        return False
    fixed = quotes.quorum(
        reports,
        slot,
        previous,
        about.width_ppm,
        state.parameters.quorum,
        state.parameters.reporters,
    )
    newest = state.prices[feed]
    if newest is None or newest.slot < slot:
        if newest is not None and previous < newest.slot:
            # a slot that is stored did exist, whatever this report says of the time before it
            fixed = replace(fixed, gap=min(slot - newest.slot, GAP_MAX))
        state.prices[feed] = fixed
    state.ring[place] = fixed
    return True


def price(state: State, feed: FeedId, level: Level) -> Quote:
    """The stored price of a feed at the freshness that an act asks."""
    return quotes.quote(_feed(state, feed), state.prices[feed], level, state.now)


def slot_price(state: State, feed: FeedId, slot: int) -> StoredPrice:
    """The quorum that fixed a slot, mantissas; refused when the ring does not hold it."""
    about = _feed(state, feed)
    found = state.ring[feed, slot // about.grid_seconds % about.ring_length]
    if found is None or found.slot != slot:
        raise Refused("oracle: slot not in ring")
    return found


def wad(state: State, feed: FeedId, mantissa: int) -> int:
    """A feed's mantissa as WAD price."""
    return to_wad(mantissa, _feed(state, feed).decimals)


def _feed(state: State, feed: FeedId) -> Feed:
    about = state.feeds.get(feed)
    if about is None:
        raise Refused("oracle: unknown feed")
    return about
