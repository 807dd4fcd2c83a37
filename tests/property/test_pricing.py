"""Prices against arithmetic of 60 digits, over the whole domain that can be listed and scanned."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import exp, log, mpf, sqrt, workdps

from keeper.core import fixed, pricing
from keeper.core.pricing import Kind, Series, greeks, value
from keeper.core.units import DAY, PPM, WAD, YEAR

MANY = settings(max_examples=400)
spots = st.integers(10**10, 10**24)  # 10^-8 to a million USD
ratios = st.integers(1, 10**8).flatmap(lambda up: st.sampled_from((up, -up)))  # of spot and strike
sigmas = st.integers(50_000, 4_000_000)
periods = st.integers(3_600, 90 * DAY)
powers = st.sampled_from((2, 3))


def strike_of(spot: int, ratio: int) -> int:
    """A strike up to 10^4 times the spot, or as far below it."""
    return max(
        1, spot * (10**4 + abs(ratio)) // 10**4 if ratio > 0 else spot * 10**4 // (10**4 - ratio)
    )


def exact_time_value(spot: int, strike: int, sigma: int, period: int) -> mpf:
    """TV in WAD, in the digits of the context."""
    x, vol, years = mpf(spot) / strike, mpf(sigma) / PPM, mpf(period) / YEAR
    u = sqrt(1 + 8 / (vol**2 * years))
    return strike / u * x ** ((1 - u) / 2 if x >= 1 else (1 + u) / 2)


@MANY
@given(st.integers(-50 * WAD, 0), st.integers(1, 10**45))
def test_exp_and_ln_are_within_two_units(x: int, y: int) -> None:
    with workdps(60):
        assert abs(fixed.wad_exp(x) - exp(mpf(x) / WAD) * WAD) < 2
        assert abs(fixed.wad_ln(y) - log(mpf(y) / WAD) * WAD) < 2


@MANY
@given(spots, ratios, sigmas, periods)
def test_options_are_within_their_bound(spot: int, ratio: int, sigma: int, period: int) -> None:
    strike = strike_of(spot, ratio)
    worth = value(Series(Kind.CALL, strike, period), spot, sigma)
    with workdps(60):
        wrong = abs(worth.fair - worth.payoff - exact_time_value(spot, strike, sigma, period))
        assert wrong <= 2 + mpf(4 * max(spot, strike)) / 10**18


def test_options_are_within_their_bound_at_the_corners() -> None:
    """Spot of one unit, strikes a billion times away, the ends of volatility and period."""
    with workdps(60):
        for spot in (1, 10**9, WAD, 10**24, pricing.MAX_INDEX):
            for strike in (1, 10**9, WAD, 10**24, spot, spot + 1, max(1, spot - 1)):
                for sigma in (50_000, 800_000, 4_000_000):
                    for period in (3_600, 7 * DAY, 90 * DAY):
                        worth = value(Series(Kind.PUT, strike, period), spot, sigma)
                        exact = exact_time_value(spot, strike, sigma, period)
                        wrong = abs(worth.fair - worth.payoff - exact)
                        assert wrong <= 2 + mpf(4 * max(spot, strike)) / 10**18


@MANY
@given(spots, ratios, sigmas, periods)
def test_call_less_put_is_spot_less_strike_to_the_unit(
    spot: int, ratio: int, sigma: int, period: int
) -> None:
    strike = strike_of(spot, ratio)
    call = value(Series(Kind.CALL, strike, period), spot, sigma)
    put = value(Series(Kind.PUT, strike, period), spot, sigma)
    assert call.fair - put.fair == spot - strike
    slopes = [greeks(Series(kind, strike, period), spot, sigma) for kind in (Kind.CALL, Kind.PUT)]
    assert slopes[0].delta - slopes[1].delta == WAD
    assert slopes[0].gamma == slopes[1].gamma
    assert slopes[0].vega == slopes[1].vega
    assert 0 <= slopes[0].delta <= WAD


@MANY
@given(spots, st.integers(10**12, 10**24), sigmas, periods, powers)
def test_powers_are_within_their_bound(
    spot: int, scale: int, sigma: int, period: int, power: int
) -> None:
    grown = pricing.growth(power, sigma, period)
    worth = value(Series(Kind.SQUARE if power == 2 else Kind.CUBE, scale, period), spot, sigma)
    with workdps(60):
        h = mpf(power * (power - 1)) / 2 * (mpf(sigma) / PPM) ** 2
        growth = h * period / YEAR
        if growth >= 0.5:
            assert grown == pricing.MAX_GROWTH
            return
        exact = mpf(spot) ** power / mpf(scale) / mpf(WAD) ** (power - 2) / (1 - growth)
        if worth.fair < pricing.MAX_VALUE:
            # a cube's square is cut to a unit first: one of it is spot / scale of the value
            cut = mpf(spot) / scale * 2 if power == 3 else 0
            assert -3 - cut - exact / 10**17 <= worth.fair - exact <= exact / 10**17


@MANY
@given(spots, ratios, sigmas, periods)
def test_greeks_are_the_slopes_of_the_value(spot: int, ratio: int, sigma: int, period: int) -> None:
    """The identities of the closed form in exact arithmetic, from the time value."""
    strike = strike_of(spot, ratio)
    found = greeks(Series(Kind.CALL, strike, period), spot, sigma)
    with workdps(60):
        time = exact_time_value(spot, strike, sigma, period)
        x, vol, years = mpf(spot) / strike, mpf(sigma) / PPM, mpf(period) / YEAR
        u = sqrt(1 + 8 / (vol**2 * years))
        up = x >= 1
        delta = 1 + (1 - u) / 2 * time / spot if up else (1 + u) / 2 * time / spot
        gamma = 2 * time / (vol**2 * years * mpf(spot) ** 2) * WAD**2
        vega = 8 * time * (1 / u + abs(log(x)) / 2) / (vol**3 * years * u)
        # a unit of the time value is (1 + u)/2S of the delta, and so on
        slack = 4 + mpf(8 * max(spot, strike)) / 10**18
        assert abs(mpf(found.delta) / WAD - delta) <= slack * (1 + u) / spot + mpf(10) ** -17
        assert (
            abs(found.gamma - gamma) <= gamma / 10**9 + 2 + slack * u**2 / mpf(spot) ** 2 * WAD**2
        )
        assert abs(found.vega - vega) <= vega / 10**9 + 2 + slack * u * (1 + abs(log(x))) / vol


@MANY
@given(spots, ratios, sigmas, periods, st.integers(1, 10**6))
def test_more_volatility_and_more_time_are_worth_more(
    spot: int, ratio: int, sigma: int, period: int, more: int
) -> None:
    strike = strike_of(spot, ratio)
    slack = 4 + 8 * max(spot, strike) // 10**18

    def worth(sigma: int, period: int) -> int:
        return value(Series(Kind.CALL, strike, period), spot, sigma).fair

    assert worth(sigma + more, period) >= worth(sigma, period) - slack
    assert worth(sigma, period + more) >= worth(sigma, period) - slack


@MANY
@given(spots, ratios, sigmas, periods)
def test_no_value_is_outside_its_arbitrage_bounds(
    spot: int, ratio: int, sigma: int, period: int
) -> None:
    strike = strike_of(spot, ratio)
    call = value(Series(Kind.CALL, strike, period), spot, sigma)
    put = value(Series(Kind.PUT, strike, period), spot, sigma)
    assert call.payoff <= call.fair <= spot
    assert put.payoff <= put.fair <= strike


def test_beyond_the_bounds_inputs_count_as_the_bound() -> None:
    series = Series(Kind.CALL, 3_000 * WAD, 7 * DAY)
    at = 3_000 * WAD
    assert value(series, at, 0) == value(series, at, pricing.MIN_SIGMA)
    assert value(series, at, 10**9) == value(series, at, pricing.MAX_SIGMA)
    assert value(series, 1 << 127, 10**6).fair == value(series, pricing.MAX_INDEX, 10**6).fair
    assert value(Series(Kind.CALL, at, 1), at, 10**6) == value(
        Series(Kind.CALL, at, 3_600), at, 10**6
    )
    assert value(Series(Kind.PUT, at, 7 * DAY), 0, 10**6).fair == at


def test_a_future_is_its_index() -> None:
    rng = random.Random(4)
    for _ in range(20):
        index = rng.randrange(1, 1 << 127)
        assert value(pricing.FUTURE, index, 0) == pricing.Value(index, index)
        assert greeks(pricing.FUTURE, index, 0) == pricing.Greeks(WAD, 0, 0)


def test_ln_of_nothing_and_exp_of_too_much__refused() -> None:
    with pytest.raises(ValueError, match="there is none"):
        fixed.wad_ln(0)
    with pytest.raises(OverflowError, match="no room"):
        fixed.wad_exp(136 * WAD)
