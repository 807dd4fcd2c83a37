"""What margin that moves costs and saves, against margin that stands still.

    python -m scripts.studies.moving_margin                              # the generator's market
    python -m scripts.studies.moving_margin BTC=bars.csv SOL=bars.csv.gz   # real bars, one a path

A path's first price of each five minutes is its sample, as on chain, and the code that samples
and ramps is the one that the contracts are proven equal to. At 72 moments of a path eight isolated
positions open, long and short, with 1, 1.5, 2 and 3 times the initial margin that stands still
would ask, and stay a day. Who falls below maintenance is closed whole, `--latency` seconds later;
what that leaves below zero is lost. Bars are replayed in both orders of high and low.
"""

from __future__ import annotations

import argparse
import sys
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from keeper.core import volatility
from keeper.core.fixed import wad_ln
from keeper.core.ramps import Ramp
from keeper.core.units import DAY, PPM, WAD
from keeper.core.volatility import CELL, VolatilityTerms
from scripts import parameters, price_paths
from scripts.parameters.units import factor_ppm, ppm
from scripts.price_paths.files import PathError, orders, read
from scripts.price_paths.types import Series

MULTIPLES = (1.0, 1.5, 2.0, 3.0)  # of initial margin that stands still
HOUR = 3_600
STAY = DAY
OPENINGS = 72  # of a path
GENERATED_STEPS = 3 * 24 * 60  # minutes
FIRST_TIME = 1_700_000_100  # of a generated path; the start of a cell


@dataclass(frozen=True, slots=True)
class Asset:
    """What margin asks of one underlying, ppm of notional."""

    name: str
    least: int
    factor: int
    call: int  # place of the call line between maintenance and plain initial
    provision: int
    forced: int  # what a forced fill costs
    start: int  # volatility before the first sample
    terms: VolatilityTerms


@dataclass(frozen=True, slots=True)
class Margin:
    """Shock and initial shock at every moment of a path, ppm."""

    shocks: Sequence[int]
    initials: Sequence[int]

    def fastest(self, times: Sequence[int]) -> float:
        """The largest rise of the shock within an hour, as a share of it."""
        worst, left = 0.0, 0
        for right, time in enumerate(times):
            while times[left] < time - HOUR:
                left += 1
            worst = max(worst, self.shocks[right] / self.shocks[left] - 1)
        return worst


@dataclass(slots=True)
class Fate:
    """What became of the positions of a path."""

    opened: int = 0
    called: int = 0
    closed: int = 0
    only_called: int = 0  # and would not have been, then or later, where margin stands still
    only_closed: int = 0
    lost: float = 0.0  # shares of a position's value at opening, added up
    worst: float = 0.0  # the largest of them


@dataclass(frozen=True, slots=True)
class Outcome:
    """One path under one margin."""

    name: str
    margin: Margin
    fate: Fate


def asset(name: str, market: str = "devnet") -> Asset:
    """The figures of a parameter file."""
    terms = parameters.load(market)
    about, moves = terms.underlyings[name], terms.volatility[name]
    perp = next(one for one in terms.instruments.values() if one.underlying == name)
    return Asset(
        name=name,
        least=ppm(about.shock_percent),
        factor=factor_ppm(about.factor),
        call=ppm(terms.calls.call_line_percent),
        provision=ppm(perp.funding_cap_percent_per_day) // 3,
        forced=ppm(perp.forced_discount_percent),
        start=ppm(moves.start_percent),
        terms=VolatilityTerms(
            floor_ppm=ppm(moves.floor_percent),
            stress_ppm=ppm(moves.stress_percent),
            z_milli=int(moves.deviations * 1_000),
            horizon_seconds=moves.horizon_seconds,
            cap_ppm=ppm(moves.shock_cap_percent),
        ),
    )


def still(about: Asset, series: Series) -> Margin:
    """The least shock for ever."""
    return Margin([about.least] * len(series), [about.least] * len(series))


def moving(about: Asset, series: Series) -> Margin:
    """The ramp that the samples of a path drive; sampled at once."""
    begun = series[0][0]
    estimate = volatility.started(about.start)
    ramp = Ramp(about.least, 0, begun)
    shocks, initials, last = [], [], -1
    for time, price in series:
        cell = time // CELL
        if cell != last:
            last = cell
            log_price = wad_ln(int(price * WAD))
            estimate = volatility.sampled(estimate, cell, log_price, about.terms.floor_ppm)
            sigma = volatility.margin_sigma(estimate, about.terms)
            goal = volatility.shock_target(sigma, about.terms)
            ramp = ramp.sampled(about.least, goal, 0, volatility.pricing_sigma(estimate), time)
        shocks.append(ramp.shock(about.least, time))
        initials.append(ramp.initial_shock(about.least, time))
    return Margin(shocks, initials)


