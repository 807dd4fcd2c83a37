"""Laws of the scan: what a book loses, what it gains for sure, and what may offset what."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import matrix, mpf, sqrt, workdps

from keeper.core import pricing, scan
from keeper.core.pricing import Kind, Series
from keeper.core.scan import Leg, Point
from keeper.core.units import DAY, PPM, WAD

MANY = settings(max_examples=200)
SPOT = 3_000 * WAD
POINT = Point(SPOT, 150_000, (560_000, 800_000, 1_200_000))

sizes = st.integers(-(10**22), 10**22)
series = st.one_of(
    st.just(pricing.FUTURE),
    st.builds(
        Series,
        st.sampled_from((Kind.CALL, Kind.PUT)),
        st.integers(1_000 * WAD, 9_000 * WAD),
        st.sampled_from((DAY, 7 * DAY, 30 * DAY)),
    ),
    st.just(Series(Kind.SQUARE, 3_000 * WAD, 7 * DAY)),
)
books = st.lists(st.builds(Leg, sizes, series), min_size=1, max_size=6)


@MANY
@given(st.lists(sizes, min_size=1, max_size=4), st.integers(1, 10**24), st.integers(1, 330_000))
def test_futures_cost_a_product_and_are_the_same_scan(
    held: list[int], index: int, shock: int
) -> None:
    legs = [Leg(size, pricing.FUTURE) for size in held]
    point = Point(index, shock)
    results = scan.table(legs, point)
    assert scan.measure(legs, point) == (scan.loss(results), scan.exposure(results))


@MANY
@given(books, books)
def test_a_book_loses_no_more_than_its_parts(one: list[Leg], other: list[Leg]) -> None:
    """Netting is a diversification: L of both ≤ L + L, exactly."""
    together = scan.measure(one + other, POINT)[0]
    assert together <= scan.measure(one, POINT)[0] + scan.measure(other, POINT)[0]


@MANY
@given(books)
def test_a_book_and_its_opposite_hold_nothing(book: list[Leg]) -> None:
    opposite = [Leg(-leg.size, leg.series) for leg in book]
    assert scan.measure(book + opposite, POINT) == (0, 0)


@MANY
@given(books)
def test_exposure_turns_with_the_book_and_is_no_more_than_its_loss(book: list[Leg]) -> None:
    loss, exposure = scan.measure(book, POINT)
    assert abs(exposure) <= loss
    turned = scan.measure([Leg(-leg.size, leg.series) for leg in book], POINT)
    assert turned[1] * exposure <= 0  # never the same direction both ways


@MANY
@given(books)
def test_exposure_is_a_gain_that_every_scenario_on_its_side_brings(book: list[Leg]) -> None:
    """A long book gains at least w·g where the price rises by g shocks, at any volatility."""
    results = scan.table(book, POINT)
    exposure = scan.exposure(results)
    for thirds in (1, 2, 3):
        for step in range(3):
            up, down = results[3 * (3 + thirds) + step], results[3 * (3 - thirds) + step]
            if exposure > 0:
                assert 3 * up >= exposure * thirds * scan.SCALE
                assert -3 * down >= exposure * thirds * scan.SCALE
            if exposure < 0:
                assert 3 * down >= -exposure * thirds * scan.SCALE
                assert -3 * up >= -exposure * thirds * scan.SCALE


def test_option_books_without_a_direction_offset_nothing() -> None:
    straddle = [Leg(-WAD, Series(kind, SPOT, 7 * DAY)) for kind in (Kind.CALL, Kind.PUT)]
    assert scan.measure(straddle, POINT)[1] == 0
    covered = [Leg(10 * WAD, pricing.FUTURE), Leg(-2 * WAD, Series(Kind.CALL, SPOT, 7 * DAY))]
    assert 0 < scan.measure(covered, POINT)[1] < scan.measure(covered[:1], POINT)[1]


# the offset dominates


loadings = st.lists(st.integers(0, 1_000), min_size=3, max_size=3).filter(any)
members = st.lists(st.tuples(st.integers(-(10**24), 10**24), loadings), min_size=2, max_size=6)


@MANY
@given(members, st.integers(0, 999_999))
def test_offset_dominates_every_correlation_above_its_floor(
    cluster: list[tuple[int, list[int]]], rho_ppm: int
) -> None:
    """R = Σ|w| − 2φ·min(P, M) is at least sqrt(w'Cw) for C = ρ + (1 − ρ)·C', any C' with
    non-negative pairs: so it covers VaR and ES of a joint normal that each |w| covers alone."""
    shocks = [w for w, _ in cluster]
    whole = sum(abs(w) for w in shocks)
    risk = whole - scan.offset(shocks, scan.phi(rho_ppm))
    with workdps(50):
        rho = mpf(rho_ppm) / PPM
        size = len(cluster)
        units = [[x / sqrt(sum(mpf(y) ** 2 for y in f)) for x in f] for _, f in cluster]
        pairs = matrix(size, size)
        for i in range(size):
            for j in range(size):
                alike = sum(a * b for a, b in zip(units[i], units[j], strict=True))
                pairs[i, j] = 1 if i == j else rho + (1 - rho) * alike
        square = sum(shocks[i] * shocks[j] * pairs[i, j] for i in range(size) for j in range(size))
        assert mpf(risk) >= sqrt(max(mpf(0), square)) - mpf(whole) / 10**17


def test_a_larger_offset_would_not_dominate() -> None:
    """Equal and opposite at the floor itself: the bound is reached, so φ cannot be larger."""
    with workdps(50):
        for rho_ppm in (0, 300_000, 500_000, 700_000, 900_000):
            phi = scan.phi(rho_ppm)
            needed = sqrt(2 * (1 - mpf(rho_ppm) / PPM)) * 10**24
            assert needed <= 2 * 10**24 - scan.offset((10**24, -(10**24)), phi)
            larger = phi + WAD // 10**9
            assert needed > 2 * 10**24 - scan.offset((10**24, -(10**24)), larger)
