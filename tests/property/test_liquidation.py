"""Laws of calls and liquidations: who, how much, and what is left after it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keeper.core import fills, liquidation, margin
from keeper.core.exposure import liquidation_prices
from keeper.core.liquidation import Assessment, Policy
from keeper.core.terms import Terms
from keeper.core.types import Mode, Refused
from keeper.core.units import PPM, WAD, mul_ceil, mul_floor, ppm_ceil
from tests.property.strategies import plain_terms, prices, terms

MANY = settings(max_examples=300)
ANY_SIZE = 2**255
POLICY = Policy(call_ppm=300_000, hard_ppm=800_000, grace_isolated=0, grace_cross=3_600)


def weigh(about: Terms, size: int, index: int, equity: int) -> Assessment:
    """The assessment of an account with one position and this equity."""
    loss = margin.scan_loss(size, index, about.underlying.shock_ppm)
    extra = margin.concentration(loss, about.underlying)
    if size:
        extra += margin.provision(size, index, about) + about.risk.reserve_wad
    plain = -(-loss * about.underlying.factor_ppm // PPM) + extra
    return Assessment(equity, equity, loss + extra, plain, plain)


@MANY
@given(terms(), prices, st.integers(10**15, 10**24), st.integers(0, 10**6))
def test_what_is_closed_restores_plain_initial_and_no_more(
    about: Terms, index: int, held: int, health_ppm: int
) -> None:
    """I-17, SPEC 8.3: exact to a unit of size below the liquidity bound, never beyond above it."""
    before = weigh(about, held, index, 0)
    equity = before.maintenance // 2 + before.maintenance * health_ppm // (2 * PPM)
    before = weigh(about, held, index, equity)
    assume(equity < before.maintenance)
    exposure = mul_ceil(held, index)
    size = liquidation.closing_size(before, held, index, exposure, about, ANY_SIZE)
    assert 0 < size <= held
    if size == held:
        return
    charged = liquidation.charges(equity, index, -size, held, about)
    lost = fills.forced_charge(index, -size, about.limit.lambda_ppm)
    after = weigh(about, held - size, index, equity - lost - charged.fee - charged.penalty)
    assert after.equity * before.maintenance > before.equity * after.maintenance
    gap = after.equity - after.plain_initial
    # the size is rounded up to a unit; the fee assumed is the taker's, here it is the maker's
    notional = mul_ceil(size, index)
    rebate = ppm_ceil(notional, about.fill.taker_ppm - about.fill.maker_ppm)
    rounding = 8 + 2 * PPM // about.underlying.shock_ppm
    assert gap <= rebate + 2 * index // WAD + notional // 10**12 + rounding
    if exposure <= about.underlying.liquidity_wad:
        assert gap >= -rounding


def test_worked_size() -> None:
    """10 at 3,000: maintenance 4,500, plain 5,850; equity 4,000 lacks 1,850.

    Closing frees 19.5 % and costs 1.55 %, so 1,850 / (3,000 · 17.95 %) = 3.43546… units.
    """
    about = plain_terms(penalty_ppm=10_000, lambda_ppm=5_000, taker_ppm=500)
    size, price = 10 * WAD, 3_000 * WAD
    before = weigh(about, size, price, 4_000 * WAD)
    closed = liquidation.closing_size(before, size, price, 30_000 * WAD, about, ANY_SIZE)
    assert closed == -(-1_850 * 10**12 * WAD // (3_000 * 179_500_000_000))
    hopeless = weigh(about, size, price, 2_249 * WAD)  # below half of maintenance
    assert liquidation.closing_size(hopeless, size, price, 0, about, ANY_SIZE) == size
    with pytest.raises(Refused, match="liquidation: nothing to close"):
        liquidation.closing_size(hopeless, size, price, 0, about, size - 1)


def test_what_stays_is_nothing_or_the_minimum() -> None:
    about = plain_terms(min_notional_usd=25_000)
    size, price = 10 * WAD, 3_000 * WAD
    before = weigh(about, size, price, 4_000 * WAD)
    whole = liquidation.closing_size(before, size, price, 30_000 * WAD, about, ANY_SIZE)
    assert whole == size
    with pytest.raises(Refused, match="liquidation: nothing to close"):
        liquidation.closing_size(before, size, price, 30_000 * WAD, about, size - 1)
    with pytest.raises(Refused, match="liquidation: nothing to close"):
        liquidation.closing_size(before, size, price, 30_000 * WAD, about, 0)


def test_liquidation_follows_health_call_and_grace() -> None:
    """I-16, on every side of every line."""

    def at(equity: int, mode: Mode, called: bool, deadline: int, now: int) -> bool:
        assessed = Assessment(equity, equity, 1_000, 1_300, 1_300)
        return liquidation.liquidatable(assessed, mode, called, deadline, POLICY, now)

    assert at(799, Mode.CROSS, False, 0, 0)  # below the hard level: at once
    assert not at(800, Mode.CROSS, False, 0, 0)
    assert at(999, Mode.ISOLATED, False, 0, 0)  # no grace in its mode
    assert not at(1_000, Mode.ISOLATED, False, 0, 0)
    assert not at(999, Mode.CROSS, True, 100, 99)
    assert at(999, Mode.CROSS, True, 100, 100)
    assert not at(1_000, Mode.CROSS, True, 100, 200)
    nothing = Assessment(0, 0, 0, 0, 0)
    assert not liquidation.liquidatable(nothing, Mode.CROSS, True, 0, POLICY, 1)


def test_call_line_lies_between_maintenance_and_plain_initial() -> None:
    assessed = Assessment(0, 0, 1_000, 1_301, 1_400)
    assert liquidation.call_line(assessed, 300_000) == 1_000 + 91  # 90.3 rounded up


@MANY
@given(terms(), prices, st.integers(1, 10**24), st.integers(-(10**27), 10**27))
def test_charges_never_take_more_than_the_equity_left(
    about: Terms, index: int, size: int, equity: int
) -> None:
    """I-18."""
    charged = liquidation.charges(equity, index, -size, size, about)
    left = equity - fills.forced_charge(index, -size, about.limit.lambda_ppm)
    assert 0 <= charged.fee + charged.penalty <= max(0, left)
    assert 0 <= charged.reward <= charged.penalty


@MANY
@given(st.integers(0, 10**24), prices, st.integers(0, 200_000), st.integers(0, 18))
def test_a_debt_sale_gives_no_more_than_its_discount(
    cash: int, price: int, discount: int, decimals: int
) -> None:
    amount = liquidation.collateral_bought(cash, price, discount, decimals)
    assert amount * price * (PPM - discount) <= cash * 10**decimals * PPM


@MANY
@given(
    terms(),
    st.integers(10**6, 10**14),
    st.integers(10**15, 10**24).flatmap(lambda size: st.sampled_from((size, -size))),
    st.integers(0, 10**6),
)
def test_liquidation_prices_are_the_last_ticks_that_fail(
    about: Terms, present: int, size: int, cushion_ppm: int
) -> None:
    """The tick is a feed unit of 8 decimals: the next one towards the present price is healthy."""
    tick = 10**10
    entry = mul_floor(size, present * tick)
    cash = weigh(about, size, present * tick, 0).maintenance * (PPM + cushion_ppm) // PPM

    def buffer(price: int) -> int:
        equity = cash + mul_floor(size, price * tick) - entry
        return equity - weigh(about, size, price * tick, equity).maintenance

    assert buffer(present) >= 0
    found = liquidation_prices(buffer, present, highest=1 << 56)
    for price, way in ((found.below, 1), (found.above, -1)):
        if price is not None:
            assert buffer(price) < 0 <= buffer(price + way)
    # a long fails below and a short above, sooner than the price can fall to nothing or double
    nearest = found.below if size > 0 else found.above
    if nearest is not None:
        assert (present - nearest) * size > 0


def test_worked_liquidation_price() -> None:
    """Long 10 from 3,000 with 6,000 cash: 6,000 + 10(S − 3,000) = 1.5 S at S = 24,000/8.5."""
    about = plain_terms()
    size, tick = 10 * WAD, 10**10

    def buffer(price: int) -> int:
        equity = 6_000 * WAD + mul_floor(size, price * tick) - 30_000 * WAD
        return equity - weigh(about, size, price * tick, equity).maintenance

    found = liquidation_prices(buffer, 3_000 * 10**8, highest=10**14)
    assert found.below == 24_000 * 10**9 // 85  # 2,823.529… USD
