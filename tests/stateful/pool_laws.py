"""What must hold of the pool at every act: its worth does not jump, and nobody takes from shares.

Both are asked of NAV at the stored prices and this moment (`views.nav`): an accrual or a
settlement changes nothing of it, so a law can be exact where the act is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from keeper.core import fills, funding, market
from keeper.core.accounts import MAX_POSITIONS
from keeper.core.market import Market
from keeper.core.protocol import clearing, liquidity, oracle, views
from keeper.core.protocol.checks import Broken
from keeper.core.protocol.liquidity import VIRTUAL
from keeper.core.protocol.orders import Ending
from keeper.core.protocol.state import Order, Side, State
from keeper.core.types import AccountId, InstrumentId, Level
from keeper.core.units import ppm_ceil

DUST = 10  # units that the roundings of one trade may move NAV by
# after these NAV is another at the same positions
PRICED = frozenset({"post", "pass_time", "settle_instrument"})
SHARES = frozenset({"execute_requests", "lapse_requests"})  # that make or burn shares

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Before:
    """The pool before an act, and what else its laws compare with."""

    nav: int
    worth: int  # NAV less the shortfalls marked, as of this moment
    supply: int
    sizes: dict[tuple[AccountId, InstrumentId], int]  # of positions that the act may trade
    markets: dict[InstrumentId, Market]  # of the same, accrued
    owing: int  # WAD, Σ max(0, −equity) of accounts that the act may liquidate or absorb
    settling: frozenset[InstrumentId]
    asked: int  # native, entries that the act may return


def before(state: State, name: str, args: Sequence[Any]) -> Before:
    """What `after` needs to know of the state before an act."""
    traded = {(order.account, order.instrument) for order, _ in _fills(name, args)}
    traded.update(_closed(name, args))
    accounts = set(_losers(name, args))
    entries = args[0] if name in ("execute_requests", "lapse_requests") else ()
    return Before(
        nav=views.nav(state),
        worth=_worth(state),
        supply=state.supply,
        sizes={key: state.positions[key].size for key in traded},
        markets={
            one: funding.accrued(state.markets[one], state.now)[0]
            for _, one in traded
            if state.terms[one] is not None
        },
        owing=sum(
            max(0, -clearing.assess(state, account, Level.ANY).equity) for account in accounts
        ),
        settling=_settling(state),
        asked=sum(state.requests[Side.ENTRY, one].amount for one in set(entries)),
    )


def after(state: State, name: str, args: Sequence[Any], result: Any, then: Before) -> None:
    """Judge an act that was done; Broken names the law."""
    if name in PRICED or _settling(state) != then.settling:
        return
    jump = views.nav(state) - then.nav
    low, high = allowed(state, name, args, result, then)
    if not low <= jump <= high:
        raise Broken(f"I-35 NAV moved by {jump}, allowed {low} to {high}")
    price_then = max(0, then.worth) + VIRTUAL, then.supply + VIRTUAL
    price_now = max(0, _worth(state)) + VIRTUAL, state.supply + VIRTUAL
    if name in SHARES and price_now[0] * price_then[1] < price_then[0] * price_now[1]:
        raise Broken(f"I-34 a share lost by {name}: from {price_then} to {price_now}")


def _settling(state: State) -> frozenset[InstrumentId]:
    """A deficit may end its instrument, which needs its premium reserve no more."""
    return frozenset(one for one in state.terms if state.listed(one).settles)


def _worth(state: State) -> int:
    short = sum(liquidity.shortfall(state, one, Level.ANY) for one in state.marked)
    return views.nav(state) - short


def allowed(state: State, name: str, args: Sequence[Any], result: Any, then: Before) -> Range:
    """By how much an act may move NAV, WAD: the pool's fees, λ, the premium that a forced close
    does not give back, what the pool is paid, and what a deficit shows to have been nobody's."""
    if name == "execute_requests":
        taken, released = result
        flow = (taken - released) * state.parameters.scale
        fees = ppm_ceil(then.asked, state.parameters.exit_fee_ppm) + len(args[0])
        return flow, flow + fees * state.parameters.scale
    if name == "lapse_requests":
        return result * state.parameters.scale, result * state.parameters.scale
    if name == "execute":
        gained = _of_fill(state, args[1], args[2], then) if result is Ending.FILLED else 0
        return gained - DUST, gained + DUST
    if name == "execute_many":
        each = [
            _of_fills_at_most(state, order, slot, then)
            for (order, slot), ending in zip(args[1], result, strict=True)
            if ending is Ending.FILLED
        ]
        return -sum(one for one, _ in each) - DUST, sum(sum(one) for one in each) + DUST
    if name in ("liquidate", "liquidate_many"):
        low, high = _forced(state, name, args, result, then)
        shared = DUST * MAX_POSITIONS * len(_closed(name, args))  # a few units each cause
        return low - then.owing - clearing.DUST - shared, high + shared
    if name == "absorb":
        return -then.owing - clearing.DUST, DUST * MAX_POSITIONS
    if name == "settle_positions":
        shared = DUST * MAX_POSITIONS * len(args[0])
        return -then.owing - clearing.DUST - shared, shared
    return -DUST, DUST


