"""Price paths for the story: generated from a seed, or replayed from files of real prices.

path = price_paths.generate(seed=7, steps=144)
for order in price_paths.orders("BTC=bars.csv ETH=bars.csv.gz"):
    path = price_paths.replay("BTC=bars.csv ETH=bars.csv.gz", order, steps=144, seed=7)
"""

from scripts.price_paths.files import BarOrder, PathError, orders
from scripts.price_paths.generator import ASSETS, generate
from scripts.price_paths.replay import STEPS_MIN, replay
from scripts.price_paths.types import PricePath

__all__ = [
    "ASSETS",
    "STEPS_MIN",
    "BarOrder",
    "PathError",
    "PricePath",
    "generate",
    "orders",
    "replay",
]
