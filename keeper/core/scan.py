"""What the positions on one underlying can lose: the scenario scan (docs/OPTIONS.md).

The spot moves by −1, −2/3, … 1 times the shock s, each with volatility down, as it is and up, in
that order; then by −3s and +3s with volatility up, at a weight below a third. A scenario's result
is kept as a numerator over `SCALE`: nothing is rounded before the loss or the exposure is taken
from it, so that positions add up exactly.

Directional exposure w: what a move of the underlying surely brings, in the money of a full shock.
For each g of 1/3, 2/3, 1 the worst result over volatilities on the side that gains, the best on
the side that loses, divided by g; w is the smallest of them and of L. It is what one underlying
may set off against another of its cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isqrt

from keeper.core import pricing
from keeper.core.fixed import wad_ln
from keeper.core.pricing import Kind, Series
from keeper.core.units import PPM, WAD, ceil_div

MOVES = (-3, -2, -1, 0, 1, 2, 3)  # thirds of the shock
TAIL = 9  # thirds: three shocks
SCENARIOS = 3 * len(MOVES) + 2
SCALE = 3 * PPM * PPM * WAD
TAIL_WEIGHT_PPM = 330_000
LOWEST = 3 * PPM // 100  # of 3·PPM: no scenario has a price below 1 % of the present one


@dataclass(frozen=True, slots=True)
class Leg:
    """A position as the scan sees it."""

    size: int  # WAD units, > 0 long
    series: Series
    class_ppm: int = PPM  # the strike class's factor on volatility


@dataclass(frozen=True, slots=True)
class Point:
    """Where an underlying stands, and how far it is moved."""

    index: int  # WAD
    shock_ppm: int
    sigmas: tuple[int, int, int] = (0, 0, 0)  # ppm a year: down, as it is (σ_p), up
    tail_weight_ppm: int = TAIL_WEIGHT_PPM


def table(legs: Iterable[Leg], point: Point) -> tuple[int, ...]:
    """The 23 results of the legs together, numerators over `SCALE`."""
    moves = tuple(_Move.of(point, thirds) for thirds in (*MOVES, -TAIL, TAIL))
    results = [0] * SCENARIOS
    for leg in legs:
        for place, result in enumerate(_results(leg, point, moves)):
            results[place] += result
    return tuple(results)


def measure(legs: Iterable[Leg], point: Point) -> tuple[int, int]:
    """(L, w) of the legs together. Futures alone are linear and cost a product, no scan."""
    legs = tuple(legs)
    if all(leg.series.kind == Kind.FUTURE for leg in legs):
        shocked = sum(leg.size for leg in legs) * point.index * point.shock_ppm
        sure = abs(shocked) // (WAD * PPM)
        return ceil_div(abs(shocked), WAD * PPM), sure if shocked > 0 else -sure
    results = table(legs, point)
    return loss(results), exposure(results)


def loss(results: Sequence[int]) -> int:
    """L: the worst result, WAD, rounded up; 0 when no scenario loses."""
    return max(0, ceil_div(-min(results), SCALE))


def worst(results: Sequence[int]) -> int:
    """The first scenario of the worst result."""
    return min(range(len(results)), key=lambda place: results[place])


def exposure(results: Sequence[int]) -> int:
    """w, WAD, > 0 for a book that gains when the price rises, rounded towards 0."""
    bound = loss(results)
    falling = [results[3 * place : 3 * place + 3] for place in (2, 1, 0)]  # by 1/3, 2/3, 1
    rising = [results[3 * place : 3 * place + 3] for place in (4, 5, 6)]
    gains_up, loses_down = [min(r) for r in rising], [-max(r) for r in falling]
    sure = min(_chord(gains_up), _chord(loses_down))
    if sure > 0:
        return min(sure, bound)
    gains_down, loses_up = [min(r) for r in falling], [-max(r) for r in rising]
    sure = min(_chord(gains_down), _chord(loses_up))
    return -min(sure, bound) if sure > 0 else 0


def phi(rho_ppm: int) -> int:
    """φ = 1 − sqrt((1 − ρ)/2), WAD, rounded down: the part of the smaller side that offsets."""
    half = (PPM - rho_ppm) * WAD**2
    root = isqrt(half // (2 * PPM))
    return WAD - root - (root * root * 2 * PPM < half)


def offset(exposures: Iterable[int], phi_wad: int) -> int:
    """2φ·min(P, M) of one cluster's directional exposures, WAD, rounded down."""
    exposures = tuple(exposures)
    longs = sum(one for one in exposures if one > 0)
    shorts = -sum(one for one in exposures if one < 0)
    return 2 * phi_wad * min(longs, shorts) // WAD