def _of_fill(state: State, order: Order, slot: int, then: Before) -> int:
    """What the pool gains by a fill: its part of the fee, and the slot's price against today's."""
    terms = state.listed(order.instrument)
    delta, index, today = _filled(state, order, slot, then)
    was = then.markets[order.instrument]
    seen = market.premium_net(was, state.now, state.parameters.forced_window_seconds)
    depth = terms.fill.depth_wad
    fee = fills.split_fee(terms, fills.trading_fee(terms, index, delta, was.net)).pool
    return (
        fee
        + fills.notional(terms.value(index).fair, index, delta, seen, depth)
        - fills.notional(terms.value(today).fair, today, delta, seen, depth)
    )


def _of_fills_at_most(state: State, order: Order, slot: int, then: Before) -> Range:
    """(most that the price of a slot may move, most that the fee may bring) of a fill in a batch:
    positions and premium are those that the fills before it left."""
    terms = state.listed(order.instrument)
    index, today = _prices(state, order, slot)
    size = abs(order.size) + abs(then.sizes[order.account, order.instrument])
    fee = fills.trading_fee(terms, index, size, 0)
    return fills.notional(abs(index - today), 2 * abs(index - today), size, 0, size), fee


def _filled(state: State, order: Order, slot: int, then: Before) -> tuple[int, int, int]:
    key = order.account, order.instrument
    return state.positions[key].size - then.sizes[key], *_prices(state, order, slot)


def _prices(state: State, order: Order, slot: int) -> tuple[int, int]:
    """(price of the fill, stored price), WAD."""
    feed = state.listed(order.instrument).underlying.feed
    fixed = oracle.slot_price(state, feed, slot)
    index = oracle.wad(state, feed, fixed.high if order.size > 0 else fixed.low)
    return index, oracle.price(state, feed, Level.ANY).price_wad


def _forced(state: State, name: str, args: Sequence[Any], result: Any, then: Before) -> Range:
    """What liquidations may move NAV by, their deficits aside: λ and fees at most, and the premium
    that was held back for the size that they close (the reserve, Q_p standing still)."""
    done = [result] if name == "liquidate" else result
    sizes: dict[InstrumentId, int] = {}
    low = high = 0
    for (_, instrument), one in zip(_closed(name, args), done, strict=True):
        if one is not None:
            terms = state.listed(instrument)
            index = oracle.price(state, terms.underlying.feed, Level.ANY).price_wad
            high += fills.forced_charge(index, one.size, terms.limit.lambda_ppm)
            high += fills.trading_fee(terms, index, one.size, 0)
            sizes[instrument] = sizes.get(instrument, 0) + one.size
    for instrument, size in sizes.items():
        terms, was = state.listed(instrument), then.markets[instrument]
        index = oracle.price(state, terms.underlying.feed, Level.ANY).price_wad
        waiting = abs(market.residual(was, state.now, state.parameters.forced_window_seconds))
        depth = terms.fill.depth_wad
        high += fills.notional(0, index, size, waiting, depth) + DUST
        low -= fills.notional(0, index, size, waiting, depth) + DUST if waiting else 0
    return low, high


def _fills(name: str, args: Sequence[Any]) -> Iterator[tuple[Order, int]]:
    if name == "execute":
        yield args[1], args[2]
    elif name == "execute_many":
        yield from args[1]


def _losers(name: str, args: Sequence[Any]) -> Iterator[AccountId]:
    if name == "absorb":
        yield args[0]
    elif name == "liquidate":
        yield args[1]
    elif name == "settle_positions":
        yield from args[0]
    elif name == "liquidate_many":
        yield from (account for account, _ in args[1])


def _closed(name: str, args: Sequence[Any]) -> list[tuple[AccountId, InstrumentId]]:
    if name == "liquidate":
        return [(args[1], args[2])]
    return list(args[1]) if name == "liquidate_many" else []
