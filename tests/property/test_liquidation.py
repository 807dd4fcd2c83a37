"""Laws of calls and liquidations: who, how much, and what is left after it."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keeper.core import fills, liquidation, margin
from keeper.core.exposure import liquidation_prices
from keeper.core.liquidation import Assessment, Policy
from keeper.core.terms import Terms
from keeper.core.types import Mode
from keeper.core.units import PPM, WAD, mul_floor
from tests.property.strategies import plain_terms, prices, terms

MANY = settings(max_examples=300, deadline=None)
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
    """I-17, and SPEC 8.3: exact to rounding below the liquidity bound, never beyond above it."""
    before = weigh(about, held, index, 0)
    equity = before.maintenance // 2 + before.maintenance * health_ppm // (2 * PPM)
    before = weigh(about, held, index, equity)
    assume(equity < before.maintenance)
    loss = margin.scan_loss(held, index, about.underlying.shock_ppm)
    size = liquidation.closing_size(before, held, index, loss, about)
    assert 0 < size <= held
    if size == held:
        return
    delta = -size
    charged = liquidation.charges(equity, index, delta, held, about)
    after_equity = (
        equity
        - fills.forced_charge(index, delta, about.limit.lambda_ppm)
        - charged.fee
        - charged.penalty
    )
    after = weigh(about, held - size, index, after_equity)
    assert after.equity * before.maintenance > before.equity * after.maintenance
    # A unit of size is worth this much of the difference between equity and plain initial.
    step = index * PPM // (WAD * PPM) + 1
    # ppm rates are floored, so a size may be one ppm of the notional too large for each of
    # the terms; maker rates below taker leave the account the difference.
    notional = size * index // WAD
    rounding = 3 * notional // PPM + step + 8
    rebate = notional * (about.fill.taker_ppm - about.fill.maker_ppm) // PPM
    gap = after.equity - after.plain_initial
    assert gap <= rounding + rebate
    if margin.shocked_notional(loss, about.underlying.shock_ppm) <= about.underlying.liquidity_wad:
        assert gap >= -8


@MANY
@given(prices, st.integers(10**15, 10**24), st.integers(500_001, 999_999))
def test_with_rates_in_whole_ppm_the_size_is_exact_to_a_unit(
    index: int, held: int, health_ppm: int
) -> None:
    about = plain_terms(
        lambda_ppm=5_000,
        penalty_ppm=10_000,
        taker_ppm=500,
        maker_ppm=500,
        funding_cap_ppm_per_day=30_000,
        liquidity_usd=(1 << 48) - 1,
    )
    full = weigh(about, held, index, 0).maintenance
    before = weigh(about, held, index, full * health_ppm // PPM)
    loss = margin.scan_loss(held, index, about.underlying.shock_ppm)
    size = liquidation.closing_size(before, held, index, loss, about)
    assume(size < held)

    def gap(closed: int) -> int:
        charged = liquidation.charges(before.equity, index, -closed, held, about)
        lost = fills.forced_charge(index, -closed, about.limit.lambda_ppm)
        rest = before.equity - lost - charged.fee - charged.penalty
        return rest - weigh(about, held - closed, index, rest).plain_initial

    step = 2 * index // WAD + 8  # two units of size, and the roundings of eight terms
    assert -8 <= gap(size) <= step


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
    nothing = Assessment(-5, -5, 0, 0, 0)
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
