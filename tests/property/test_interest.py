"""Interest on debt: growth, the curve, what is due against what is owed (SPEC 11)."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.core import interest
from keeper.core.interest import MAX_INDEX, RAY, Credit, Curve
from keeper.core.units import PPM, WAD, YEAR

curves = st.builds(
    Curve,
    base_ppm=st.integers(0, 500_000),
    kink_ppm=st.integers(10_000, 990_000),
    low_ppm=st.integers(0, 500_000),
    high_ppm=st.integers(0, 1_000_000),
    insurance_ppm=st.integers(0, 500_000),
)
rates = st.integers(0, 2 * RAY // YEAR)
seconds = st.integers(0, YEAR)


@given(rates, seconds)
def test_f01_growth_is_exact_to_a_billionth(rate: int, passed: int) -> None:
    """Against the power in 60 digits: never below it, never a billionth above."""
    with localcontext() as context:
        context.prec = 60
        exact = (1 + Decimal(rate) / RAY) ** passed
        found = Decimal(interest.growth(rate, passed)) / RAY
    assert exact * (1 - Decimal(10) ** -40) <= found <= exact * (1 + Decimal(10) ** -9)


@given(rates, st.lists(st.integers(0, YEAR // 10), min_size=1, max_size=10))
def test_f09_any_number_of_pokes_is_one_poke(rate: int, steps: list[int]) -> None:
    """F-09, F-14: no poke earns or saves anything but rounding, and time always costs."""
    index = RAY
    for step in steps:
        index = interest.index_after(index, rate, step)
    whole = interest.index_after(RAY, rate, sum(steps))
    # each multiplication is off by a unit of 10^-27 at most, and there are 60 in a poke
    assert abs(index - whole) * RAY <= 64 * (len(steps) + 1) * whole * 2
    assert index > RAY or rate == 0 or sum(steps) == 0


def test_f14_a_thousand_pokes_of_a_second_charge_what_one_of_a_thousand_does() -> None:
    rate = interest.rate(Curve(100_000, 800_000, 0, 0, 0), 0)
    index = RAY
    for _ in range(1_000):
        index = interest.index_after(index, rate, 1)
    debt = 100_000 * WAD
    often, once = (
        interest.owed(debt, one, RAY) for one in (index, interest.index_after(RAY, rate, 1_000))
    )
    assert 0 <= often - once <= 1_000


@given(curves, st.integers(0, RAY), st.integers(0, RAY))
def test_the_rate_rises_with_what_is_lent(curve: Curve, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert interest.rate(curve, low) <= interest.rate(curve, high)
    top = (curve.base_ppm + curve.low_ppm + curve.high_ppm) * RAY // PPM
    assert interest.rate(curve, RAY) == -(-top // YEAR)
    assert interest.rate(curve, 0) == -(-curve.base_ppm * RAY // PPM // YEAR)


@given(curves)
def test_f12_the_rate_is_continuous_at_the_kink(curve: Curve) -> None:
    kink = curve.kink_ppm * RAY // PPM
    before, at, after = (interest.rate(curve, kink + step) for step in (-1, 0, 1))
    steepest = max(curve.low_ppm, curve.high_ppm) * RAY // PPM // YEAR * 10**5 // RAY + 2
    assert at - before <= steepest
    assert after - at <= steepest


@given(st.integers(0, 10**33), st.integers(0, 10**33))
def test_utilisation_is_a_part_of_one(total: int, lendable: int) -> None:
    used = interest.utilisation(total, lendable)
    assert 0 <= used <= RAY
    if 0 < total < lendable:
        assert Fraction(total, lendable) <= Fraction(used, RAY)
        assert Fraction(used - 1, RAY) < Fraction(total, lendable)


@given(
    st.lists(st.tuples(st.integers(1, 10**25), st.integers(RAY, 3 * RAY)), max_size=20),
    st.integers(3 * RAY, 10 * RAY),
)
def test_what_is_due_is_never_more_than_what_is_owed(
    debts: list[tuple[int, int]], index: int
) -> None:
    """The pool counts no interest that nobody owes; what it misses is below a few units each."""
    credit = Credit(
        index=index,
        bearing=sum(debt for debt, _ in debts),
        scaled=sum(interest.part(debt, settled) for debt, settled in debts),
    )
    due = interest.due(credit, index)
    owed = sum(interest.owed(debt, index, settled) for debt, settled in debts)
    assert due <= owed <= due + len(debts) * (index // RAY + 2) + 1


@pytest.mark.parametrize("years", [10, 11, 40, 1_000])
def test_f04_after_any_silence_nothing_overflows(years: int) -> None:
    """At the highest rate there is, twice in a row, with the largest debt that fits."""
    rate = interest.rate(Curve(500_000, 10_000, 500_000, 1_000_000, 0), RAY)
    index = interest.index_after(RAY, rate, years * YEAR)
    assert index == interest.index_after(RAY, rate, YEAR)
    assert math.isclose(index / RAY, math.exp(2), rel_tol=1e-6)
    again = interest.index_after(index, rate, years * YEAR)
    assert again == MAX_INDEX or again > index
    assert interest.growth(rate, 10 * YEAR) ** 2 < 2**256
    assert (1 << 112) * MAX_INDEX < 2**256
