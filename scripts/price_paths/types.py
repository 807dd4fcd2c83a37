"""What a price path is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

# finest price that the feeds of the devnet store; USD
PRICE_UNIT = Decimal("0.00000001")

# one asset's prices as read: (unix seconds, USD), times strictly rising
Series = tuple[tuple[int, Decimal], ...]


@dataclass(frozen=True, slots=True)
class PricePath:
    """Prices of several assets at common moments.

    seconds: since the path's first moment: 0, then strictly rising.
    prices: asset to one price in USD for every moment, > 0 and whole in PRICE_UNIT.
    """

    seconds: tuple[int, ...]
    prices: Mapping[str, tuple[Decimal, ...]]

    @property
    def steps(self) -> int:
        """How many moments the path has."""
        return len(self.seconds)

    def at(self, step: int) -> dict[str, Decimal]:
        """Every asset's price at one moment."""
        return {asset: prices[step] for asset, prices in self.prices.items()}
