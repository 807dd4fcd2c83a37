"""Where an account's liquidation prices are (nearest below and nearest above).

The question: with every other price fixed, at which price of one underlying does the account
stop meeting its maintenance? Equity is linear in that price up to one unit of rounding a term,
maintenance is linear too up to the concentration bound and quadratic beyond, so equity less
maintenance is concave: the account is healthy on one interval of prices. A bisection on whole
price ticks with exact evaluation finds both ends of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

HIGHEST = (1 << 128) - 1  # the largest price that a quote word holds, WAD


@dataclass(frozen=True, slots=True)
class LiquidationPrices:
    """Prices (ticks) at which equity is below maintenance, next to the one asked about.

    None: no such price on that side. An account below maintenance now has the present price on
    both sides.
    """

    below: int | None  # the highest such price ≤ the present one
    above: int | None  # the lowest such price ≥ the present one


def liquidation_prices(
    buffer: Callable[[int], int], present: int, highest: int = HIGHEST
) -> LiquidationPrices:
    """Both ends of the prices at which `buffer` (equity − maintenance at a tick) is ≥ 0.

    `buffer` must be concave but for rounding; the answer is exact in ticks where it is monotone
    on each side of `present`, which concavity gives when it is ≥ 0 there.
    """
    if buffer(present) < 0:
        return LiquidationPrices(present, present)
    return LiquidationPrices(
        below=_last_failing(buffer, present, 1, -1),
        above=_last_failing(buffer, present, highest, 1),
    )


def _last_failing(buffer: Callable[[int], int], healthy: int, end: int, way: int) -> int | None:
    """The failing tick nearest to `healthy` on the way to `end`, or None."""
    if (end - healthy) * way <= 0 or buffer(end) >= 0:
        return None
    failing = end
    while abs(failing - healthy) > 1:
        middle = (failing + healthy) // 2
        if buffer(middle) < 0:
            failing = middle
        else:
            healthy = middle
    return failing
