"""The life of an instrument: open, reduce-only, halted, delisting, settling (SPEC 10).

Closed is no state of its own: an instrument that settles and has no open interest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keeper.core.protocol import oracle
from keeper.core.protocol.state import Settlement, State
from keeper.core.terms import Terms
from keeper.core.types import Address, InstrumentId, Level, Refused, Status, require
from keeper.core.units import DAY

MIN_NOTICE, MAX_NOTICE = DAY, 90 * DAY  # seconds to leave before a delisting
LATE = DAY  # seconds after which a delisting waits for no slot any more
MAX_HALT, MIN_REST = 3 * DAY, 7 * DAY  # seconds, of the guardian's halts


def set_status(state: State, instrument: InstrumentId, status: int) -> None:
    """The governor opens, limits or halts an instrument, or takes a delisting back."""
    _alive(state, instrument)
    require(0 <= status <= Status.HALTED, "instruments: unknown status")
    del state.settlements[instrument]
    _store_status(state, instrument, Status(status))


def halt(state: State, caller: Address, instruments: Sequence[InstrumentId]) -> None:
    """The guardian lets positions of open instruments only shrink, for a while (SPEC 10.8)."""
    require(caller == state.parameters.guardian, "instruments: only guardian")
    if state.now >= state.halt_ends:
        require(state.now >= state.halt_ends + MIN_REST, "instruments: guardian must rest")
        state.halt_ends = state.now + MAX_HALT
    for instrument in instruments:
        if state.listed(instrument).fill.status == Status.OPEN:
            state.settlements[instrument] = Settlement(at=state.halt_ends)
            _store_status(state, instrument, Status.HALTED)


def resume(state: State, caller: Address, instruments: Sequence[InstrumentId]) -> None:
    """The guardian opens again what it has halted."""
    require(caller == state.parameters.guardian, "instruments: only guardian")
    for instrument in instruments:
        terms = state.terms[instrument]
        moment = state.settlements[instrument].at
        if terms is not None and terms.fill.status == Status.HALTED and moment:
            del state.settlements[instrument]
            _store_status(state, instrument, Status.OPEN)


def delist(state: State, instrument: InstrumentId, at: int) -> None:
    """The governor announces the moment that an instrument ends at (SPEC 10.3)."""
    _alive(state, instrument)
    require(MIN_NOTICE <= at - state.now <= MAX_NOTICE, "instruments: notice out of range")
    state.settlements[instrument] = Settlement(at=at)
    _store_status(state, instrument, Status.DELISTING)


def delisting_index(state: State, instrument: InstrumentId, slot: int) -> int:
    """The index price that a due instrument settles at, WAD (SPEC 10.4)."""
    terms = state.terms[instrument]
    if terms is None or state.listed(instrument).fill.status != Status.DUE:
        raise Refused("instruments: not due")
    feed, at = terms.underlying.feed, state.settlements[instrument].at
    if state.now >= at + LATE:
        return oracle.price(state, feed, Level.ANY).price_wad
    fixed = oracle.slot_price(state, feed, slot)
    require(slot >= at > slot - fixed.gap, "instruments: not the first slot")
    return oracle.wad(state, feed, fixed.median)


def settle(state: State, instrument: InstrumentId, value: int) -> None:
    """From now on a unit of the instrument is worth `value`, WAD."""
    require(not state.listed(instrument).settles, "instruments: instrument is over")
    state.settlements[instrument] = Settlement(at=state.now, value=value)
    _store_status(state, instrument, Status.SETTLING)


def _alive(state: State, instrument: InstrumentId) -> None:
    require(not state.listed(instrument).over, "instruments: instrument is over")


def _store_status(state: State, instrument: InstrumentId, status: Status) -> None:
    terms: Terms | None = state.terms[instrument]
    assert terms is not None
    state.terms[instrument] = replace(terms, fill=replace(terms.fill, status=status))
