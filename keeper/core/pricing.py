"""Value of one unit of an instrument at an index price: the only place that asks its kind.

Trade, funding, margin and liquidation work with the fair value and the payoff that stand here.
A new kind is a function and an entry of `_VALUE`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from keeper.core.terms import RiskTerms
from keeper.core.types import Refused


class Kind(IntEnum):
    """What an instrument pays."""

    FUTURE = 0


@dataclass(frozen=True, slots=True)
class Value:
    """One unit of an instrument, WAD."""

    fair: int  # θ, what equity counts
    payoff: int  # what funding pulls it to


def _future(risk: RiskTerms, index: int) -> Value:
    """A future pays the index and is worth it."""
    return Value(fair=index, payoff=index)


_VALUE: dict[int, Callable[[RiskTerms, int], Value]] = {Kind.FUTURE: _future}


def value(risk: RiskTerms, index: int) -> Value:
    """θ and payoff at an index price (WAD); refused for a kind that has no pricing."""
    price = _VALUE.get(risk.kind)
    if price is None:
        raise Refused("pricing: kind not priced")
    return price(risk, index)
