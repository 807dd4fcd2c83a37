"""Several assets' files on one clock, thinned to a number of steps that keeps the extremes."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise

from scripts.price_paths.files import BarOrder, PathError, read
from scripts.price_paths.generator import ASSETS, generate
from scripts.price_paths.types import PricePath, Series

STEPS_MIN = 2 + 2 * len(ASSETS)  # both ends, and the extremes of every asset


def replay(specification: str, order: BarOrder | None, *, steps: int, seed: int) -> PricePath:
    """The path that PRICES names, in at most `steps` steps.

    order: which extreme of a bar comes first; None for the long form.
    Assets without a file follow the generator over the same moments. Raises PathError.
    """
    if steps < STEPS_MIN:
        raise PathError(f"STEPS={steps}: a replay takes at least {STEPS_MIN} steps")
    path = thin(_together(_one_clock(read(specification, order, ASSETS))), steps)
    rest = [asset for asset in ASSETS if asset not in path.prices]
    market = generate(seed=seed, steps=path.steps, seconds=path.seconds, assets=rest)
    prices = {**path.prices, **market.prices}
    return PricePath(path.seconds, {asset: prices[asset] for asset in ASSETS})


def thin(path: PricePath, steps: int) -> PricePath:
    """The `steps` moments that say most about the path; all of it when it has no more.

    Kept are first and last, every asset's lowest and highest price, and then, one by one, the
    moment that a straight line between its kept neighbours misses by most (in log price, over
    all assets): many where the market breaks, few where it sleeps. No price is changed.
    """
    if path.steps <= steps:
        return path
    logs = [[math.log(price) for price in prices] for prices in path.prices.values()]
    kept = {0, path.steps - 1}
    for values in logs:
        kept |= {values.index(min(values)), values.index(max(values))}
    gaps: list[tuple[float, int, int, int]] = []

    def look_between(left: int, right: int) -> None:
        if right - left > 1:
            missed, moment = _worst(path.seconds, logs, left, right)
            heapq.heappush(gaps, (-missed, moment, left, right))

    for left, right in pairwise(sorted(kept)):
        look_between(left, right)
    while len(kept) < steps:
        _, moment, left, right = heapq.heappop(gaps)
        kept.add(moment)
        look_between(left, moment)
        look_between(moment, right)
    chosen = sorted(kept)
    return PricePath(
        tuple(path.seconds[i] for i in chosen),
        {asset: tuple(prices[i] for i in chosen) for asset, prices in path.prices.items()},
    )


def _worst(
    seconds: Sequence[int], logs: Sequence[Sequence[float]], left: int, right: int
) -> tuple[float, int]:
    """How far the moments strictly between two stray from the line between them, and which most."""
    worst = (-1.0, left + 1)
    for values in logs:
        slope = (values[right] - values[left]) / (seconds[right] - seconds[left])
        for moment in range(left + 1, right):
            line = values[left] + slope * (seconds[moment] - seconds[left])
            missed = abs(values[moment] - line)
            if missed > worst[0]:
                worst = (missed, moment)
    return worst


def _together(series: Mapping[str, Series]) -> PricePath:
    """All moments at which any asset has a price, within the time that all of them cover."""
    start, end = _window(series)
    moments = sorted({t for prices in series.values() for t, _ in prices if start <= t <= end})
    return PricePath(
        tuple(time - start for time in moments),
        {asset: tuple(_price_at(prices, t) for t in moments) for asset, prices in series.items()},
    )


def _price_at(series: Series, time: int) -> Decimal:
    """The last price at or before `time`."""
    return series[bisect_right(series, time, key=lambda moment: moment[0]) - 1][1]


def _one_clock(series: dict[str, Series]) -> dict[str, Series]:
    """Series of different days start together; series that share time stay as they are."""
    start, end = _window(series)
    if start < end:
        return series
    return {
        asset: tuple((time - prices[0][0], price) for time, price in prices)
        for asset, prices in series.items()
    }


def _window(series: Mapping[str, Series]) -> tuple[int, int]:
    """First and last moment that all series cover; the first is the later when they do not meet."""
    return max(s[0][0] for s in series.values()), min(s[-1][0] for s in series.values())
