"""Laws of a trade's cost, of its fees, and of what it does to a position."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core import fills
from keeper.core.accounts import FLAT, Position
from keeper.core.terms import Terms
from keeper.core.units import MICRO, WAD, mul_floor
from tests.property.strategies import plain_terms, prices, sizes, terms

MANY = settings(max_examples=300)
depths = st.integers(10**21, 10**28)


@MANY
@given(prices, sizes, sizes, depths, st.lists(st.integers(1, 10**6), min_size=2, max_size=6))
def test_a_trade_in_parts_costs_the_whole_and_at_most_two_units_more_a_part(
    index: int, delta: int, premium_size: int, depth: int, weights: list[int]
) -> None:
    whole = fills.notional(index, index, delta, premium_size, depth)
    parts = [delta * weight // sum(weights) for weight in weights[:-1]]
    parts.append(delta - sum(parts))
    paid, at = 0, premium_size
    for part in parts:
        paid += fills.notional(index, index, part, at, depth)
        at += part
    assert at == premium_size + delta
    assert whole <= paid <= whole + 2 * len(parts)


@MANY
@given(prices, sizes, sizes, depths)
def test_a_round_trip_at_a_still_price_never_pays(
    index: int, delta: int, premium_size: int, depth: int
) -> None:
    there = fills.notional(index, index, delta, premium_size, depth)
    back = fills.notional(index, index, -delta, premium_size + delta, depth)
    assert 0 <= there + back <= 4


@MANY
@given(terms(), prices, sizes, sizes)
def test_round_trip_costs_at_least_its_fees(about: Terms, index: int, delta: int, net: int) -> None:
    depth = about.fill.depth_wad
    first = fills.notional(index, index, delta, net, depth)
    opened = fills.applied(FLAT, delta, first)
    position = Position(opened.size, opened.notional, 0)
    second = fills.notional(index, index, -delta, net + delta, depth)
    closed = fills.applied(position, -delta, second)
    fees = (
        fills.trading_fee(about, index, delta, net)
        + fills.opening_gap_fee(about, index, abs(delta))
        + fills.trading_fee(about, index, -delta, net + delta)
    )
    change = opened.realised + closed.realised - fees
    assert closed.size == 0
    assert closed.notional == 0
    assert change <= -fees <= 0


@MANY
@given(sizes, st.integers(-(10**27), 10**27), sizes, st.integers(-(10**27), 10**27))
def test_cost_is_what_notional_and_realised_gain_share(
    size: int, notional: int, delta: int, cost: int
) -> None:
    position = Position(size, notional, 0)
    after = fills.applied(position, delta, cost)
    assert after.size == size + delta
    # the account is worth q·θ − N + cash: a trade takes its cost from it, exactly
    assert after.realised - (after.notional - notional) == -cost


@MANY
@given(sizes, st.integers(-(10**27), 10**27), st.integers(1, 10**6))
def test_a_partial_close_keeps_its_share_of_the_entry(size: int, notional: int, part: int) -> None:
    delta = -(size * part // (10**6 + 1))
    if delta == 0:
        return
    after = fills.applied(Position(size, notional, 0), delta, 0)
    held, left = abs(size), abs(after.size)
    exact = notional * left  # over held
    assert exact - held < after.notional * held <= exact


@MANY
@given(sizes, st.integers(-(10**27), 10**27), prices, st.integers(1, 10**25))
def test_a_flip_closes_all_and_opens_the_rest_at_the_same_price(
    size: int, notional: int, price: int, beyond: int
) -> None:
    delta = -size - beyond if size > 0 else -size + beyond
    cost = fills.notional(price, price, delta, 0, 10**60)  # no premium to speak of
    after = fills.applied(Position(size, notional, 0), delta, cost)
    assert after.size == size + delta
    # the rest was opened at the price of the trade: worth nothing yet, but for rounding
    assert -3 <= mul_floor(after.size, price) - after.notional <= 3


@MANY
@given(terms(), prices, sizes, sizes)
def test_fee_is_split_without_a_rest_and_never_negative(
    about: Terms, index: int, delta: int, net: int
) -> None:
    fee = fills.trading_fee(about, index, delta, net)
    parts = fills.split_fee(about, fee)
    # no free act: the taker rate is at least one ppm
    assert fee >= (1 if fills.closing(net, delta) < abs(delta) else 0)
    assert min(parts.pool, parts.insurance, parts.protocol) >= 0
    assert parts.pool + parts.insurance + parts.protocol * MICRO == fee


@MANY
@given(terms(), prices, sizes, sizes)
def test_fee_is_path_split_where_the_trade_flips_the_net(
    about: Terms, index: int, delta: int, net: int
) -> None:
    whole = fills.trading_fee(about, index, delta, net)
    shrinking = fills.closing(net, delta)
    part = shrinking if delta > 0 else -shrinking
    in_two = fills.trading_fee(about, index, part, net) if part else 0
    rest = delta - part
    in_two += fills.trading_fee(about, index, rest, net + part) if rest else 0
    assert whole <= in_two <= whole + 1


@MANY
@given(terms(), prices, sizes)
def test_a_forced_fill_costs_lambda_whatever_the_premium_is(
    about: Terms, index: int, delta: int
) -> None:
    cost = fills.forced_notional(index, index, delta, about.limit.lambda_ppm)
    loss = cost * WAD - delta * index  # against the fair value
    rate = about.limit.lambda_ppm * abs(delta) * index
    assert rate <= loss * 10**6 <= rate + 2 * WAD * 10**6


def test_worked_round_trip() -> None:
    """Buy 10 at 3,000 with depth 1,000,000 and nobody else: premium 10/1,000,000 at the end."""
    about = plain_terms(taker_ppm=500, maker_ppm=200)
    price, ten, depth = 3_000 * WAD, 10 * WAD, about.fill.depth_wad
    cost = fills.notional(price, price, ten, 0, depth)
    assert cost == 30_000 * WAD + 15 * WAD // 100  # half of 3,000 · 1e-5 on 10 units
    assert fills.trading_fee(about, price, ten, 0) == 15 * WAD
    assert fills.trading_fee(about, price, -ten, ten) == 6 * WAD  # brings the net back to 0
    assert fills.trading_fee(about, price, -2 * ten, ten) == 21 * WAD
    back = fills.notional(price, price, -ten, ten, depth)
    assert back == -cost
