"""The other side of every trade: instruments, and the lines of pool, insurance and protocol.

What an account gains here the lines lose, to the unit, in the same act (SPEC 5, 8.4, 8.6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keeper.core import fills, funding, liquidation, losses, margin, market
from keeper.core.accounts import Position
from keeper.core.losses import Buckets, Cause, Claim
from keeper.core.market import Lines, Market
from keeper.core.protocol import lifecycle, oracle
from keeper.core.protocol.state import State
from keeper.core.quotes import Quote
from keeper.core.terms import Terms
from keeper.core.types import AccountId, FeedId, InstrumentId, Level, Refused, Status, require
from keeper.core.units import MICRO, ceil_div, clamp, mul_ceil

LONGS_LOST, SHORTS_LOST = 1, 2  # which side left the deficit that ended an instrument


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trade did to a position and to the account that holds it."""

    position: Position  # after
    delta: int  # WAD units, what was filled
    cost: int  # WAD, n of SPEC 5.7 or 5.8
    fee: int  # WAD, everything charged: trading fee, gap fee, penalty
    owed: int  # WAD, settled to the index
    cash: int  # WAD, change of the account's cash
    crowding: int  # WAD, initial margin for the open interest of its side
    reward: int  # WAD, the liquidator's part of a penalty
    feed: FeedId
    quote: Quote  # of the stored price


def accrue(state: State, instruments: Sequence[InstrumentId]) -> None:
    """Bring funding, gap fee, mark and requirement of instruments up to now (SPEC 5.4)."""
    for instrument in instruments:
        _accrue(state, instrument, Level.ANY)


def mark_all(state: State, since: int) -> tuple[int, int]:
    """(NAV, requirement) of the pool with every instrument that has open interest at a fresh price
    of a slot ≥ since."""
    for instrument in tuple(state.terms):
        if not state.markets[instrument].long_interest + state.markets[instrument].short_interest:
            continue
        quote = _quote(state, state.listed(instrument), Level.FRESH)
        require(quote.slot >= since, "market: price before request")
        _accrue(state, instrument, Level.FRESH)
    return state.lines.nav, state.lines.requirement


def _accrue(state: State, instrument: InstrumentId, level: Level) -> None:
    terms = state.listed(instrument)
    quote = _quote(state, terms, level)
    _store(state, instrument, terms, quote, *funding.accrued(state.markets[instrument], state.now))


def _quote(state: State, terms: Terms, level: Level) -> Quote:
    """The price of an instrument: the oracle's, or for ever its value once it settles."""
    if terms.settles:
        return Quote(price_wad=terms.settlement_wad, conf_ppm=0, slot=state.now, gap=0)
    return oracle.price(state, terms.underlying.feed, level)


def settle_instrument(state: State, instrument: InstrumentId, slot: int) -> None:
    """Fix the value that a delisted instrument ends at, once its moment has come (SPEC 10.4)."""
    end_instrument(state, instrument, lifecycle.delisting_index(state, instrument, slot))


def end_instrument(state: State, instrument: InstrumentId, index: int) -> None:
    """End an instrument at an accepted index price: nothing of it moves from now on."""
    terms = state.listed(instrument)
    now, gap_due = funding.accrued(state.markets[instrument], state.now)
    fair = terms.value(index).fair
    lifecycle.settle(state, instrument, fair)
    terms = state.listed(instrument)
    _store(state, instrument, terms, _quote(state, terms, Level.ANY), now, gap_due)


def indices(state: State, instrument: InstrumentId) -> Market:
    """The market as it would be if it were accrued now."""
    return funding.accrued(state.markets[instrument], state.now)[0]


def fill(
    state: State,
    instrument: InstrumentId,
    position: Position,
    delta: int,
    index: int,
    acceptable: int,
) -> Outcome:
    """Fill an order of `delta` at index price `index` (SPEC 5.7, 5.13, 6.6).

    Refused with `fill: price`, `fill: limit` or `fill: halted` for what ends the order.
    """
    terms = state.listed(instrument)
    reducing = position.size * delta < 0 and abs(delta) <= abs(position.size)
    quote = _quote(state, terms, Level.RECENT if reducing else Level.TIGHT)
    require(not terms.over, "fill: halted")
    now, gap_due = funding.accrued(state.markets[instrument], state.now)
    dust = liquidation.leaves_dust(abs(position.size + delta), index, terms)
    if dust and position.size * delta < 0:
        delta, reducing = -position.size, True
    if not reducing:
        require(terms.fill.status == Status.OPEN and not now.stopped, "fill: halted")
        require(not dust, "fill: limit")

    cost = fills.notional(
        terms.value(index).fair,
        index,
        delta,
        market.premium_net(now, state.now, state.parameters.forced_window_seconds),
        terms.fill.depth_wad,
    )
    if acceptable:
        require(fills.acceptable(cost, delta, acceptable), "fill: price")
    opened = abs(delta) - fills.closing(position.size, delta)
    outcome = _trade(
        state,
        instrument,
        terms,
        quote,
        now,
        gap_due,
        position,
        delta,
        cost,
        fee=fills.trading_fee(terms, index, delta, now.net),
        insured=fills.opening_gap_fee(terms, index, opened),
    )
    if not reducing:
        _check_limits(state, instrument, terms, quote, now.net, delta)
    return outcome