@dataclass(frozen=True, slots=True)
class _Move:
    """One price of the scan."""

    thirds: int
    index: int  # WAD, rounded down
    log: int  # of the move, WAD

    @classmethod
    def of(cls, point: Point, thirds: int) -> _Move:
        factor = max(LOWEST, 3 * PPM + thirds * point.shock_ppm)
        return cls(thirds, point.index * factor // (3 * PPM), wad_ln(WAD * factor // (3 * PPM)))


def _results(leg: Leg, point: Point, moves: Sequence[_Move]) -> list[int]:
    """The 23 results of one leg. A future's are linear in the move, exact."""
    weights = (PPM,) * (SCENARIOS - 2) + (point.tail_weight_ppm,) * 2
    if leg.series.kind == Kind.FUTURE:
        unit = leg.size * point.index * point.shock_ppm
        thirds = [move.thirds for move in moves[:-2] for _ in range(3)] + [-TAIL, TAIL]
        return [unit * third * weight for third, weight in zip(thirds, weights, strict=True)]
    values = _values(leg, point, moves)
    now = values[3 * MOVES.index(0) + 1]
    unit = 3 * PPM * leg.size
    return [unit * (one - now) * weight for one, weight in zip(values, weights, strict=True)]


def _values(leg: Leg, point: Point, moves: Sequence[_Move]) -> list[int]:
    """θ of one leg in every scenario, in their order."""
    series = leg.series
    down, same, up = (sigma * leg.class_ppm // PPM for sigma in point.sigmas)
    if series.exponent:
        cases = [(move, sigma) for move in moves[:-2] for sigma in (down, same, up)]
        cases += [(move, up) for move in moves[-2:]]
        return [pricing.value(series, move.index, sigma).fair for move, sigma in cases]
    inner, (lowest, highest) = moves[:-2], moves[-2:]
    log = pricing.log_moneyness(min(point.index, pricing.MAX_INDEX), series.strike)
    by_sigma = [
        _time_values(series.strike, log, pricing.root(sigma, series.period), inner)
        for sigma in (down, same)
    ]
    by_sigma.append(
        _time_values(series.strike, log, pricing.root(up, series.period), (lowest, *inner, highest))
    )
    first, last = by_sigma[2].pop(0), by_sigma[2].pop()
    times = [time for times in zip(*by_sigma, strict=True) for time in times] + [first, last]
    prices = [move.index for move in inner for _ in range(3)] + [lowest.index, highest.index]
    return [pricing.payoff(series, price) + time for price, time in zip(prices, times, strict=True)]


def _time_values(strike: int, log: int, u: int, moves: Sequence[_Move]) -> list[int]:
    """TV of an option after each of the moves, lowest first.

    By exp for the moves that end next to the strike; from there on either side by the ratios of
    one move to the next, which do not depend on the strike: what a book of many strikes shares.
    """
    decays = [0] * len(moves)
    above = sum(1 for move in moves if log + move.log < 0)
    for start, way, steepness in ((above, 1, u - WAD), (above - 1, -1, u + WAD)):
        place, decay = start, 0
        while 0 <= place < len(moves):
            if place == start:
                decay = pricing.decay(log + moves[place].log, steepness)
            else:
                gap = moves[place].log - moves[place - way].log
                decay = decay * pricing.decay(gap, steepness) // WAD
            decays[place] = decay
            place += way
    return [strike * decay // u for decay in decays]


def _chord(by_move: Sequence[int]) -> int:
    """The smallest of results at 1/3, 2/3 and 1 of the shock, each carried on to a full one."""
    first, second, third = by_move
    return min(6 * first, 3 * second, 2 * third) // (2 * SCALE)
