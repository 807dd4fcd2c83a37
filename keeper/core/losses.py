"""Who pays what an account could not (SPEC 8.6): limits that count all accounts together.

A limit is a leaking bucket: what is used of it is free again within a span, at an even pace.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from keeper.core.terms import UnderlyingTerms
from keeper.core.types import InstrumentId
from keeper.core.units import DAY, PPM, WAD, floor_div, ppm_floor

MEMORY_SECONDS = DAY
MOST_CAUSES = 16
MOST_LOST = (1 << 112) - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """The governor's figures of what the pool pays."""

    instrument_ppm: int  # of the pool's worth, the most for one instrument
    underlying_ppm: int  # for all instruments of one underlying
    total_ppm: int  # for all deficits
    window_seconds: int  # in which what was used is free again
    floor: int  # WAD, rests of an instrument above it, after all limits, end it


@dataclass(frozen=True, slots=True)
class Loss:
    """What positions closed by force, while their account was short, had lost since entry."""

    instrument: InstrumentId
    long: bool  # the side that lost; the other one won
    lost: int  # WAD


@dataclass(frozen=True, slots=True)
class Memory:
    """Losses of an account that is not bare yet."""

    losses: tuple[Loss, ...]
    short: int  # WAD, by which it was below nothing when the last of them was closed
    at: int


@dataclass(frozen=True, slots=True)
class Cause:
    """What one instrument, or plain debt (0), answers for of a deficit."""

    instrument: InstrumentId
    long: bool
    deficit: int  # WAD


def remembered(
    memory: Memory | None, now: int, instrument: InstrumentId, lost: int, short: int
) -> Memory:
    """The memory of an account after a position of `instrument` was closed (0: none).

    `lost` > 0 by a long, < 0 by a short. What is older than a day is forgotten.
    """
    losses: tuple[Loss, ...] = ()
    bound = 0
    if memory is not None and memory.at + MEMORY_SECONDS >= now:
        losses, bound = memory.losses, memory.short
    if instrument:
        bound = min(short, MOST_LOST)
        losses = _added(losses, instrument, lost)
    return Memory(losses, bound, now)


def _added(losses: tuple[Loss, ...], instrument: InstrumentId, lost: int) -> tuple[Loss, ...]:
    if not lost:
        return losses
    new = Loss(instrument, lost > 0, min(abs(lost), MOST_LOST))
    for place, one in enumerate(losses):
        if (one.instrument, one.long) == (new.instrument, new.long):
            both = replace(one, lost=min(one.lost + new.lost, MOST_LOST))
            return (*losses[:place], both, *losses[place + 1 :])
    return (*losses, new) if len(losses) < MOST_CAUSES else losses


def attributed(memory: Memory, deficit: int) -> list[Cause]:
    """A deficit over its causes, in proportion to their losses; what none caused is debt."""
    total = sum(one.lost for one in memory.losses)
    caused = left = min(deficit, memory.short, total)
    causes = []
    for place, one in enumerate(memory.losses):
        last = place + 1 == len(memory.losses)
        part = left if last else floor_div(caused * one.lost, total)
        left -= part
        if part:
            causes.append(Cause(one.instrument, one.long, part))
    if deficit > caused:
        causes.append(Cause(InstrumentId(0), False, deficit - caused))
    return causes


@dataclass(frozen=True, slots=True)
class Used:
    """What was used of an instrument's limits."""

    insured: int = 0  # WAD
    sliced: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class Grouped:
    """What was used of an underlying's limit."""

    sliced: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class Slices:
    """What was used of the limit of all, and the worth of the pool that limits are shares of."""

    sliced: int = 0
    base: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class Charged:
    """What the positions of each side were charged per unit."""

    longs: int = 0
    shorts: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class Borne:
    """What the pool has borne of an instrument's rests."""

    lost: int = 0  # WAD
    at: int = 0


@dataclass(frozen=True, slots=True)
class Buckets:
    """All that bounds one deficit."""

    used: Used = field(default_factory=Used)
    grouped: Grouped = field(default_factory=Grouped)
    slices: Slices = field(default_factory=Slices)
    charged: Charged = field(default_factory=Charged)
    borne: Borne = field(default_factory=Borne)


@dataclass(frozen=True, slots=True)
class Claim:
    """One deficit, and what there is to pay it with; WAD."""

    cause: Cause
    insurance: int
    insurance_cap: int
    gain: int  # the pool's own on the instrument, ≥ 0
    nav: int
    winners: int  # units, open interest of the side that won
    index: int  # price
    underlying: UnderlyingTerms | None  # None for plain debt