def fates(about: Asset, series: Series, margin: Margin, latency: int, own: bool) -> Fate:
    """What becomes of positions opened all along a path.

    own: their equity follows the margin in force, not the one that stands still.
    """
    times = [time for time, _ in series]
    prices = [float(price) for _, price in series]
    found = Fate()
    for opened in range(times[0], times[-1], max(1, (times[-1] - times[0]) // OPENINGS)):
        place = bisect_left(times, opened)
        end = bisect_left(times, opened + STAY)
        asked = margin.initials[place] if own else about.least
        initial = (asked * about.factor / PPM + about.provision) / PPM
        for side in (1, -1):
            for multiple in MULTIPLES:
                _follow(
                    found, about, margin, times, prices, place, end, side, multiple * initial,
                    latency,
                )  # fmt: skip
    return found


def _follow(
    found: Fate,
    about: Asset,
    margin: Margin,
    times: Sequence[int],
    prices: Sequence[float],
    place: int,
    end: int,
    side: int,
    equity: float,
    latency: int,
) -> None:
    """One position of value 1 from its opening to its close."""
    ratios = [price / prices[place] for price in prices[place:end]]
    between = (about.factor - PPM) / PPM * about.call / PPM  # of the shock: to the call line
    found.opened += 1

    def below(shocks: Sequence[int], share: float) -> int | None:
        """The first moment at which it is below so much of the shock, and provision."""
        for i in range(1, len(ratios)):
            needed = ratios[i] * (shocks[place + i] * share + about.provision) / PPM
            if equity + side * (ratios[i] - 1) < needed:
                return i
        return None

    least = [about.least] * len(prices)
    if below(margin.shocks, 1 + between) is not None:
        found.called += 1
        found.only_called += below(least, 1 + between) is None
    closed = below(margin.shocks, 1)
    if closed is None:
        return
    found.closed += 1
    found.only_closed += below(least, 1) is None
    at = min(bisect_left(times, times[place + closed] + latency), len(prices) - 1)
    last = prices[at] / prices[place]
    left = equity + side * (last - 1) - last * about.forced / PPM
    found.lost += max(0.0, -left)
    found.worst = max(found.worst, -left)


def outcomes(about: Asset, series: Series, latency: int) -> list[Outcome]:
    """A path under margin that stands still, that moves for the same positions, and that moves
    for positions opened as it asks."""
    fixed, moved = still(about, series), moving(about, series)
    return [
        Outcome("stands still", fixed, fates(about, series, fixed, latency, own=False)),
        Outcome("moves", moved, fates(about, series, moved, latency, own=False)),
        Outcome("moves, opened as it asks", moved, fates(about, series, moved, latency, own=True)),
    ]


def generated(name: str, seed: int) -> Series:
    """Three days of the generator: calm, a crash, half a recovery."""
    path = price_paths.generate(seed=seed, steps=GENERATED_STEPS, assets=[name])
    pairs = zip(path.seconds, path.prices[name], strict=True)
    return tuple((FIRST_TIME + seconds, price) for seconds, price in pairs)


def table(title: str, about: Asset, series: Series, latency: int) -> str:
    """Markdown: one row for each margin."""
    times = [time for time, _ in series]
    prices = [float(price) for _, price in series]
    hours = (times[-1] - times[0]) / HOUR
    head = (
        f"**{title}**: {hours:,.1f} h, {prices[0]:,.4g} to {prices[-1]:,.4g} USD, "
        f"lowest {min(prices):,.4g}, highest {max(prices):,.4g}"
    )
    columns = (
        "| margin | maintenance mean, most | fastest hour | initial most | opened | called "
        "| closed | of them by its move alone | lost, ppm of value | worst |"
    )
    lines = [
        head,
        "",
        columns,
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in outcomes(about, series, latency):
        fate, shocks = one.fate, one.margin.shocks
        lines.append(
            f"| {one.name} | {_percent(sum(shocks) / len(shocks))}, {_percent(max(shocks))} "
            f"| {one.margin.fastest(times):+.1%} "
            f"| {_percent(max(one.margin.initials) * about.factor / PPM)} "
            f"| {fate.opened} | {fate.called} | {fate.closed} "
            f"| {fate.only_called}, {fate.only_closed} "
            f"| {fate.lost / fate.opened * PPM:,.0f} | {fate.worst:.1%} |"
        )
    return "\n".join(lines)


def _percent(shock_ppm: float) -> str:
    return f"{shock_ppm / 10_000:.2f} %"


def main() -> int:
    """Print a table for each path; 2 when a file cannot be read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", metavar="ASSET=FILE", help="bars, in the asset's terms")
    parser.add_argument("--seed", type=int, default=1, help="of the generator")
    parser.add_argument("--latency", type=int, default=120, help="seconds from line to close")
    options = parser.parse_args()
    if not options.paths:
        for name in price_paths.ASSETS:
            about = asset(name)
            print(
                table(f"{name}, generated", about, generated(name, options.seed), options.latency)
            )
            print()
    try:
        for path in options.paths:
            name = path.partition("=")[0].upper()
            for order in orders(path):
                series = read(path, order, price_paths.ASSETS)[name]
                shown = path.rpartition("/")[2]
                print(table(f"{name}: {shown}, {order}", asset(name), series, options.latency))
                print()
    except PathError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
