"""Who trades in the story: wallets, their buckets, and what each sets out to do.

The same cast every time. A wallet's bucket 0 is a cross book of two or three instruments behind
mixed collateral; its other buckets are isolated positions, from 2x to all that an instrument
allows. Two thirds are long, as before every crash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import cycle

WALLETS = (
    "ada", "boris", "chen", "dora", "emil", "fatima",
    "goran", "hana", "ivo", "jun", "kaya",
)  # fmt: skip

ISOLATED_BUCKETS = 5
MAXIMUM = Decimal(0)  # leverage: as much as the instrument allows


class Backing(Enum):
    """What margin an account brings."""

    CASH = "USDC"
    ETHER = "WETH"
    BITCOIN = "WBTC"
    MIXED = "USDC, WETH and WBTC"
    DEBT = "WETH, and owes USDC"


@dataclass(frozen=True, slots=True)
class Leg:
    """One position that an account opens."""

    instrument: str
    long: bool
    notional: Decimal  # USD


@dataclass(frozen=True, slots=True)
class Role:
    """One account: a bucket of a wallet, and its plan."""

    wallet: int  # place in WALLETS
    bucket: int
    legs: tuple[Leg, ...]
    leverage: Decimal  # notional over margin, or MAXIMUM
    backing: Backing
    answers_calls: bool  # brings more margin when called
    takes_profit: bool  # halves a position that has gained enough

    @property
    def name(self) -> str:
        """How the report calls the account."""
        return f"{WALLETS[self.wallet]}:{self.bucket}"

    @property
    def cross(self) -> bool:
        return self.bucket == 0

    @property
    def plan(self) -> str:
        """What it trades, in words."""
        sides = (f"{'long' if leg.long else 'short'} {leg.instrument}" for leg in self.legs)
        return ", ".join(sides)


_LEVERAGES = (Decimal(2), Decimal(3), Decimal(5), Decimal(8), MAXIMUM)
_SIZES = (Decimal(24_000), Decimal(60_000), Decimal(42_000), Decimal(90_000), Decimal(33_000))
_LONGS = (True, True, False)
_BACKINGS = (Backing.MIXED, Backing.ETHER, Backing.DEBT, Backing.BITCOIN)
_CROSS_LEVERAGES = (Decimal(4), Decimal(6), Decimal(3))


def cast(instruments: Sequence[str], highest: Mapping[str, Decimal]) -> tuple[Role, ...]:
    """Every account of the story.

    highest: leverage that each instrument allows; who would ask for more takes all there is.
    """
    roles: list[Role] = []
    longs, sizes = cycle(_LONGS), cycle(_SIZES)
    for wallet in range(len(WALLETS)):
        count = 2 + wallet % 2
        legs = tuple(
            Leg(instruments[(wallet + i) % len(instruments)], next(longs), 2 * next(sizes))
            for i in range(count)
        )
        backing = _BACKINGS[wallet % len(_BACKINGS)]
        leverage = _CROSS_LEVERAGES[wallet % len(_CROSS_LEVERAGES)]
        roles.append(Role(wallet, 0, legs, leverage, backing, wallet % 3 == 0, wallet % 4 == 1))
        for bucket in range(1, ISOLATED_BUCKETS + 1):
            instrument = instruments[(wallet + bucket) % len(instruments)]
            wanted = _LEVERAGES[(wallet + bucket) % len(_LEVERAGES)]
            if wanted >= highest[instrument]:
                wanted = MAXIMUM
            leg = Leg(instrument, next(longs), next(sizes))
            roles.append(
                Role(
                    wallet,
                    bucket,
                    (leg,),
                    wanted,
                    Backing.ETHER if bucket == 3 else Backing.CASH,
                    answers_calls=bucket == 2 and wallet % 2 == 0,
                    takes_profit=bucket == 4,
                )
            )
    return tuple(roles)