def force(
    state: State, instrument: InstrumentId, position: Position, delta: int, equity: int
) -> Outcome:
    """Close `delta` of a position at its forced price (SPEC 5.8, 8.4), or for nothing at the
    value of an instrument that settles (SPEC 10.6)."""
    terms = state.listed(instrument)
    quote = _quote(state, terms, Level.FRESH)
    now, gap_due = funding.accrued(state.markets[instrument], state.now)
    index = quote.price_wad
    if terms.settles:
        # what the others cannot pay is still to be shared by those who have won
        waits = (now.stopped == LONGS_LOST and position.size < 0 < now.long_interest) or (
            now.stopped == SHORTS_LOST and position.size > 0 < now.short_interest
        )
        require(not waits, "market: losers settle first")
        cost = mul_ceil(delta, index)
        return _trade(state, instrument, terms, quote, now, gap_due, position, delta, cost, 0, 0)
    charged = liquidation.charges(equity, index, delta, now.net, terms)
    left = market.residual(now, state.now, state.parameters.forced_window_seconds)
    spread = fills.forced_charge(index, delta, terms.limit.lambda_ppm)  # a charge, not a gain
    now = market.realised(now, -spread)
    outcome = _trade(
        state,
        instrument,
        terms,
        quote,
        replace(now, easing=1, forced=market.saturated(left + delta), forced_at=state.now),
        gap_due,
        position,
        delta,
        fills.forced_notional(terms.value(index).fair, index, delta, terms.limit.lambda_ppm),
        fee=charged.fee,
        insured=charged.penalty - charged.reward,
    )
    return replace(
        outcome,
        fee=outcome.fee + charged.reward,
        cash=outcome.cash - charged.reward,
        reward=charged.reward,
    )


def settle(state: State, instrument: InstrumentId, position: Position) -> tuple[int, Position]:
    """(owed, position after) of settling a position to its index without trading it."""
    terms = state.listed(instrument)
    quote = _quote(state, terms, Level.TIGHT)
    now, gap_due = funding.accrued(state.markets[instrument], state.now)
    index = now.side_index(position.size)
    owed = funding.owed(position.size, index, position.index)
    kept = funding.owed_to_pool(position.size, index, position.index)
    settled = replace(position, index=index)
    moved = funding.index_part(settled) - funding.index_part(position)
    change_lines(state, pool=kept, insurance=owed - kept)
    _store(
        state,
        instrument,
        terms,
        quote,
        market.realised(replace(now, index_sum=now.index_sum + moved), kept),
        gap_due,
    )
    return owed, settled


def absorb(
    state: State, account: AccountId, instrument: InstrumentId, lost: int, short: int, bare: bool
) -> int:
    """Have a deficit paid whole, or remember who caused it; what was paid (SPEC 8.6).

    `instrument`: of which a position was just closed by force, 0 for none; `lost` > 0 by a long,
    < 0 by a short; `short`: by how much the account is below nothing, all of it due when `bare`.
    """
    before = state.memories[account]
    memory = losses.remembered(before, state.now, instrument, lost, short)
    if not bare:
        if memory.losses:
            state.memories[account] = memory
        return 0
    if before is not None:
        del state.memories[account]
    for cause in losses.attributed(memory, short):
        _cover(state, cause)
    return short


def _cover(state: State, cause: Cause) -> None:
    """Have one instrument's part of a deficit paid: insurance, the pool, who won."""
    one, parameters = cause.instrument, state.parameters
    gain = winners = index = 0
    terms: Terms | None = None
    if one:
        terms = state.listed(one)
        quote = _quote(state, terms, Level.ANY)
        index = quote.price_wad
        now, gap_due = funding.accrued(state.markets[one], state.now)
        fair = index if terms.settles else terms.value(index).fair
        gain = max(0, market.unrealised(now, fair) + now.won * MICRO)
        if now.stopped or not terms.settles:
            winners = now.short_interest if cause.long else now.long_interest
    underlying = terms.risk.underlying if terms else 0
    claim = Claim(
        cause=cause,
        insurance=state.lines.insurance,
        insurance_cap=parameters.insurance_caps.get(one, 0),
        gain=gain,
        nav=state.lines.nav,
        winners=winners,
        index=index,
        underlying=terms.underlying if terms else None,
    )
    buckets = Buckets(
        state.used[one],
        state.grouped[underlying],
        state.slices,
        state.charged[one],
        state.borne[one],
    )
    paid, after = losses.share(claim, parameters.losses, buckets, state.now)
    state.used[one], state.slices = after.used, after.slices
    if terms is None:
        change_lines(state, pool=-paid.pool, insurance=-paid.insured)
        return
    state.grouped[underlying] = after.grouped
    state.charged[one], state.borne[one] = after.charged, after.borne
    if cause.long:
        now = replace(now, short_index=now.short_index + paid.per_unit)
    else:
        now = replace(now, long_index=now.long_index + paid.per_unit)
    ends = paid.settles and not terms.settles
    if ends:
        now = replace(now, stopped=LONGS_LOST if cause.long else SHORTS_LOST)
    change_lines(state, pool=-paid.pool, insurance=-paid.insured)
    _store(state, one, terms, quote, market.realised(now, -paid.pool), gap_due)
    if ends:
        end_instrument(state, one, index)


