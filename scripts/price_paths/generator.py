"""A market that falls and half recovers: a seeded, correlated jump-diffusion.

Every asset's log price moves by `beta` times the market's move and a noise of its own. The
market has three regimes, calm, crash and recovery; in each it diffuses, and jumps at Poisson
times. The drift is what leads the market over a regime to its stated move on average, the
jumps included, so that a seed changes the way but hardly the story.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from scripts.price_paths.types import PRICE_UNIT, PricePath

STEP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Asset:
    """How one asset follows the market. noise: own log move per square root of a minute."""

    start: Decimal  # USD
    beta: float
    noise: float


@dataclass(frozen=True, slots=True)
class Regime:
    """One stretch of the path; log moves of the market."""

    share: float  # of the path's steps
    move: float  # expected over the whole regime, jumps included
    noise: float  # per square root of a minute
    jumps_per_hour: float
    jump: float  # mean of a jump; its deviation is half of it


ASSETS: dict[str, Asset] = {
    "BTC": Asset(Decimal(60_000), beta=1.0, noise=0.0006),
    "ETH": Asset(Decimal(3_000), beta=1.2, noise=0.0010),
    "SOL": Asset(Decimal(150), beta=1.45, noise=0.0016),
}

CALM = Regime(share=0.15, move=0.006, noise=0.0008, jumps_per_hour=0.0, jump=0.0)
CRASH = Regime(share=0.45, move=-0.30, noise=0.0022, jumps_per_hour=8.0, jump=-0.014)
RECOVERY = Regime(share=0.40, move=0.14, noise=0.0016, jumps_per_hour=3.0, jump=0.008)
REGIMES = (CALM, CRASH, RECOVERY)


def generate(
    *,
    seed: int,
    steps: int,
    seconds: Sequence[int] | None = None,
    assets: Sequence[str] = tuple(ASSETS),
) -> PricePath:
    """A path of `steps` moments, STEP_SECONDS apart or at the given `seconds`.

    The noise belongs to the step's number, not to its length: a path stretched over a week
    tells the story of an hour more slowly. The same seed gives the same path, whichever
    assets are asked for.
    """
    if steps < 2:
        raise ValueError(f"a path has at least 2 steps, not {steps}")
    moves = _market_moves(random.Random(f"market {seed}"), steps)
    prices = {
        name: _prices(ASSETS[name], moves, random.Random(f"{name} {seed}")) for name in assets
    }
    return PricePath(
        seconds=tuple(seconds or range(0, steps * STEP_SECONDS, STEP_SECONDS)),
        prices=prices,
    )


def _market_moves(dice: random.Random, steps: int) -> list[float]:
    """The market's log move of every step after the first."""
    minutes = STEP_SECONDS / 60
    moves: list[float] = []
    for regime, count in zip(REGIMES, _counts(steps - 1), strict=True):
        chance = regime.jumps_per_hour * minutes / 60
        for _ in range(count):
            jump = 0.0
            if dice.random() < chance:
                jump = dice.gauss(regime.jump, abs(regime.jump) / 2)
            drift = regime.move / count - chance * regime.jump
            moves.append(drift + jump + dice.gauss(0.0, regime.noise * math.sqrt(minutes)))
    return moves


def _counts(moves: int) -> list[int]:
    """The steps of each regime, together `moves`."""
    edges = [0]
    for regime in REGIMES:
        edges.append(edges[-1] + round(regime.share * moves))
    edges[-1] = moves
    return [max(0, end - start) for start, end in pairwise(edges)]


def _prices(asset: Asset, moves: Sequence[float], dice: random.Random) -> tuple[Decimal, ...]:
    logs = [0.0]
    for move in moves:
        own = dice.gauss(0.0, asset.noise * math.sqrt(STEP_SECONDS / 60))
        logs.append(logs[-1] + asset.beta * move + own)
    cents = Decimal("0.01")
    return tuple(
        max(PRICE_UNIT, (asset.start * Decimal(math.exp(log))).quantize(cents)) for log in logs
    )