@dataclass(frozen=True, slots=True)
class Shares:
    """Who pays what of one deficit; the five add up to it. WAD."""

    insured: int
    own: int  # the pool, of its gain on the instrument
    sliced: int  # the pool, of its worth
    shared: int  # the positions that won
    lost: int  # the pool, because nobody is left
    per_unit: int  # onto the index of the side that won
    settles: bool  # winners paid beyond a day's limit: the instrument ends

    @property
    def pool(self) -> int:
        """What leaves the pool line; what winners share comes back through their index."""
        return self.own + self.sliced + self.shared + self.lost


def leaked(level: int, capacity: int, elapsed: int, span: int) -> int:
    """What is still in use of a bucket that loses its capacity within a span."""
    return level - min(level, floor_div(capacity * elapsed, span))


def share(claim: Claim, limits: Limits, before: Buckets, now: int) -> tuple[Shares, Buckets]:
    """Who pays a deficit, each only when the one before is exhausted, and what is used then."""
    left, window = claim.cause.deficit, limits.window_seconds
    plain = claim.underlying is None

    used = before.used
    kept = leaked(used.insured, claim.insurance_cap, now - used.at, window)
    insured = min(left, claim.insurance, max(0, claim.insurance_cap - kept))
    left -= insured

    own = min(left, claim.gain)
    left -= own

    slices, grouped = before.slices, before.grouped
    capacity = ppm_floor(slices.base, limits.total_ppm)
    total = leaked(slices.sliced, capacity, now - slices.at, window)
    base = slices.base if total else max(0, claim.nav - own)
    room = max(0, ppm_floor(base, limits.total_ppm) - total)
    of_instrument = of_underlying = 0
    if not plain:
        capacity = ppm_floor(base, limits.instrument_ppm)
        of_instrument = leaked(used.sliced, capacity, now - used.at, window)
        room = min(room, max(0, capacity - of_instrument))
        capacity = ppm_floor(base, limits.underlying_ppm)
        of_underlying = leaked(grouped.sliced, capacity, now - grouped.at, window)
        room = min(room, max(0, capacity - of_underlying))
    sliced = min(left, room)
    left -= sliced
    after = replace(before, used=Used(kept + insured, of_instrument + sliced, now))
    if sliced:
        after = replace(after, slices=Slices(total + sliced, base, now))
        if not plain:
            after = replace(after, grouped=Grouped(of_underlying + sliced, now))

    per_unit = shared = 0
    settles = False
    if left and claim.winners and claim.underlying is not None:
        per_unit, charged = _charge(claim, claim.underlying, left, before.charged, now)
        after = replace(after, charged=charged)
        shared = floor_div(per_unit * claim.winners, WAD)
        over, borne = _beyond_floor(left - shared, limits, before.borne, now)
        after = replace(after, borne=borne)
        if over:
            more = min(max(0, claim.index - per_unit), floor_div(over * WAD, claim.winners))
            per_unit, settles = per_unit + more, more > 0
            shared = floor_div(per_unit * claim.winners, WAD)
        left -= shared
    return Shares(insured, own, sliced, shared, left, per_unit, settles), after


def _beyond_floor(rest: int, limits: Limits, before: Borne, now: int) -> tuple[int, Borne]:
    """What of a rest the pool does not bear within the floor."""
    if not rest:
        return 0, before
    level = leaked(before.lost, limits.floor, now - before.at, limits.window_seconds)
    borne = min(rest, max(0, limits.floor - level))
    return rest - borne, Borne(level + borne, now)


def _charge(
    claim: Claim, underlying: UnderlyingTerms, left: int, before: Charged, now: int
) -> tuple[int, Charged]:
    """What each unit that won pays: in no day more than lies between plain initial and
    maintenance margin of it, half of that at once and half over the day."""
    gap = claim.index * underlying.shock_ppm * (underlying.factor_ppm - PPM)
    half = floor_div(gap, 2 * PPM * PPM)
    longs = leaked(before.longs, half, now - before.at, DAY)
    shorts = leaked(before.shorts, half, now - before.at, DAY)
    level = shorts if claim.cause.long else longs
    charged = min(max(0, half - level), floor_div(left * WAD, claim.winners))
    if claim.cause.long:
        return charged, Charged(longs, shorts + charged, now)
    return charged, Charged(longs + charged, shorts, now)
