"""Deficits at one price: who pays does not depend on who comes first (I-19, I-37)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import astuple, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core import losses, margin
from keeper.core.losses import Buckets, Cause, Claim, Limits, Loss, Memory
from keeper.core.protocol import checks
from keeper.core.protocol.model import Protocol
from keeper.core.types import AccountId, Address, InstrumentId, Refused, account_id
from keeper.core.units import DAY, MICRO, PPM, WAD
from tests.property.house import ETH, KEEPER, PRICE, TERMS, House
from tests.property.strategies import plain_terms, terms

LIQUIDATOR = Address(b"l" * 20)
LIMITS = Limits(20_000, 30_000, 50_000, DAY, 1_000 * WAD)


def crowd(seed: int) -> tuple[House, list[AccountId]]:
    """Longs and shorts of every size and margin, and a gap of the price."""
    rng, house = random.Random(seed), House()
    limits = Limits(*rng.choice(((0, 0, 0), (2_000, 3_000, 5_000))), DAY, 10_000 * WAD)
    house.state.parameters = replace(house.state.parameters, losses=limits)
    house.fund_pool(Address(b"p" * 20), 5_000_000)
    house.endow(KEEPER, 100_000)
    house.protocol.fund_insurance(KEEPER, 50_000 * 10**6)
    longs = []
    for number in range(10):
        owner = Address(bytes([number + 1]) * 20)
        account = account_id(owner, 1)
        long = number < 6
        size = rng.randint(5, 60 if long else 120) * WAD
        usd = size // WAD * 3_000 // rng.randint(2, 4)
        house.endow(owner, usd)
        house.protocol.deposit(owner, account, usd * 10**6)
        house.trade(account, size if long else -size)
        if long and house.state.positions[account, ETH].size:
            longs.append(account)
    house.post(PRICE * rng.randint(35, 80) // 100)
    return house, longs


def outcome(house: House, order: Sequence[AccountId]) -> tuple[int, int, int, int]:
    """(insurance's part, the pool's slice, charge per short, 1 if the instrument has ended) after
    liquidations in an order; once it has ended the others are settled."""
    state = deepcopy(house.state)
    protocol = Protocol(state)
    for account in order:
        if state.listed(ETH).settles:
            protocol.settle_positions((account,), ETH)
            continue
        with suppress(Refused):
            protocol.liquidate(LIQUIDATOR, account, ETH, 2**255)
    checks.ledger(state)
    checks.sums(state)
    checks.claims(state)
    assert all(state.accounts[one].cash >= 0 for one in order)
    used, found = state.used[ETH], state.markets[ETH]
    return used.insured, used.sliced, found.short_index, found.stopped


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_liquidations_charges_everybody_the_same(seed: int) -> None:
    """To a micro-USD for each account in what is measured so; to the slice of the fees and the
    spread that come in on the way, a share of the pool's worth being a share of them too; and
    where it ends the instrument, to the spread that who is settled is not charged."""
    house, longs = crowd(seed)
    rng = random.Random(seed)
    found = []
    for _ in range(6):
        order = list(longs)
        rng.shuffle(order)
        found.append(outcome(house, order))
    closed = house.state.markets[ETH].long_interest * PRICE // 10**8
    share = house.state.parameters.losses.instrument_ppm
    tolerance = 2 * MICRO * len(longs) + closed * 15 // 1_000 * share // PPM
    spread = closed * TERMS.limit.lambda_ppm // PPM
    for one in found:
        assert abs(one[0] - found[0][0]) <= MICRO, "insurance"
        assert abs(one[1] - found[0][1]) <= tolerance, "slices"
        shorts = house.state.markets[ETH].short_interest
        off = abs(one[2] - found[0][2]) * shorts // WAD
        assert off <= tolerance + 2 * shorts // WAD + (spread if one[3] or found[0][3] else 0)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 10**28)), min_size=1, max_size=16),
    st.integers(0, 10**28),
    st.integers(0, 10**28),
)
def test_a_deficit_is_attributed_without_a_rest(
    lost: list[tuple[bool, int]], short: int, deficit: int
) -> None:
    """In proportion, no position for more than it lost, and none for what came later."""
    causes = tuple(Loss(InstrumentId(i), long, one) for i, (long, one) in enumerate(lost, 1))
    found = losses.attributed(Memory(causes, short, 0), deficit)
    assert sum(one.deficit for one in found) == deficit
    by_instrument = {one.instrument: one.deficit for one in found}
    assert sum(part for one, part in by_instrument.items() if one) <= short
    for cause in causes:
        assert by_instrument.get(cause.instrument, 0) <= cause.lost + len(causes)


@settings(max_examples=300)
@given(
    terms(),
    st.integers(1, 10**27),
    st.integers(0, 10**25),
    st.integers(0, 10**25),
    st.integers(0, 10**27),
    st.integers(-(10**26), 10**27),
    st.integers(0, 10**24),
    st.integers(10**15, 10**23),
    st.booleans(),
)
def test_each_pays_only_when_the_one_before_is_exhausted(
    about: object,
    deficit: int,
    insurance: int,
    cap: int,
    gain: int,
    nav: int,
    winners: int,
    index: int,
    long: bool,
) -> None:
    """I-19, on one deficit and on a second in the same moment."""
    underlying = about.underlying  # type: ignore[attr-defined]
    claim = Claim(Cause(ETH, long, deficit), insurance, cap, gain, nav, winners, index, underlying)
    paid, after = losses.share(claim, LIMITS, Buckets(), 10**9)
    assert paid.insured + paid.pool == deficit
    assert min(astuple(paid)) >= 0
    assert paid.insured <= min(insurance, cap)
    if paid.own:
        assert paid.insured == min(insurance, cap)
    if paid.sliced:
        assert paid.own == gain
        assert paid.sliced * PPM <= max(0, nav - paid.own) * LIMITS.instrument_ppm
    if paid.shared and not paid.settles:
        gap = index * underlying.shock_ppm * (underlying.factor_ppm - PPM)
        assert paid.per_unit * 2 * PPM * PPM <= gap
    if paid.lost > LIMITS.floor + winners // WAD + 1:
        assert not winners or paid.per_unit == index
    again, _ = losses.share(claim, LIMITS, after, 10**9)
    assert paid.insured + again.insured <= cap
    assert (paid.sliced + again.sliced) * PPM <= max(0, nav) * LIMITS.instrument_ppm


def test_worked_gap_of_a_unit() -> None:
    """I-37: what a unit may be charged a day is what lies between its two lines."""
    about = plain_terms()
    loss = margin.scan_loss(WAD, 3_000 * WAD, about.underlying.shock_ppm)
    gap = loss * about.underlying.factor_ppm // PPM - loss
    claim = Claim(Cause(ETH, True, 10**30), 0, 0, 0, 0, 10 * WAD, 3_000 * WAD, about.underlying)
    limits = Limits(0, 0, 0, DAY, 10**40)
    paid, after = losses.share(claim, limits, Buckets(), 10**9)
    assert paid.per_unit == gap // 2
    total = paid.per_unit
    for hour in range(1, 25):
        paid, after = losses.share(claim, limits, after, 10**9 + hour * 3_600)
        total += paid.per_unit
    assert total == gap