def change_lines(state: State, pool: int = 0, insurance: int = 0, protocol: int = 0) -> None:
    """Add to the lines: WAD, protocol in micro-USD."""
    lines = state.lines
    _store_lines(
        state,
        replace(
            lines,
            pool=lines.pool + pool,
            insurance=lines.insurance + insurance,
            protocol=lines.protocol + protocol,
        ),
    )


def _trade(
    state: State,
    instrument: InstrumentId,
    terms: Terms,
    quote: Quote,
    now: Market,
    gap_due: int,
    position: Position,
    delta: int,
    cost: int,
    fee: int,
    insured: int,
) -> Outcome:
    """Roll a position by `delta` for `cost`: settle, realise, move the sums, split the fee."""
    before = now.side_index(position.size)
    owed = funding.owed(position.size, before, position.index)
    kept = funding.owed_to_pool(position.size, before, position.index)
    applied = fills.applied(position, delta, cost)
    after = Position(
        size=applied.size,
        notional=applied.notional,
        index=now.side_index(applied.size) if applied.size else 0,
    )
    parts = fills.split_fee(terms, fee)
    change_lines(
        state,
        pool=kept - applied.realised + parts.pool,
        insurance=owed - kept + parts.insurance + insured,
        protocol=parts.protocol,
    )
    now = market.realised(now, kept - applied.realised)
    _store(
        state,
        instrument,
        terms,
        quote,
        replace(
            now,
            long_interest=now.long_interest + max(after.size, 0) - max(position.size, 0),
            short_interest=now.short_interest + max(-after.size, 0) - max(-position.size, 0),
            notional_sum=now.notional_sum + after.notional - position.notional,
            index_sum=now.index_sum + funding.index_part(after) - funding.index_part(position),
        ),
        gap_due,
    )
    interest = state.markets[instrument].interest(after.size)
    return Outcome(
        position=after,
        delta=delta,
        cost=cost,
        fee=fee + insured,
        owed=owed,
        cash=applied.realised - owed - fee - insured,
        crowding=margin.crowding(after.size, quote.price_wad, interest, terms),
        reward=0,
        feed=terms.underlying.feed,
        quote=quote,
    )


def _store(
    state: State,
    instrument: InstrumentId,
    terms: Terms,
    quote: Quote,
    now: Market,
    gap_due: int,
) -> None:
    """Give an accrued market its rates from now on, and the pool its mark and requirement."""
    window = state.parameters.forced_window_seconds
    index = quote.price_wad
    won = clamp(now.won, market.MAX_WON)
    if terms.settles:
        mark = market.unrealised(now, index)
        after = replace(now, easing=0, rate=0, gap=0, mark=mark, requirement=0, won=won)
    else:
        value = terms.value(index)
        seen = market.premium_net(now, state.now, window)
        needed = ceil_div(margin.pool_requirement(now.net, index, terms.underlying), MICRO)
        after = replace(
            now,
            easing=int(seen != now.net),
            rate=funding.funding_rate(terms, value, index, seen),
            gap=funding.gap_rate(terms, index),
            mark=market.mark(now, value.fair, index, terms.fill.depth_wad, seen),
            requirement=min(needed, market.MAX_REQUIREMENT),
            won=won,
        )
    lines = state.lines
    _store_lines(
        state,
        replace(
            lines,
            pool=lines.pool - gap_due,
            insurance=lines.insurance + gap_due,
            mark=lines.mark + after.mark - now.mark,
            requirement=lines.requirement + (after.requirement - now.requirement) * MICRO,
        ),
    )
    if not market.fits(after):
        raise Refused("word: value too large")
    state.markets[instrument] = after


def _store_lines(state: State, lines: Lines) -> None:
    require(
        -(1 << 95) <= lines.pool < 1 << 95
        and lines.insurance < 1 << 96
        and lines.protocol < 1 << 64,
        "word: value too large",
    )
    state.lines = lines


def _check_limits(
    state: State,
    instrument: InstrumentId,
    terms: Terms,
    quote: Quote,
    net_before: int,
    delta: int,
) -> None:
    """What may be open, and what the pool can carry, after a trade that opens (SPEC 5.13)."""
    after = state.markets[instrument]
    require(market.within_interest(after.interest(delta), quote.price_wad, terms), "fill: limit")
    factor = state.parameters.pool_low_ppm
    if abs(after.net) > abs(net_before):
        factor = state.parameters.pool_factor_ppm
        require(market.within_premium(after.net, terms), "fill: limit")
    require(market.pool_covers(state.lines, factor), "fill: limit")
