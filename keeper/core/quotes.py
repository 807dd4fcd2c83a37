"""Prices: the quorum that makes one, the word that stores it, the quote that leaves the hub."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass

from keeper.core.types import Address, Level, Refused, require
from keeper.core.units import PPM, to_wad
from keeper.core.words import Layout

STORED = Layout(median=56, high=56, low=56, conf_ppm=24, slot=40, gap=24)
QUOTE = Layout(price_wad=128, conf_ppm=32, slot=40, gap=24)

GAP_MAX = (1 << 24) - 1


@dataclass(frozen=True, slots=True)
class Feed:
    """How one price is reported and how long it serves."""

    decimals: int  # 0 to 18
    grid_seconds: int  # between slots
    ring_length: int  # slots that stay readable
    width_ppm: int  # (high − low) of a quorum
    max_age_seconds: int  # fresh
    max_age_recent_seconds: int  # recent: for reductions
    conf_max_ppm: int  # tight


@dataclass(frozen=True, slots=True)
class Report:
    """What one reporter says about one slot."""

    reporter: Address | None  # None: the signature is nobody's
    price: int  # mantissa in the feed's decimals
    conf_ppm: int


@dataclass(frozen=True, slots=True)
class StoredPrice:
    """A slot's quorum as it is stored (SPEC 4.1); mantissas in feed units."""

    median: int
    high: int
    low: int
    conf_ppm: int
    slot: int  # unix seconds
    gap: int  # slot − previous slot, saturated

    def word(self) -> int:
        return STORED.pack(asdict(self))

    def first_since(self, due: int) -> bool:
        """Whether this is the first slot at or after `due`."""
        return self.slot - self.gap < due <= self.slot


@dataclass(frozen=True, slots=True)
class Quote:
    """A stored price as the other contracts see it (SPEC 4.6)."""

    price_wad: int
    conf_ppm: int
    slot: int
    gap: int

    def word(self) -> int:
        return QUOTE.pack(asdict(self))


def decode_stored(word: int) -> StoredPrice:
    return StoredPrice(**STORED.unpack(word))


def decode_quote(word: int) -> Quote:
    return Quote(**QUOTE.unpack(word))


def quorum(
    reports: Sequence[Report],
    slot: int,
    previous: int,
    width_ppm: int,
    size: int,
    reporters: Container[Address],
) -> StoredPrice:
    """The price that `size` agreeing reporters fix for a slot (SPEC 4.2).

    The median is the lower of the middle two for an even number; the confidence is the largest.
    """
    require(size > 0 and len(reports) >= size, "oracle: too few reports")
    require(len(reports) == size, "oracle: too many reports")
    last = 0
    seen: set[Address] = set()
    for report in reports:
        require(report.price > 0, "oracle: price is zero")
        require(report.price >= last, "oracle: reports not sorted")
        last = report.price
        if report.reporter is None:
            raise Refused("oracle: bad signature")
        require(report.reporter in reporters, "oracle: not a reporter")
        require(report.reporter not in seen, "oracle: reporter twice")
        seen.add(report.reporter)
    low = reports[0].price
    require((last - low) * PPM <= width_ppm * low, "oracle: reports too wide")
    return StoredPrice(
        median=reports[(len(reports) - 1) // 2].price,
        high=last,
        low=low,
        conf_ppm=max(report.conf_ppm for report in reports),
        slot=slot,
        gap=min(slot - previous, GAP_MAX),
    )


def quote(feed: Feed, stored: StoredPrice | None, level: Level, now: int) -> Quote:
    """The stored price for an act that asks `level` of it (SPEC 4.5)."""
    if stored is None:
        raise Refused("oracle: no price")
    if level >= Level.RECENT:
        limit = feed.max_age_recent_seconds if level == Level.RECENT else feed.max_age_seconds
        require(now - stored.slot <= limit, "oracle: stale price")
    if level >= Level.TIGHT:
        require(stored.conf_ppm <= feed.conf_max_ppm, "oracle: wide confidence")
    return Quote(
        price_wad=to_wad(stored.median, feed.decimals),
        conf_ppm=stored.conf_ppm,
        slot=stored.slot,
        gap=stored.gap,
    )
