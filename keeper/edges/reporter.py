"""The reporters whose keys this keeper holds: what they have said of each slot, and their
signatures under it.

What is said of a slot is in the store before anything is signed with it: a reporter never says
two things of one slot, nor leaves out of the chain of previous slots one that it has reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from keeper.core import reports
from keeper.core.quotes import Feed
from keeper.core.reports import PriceReport, SignedReport
from keeper.core.types import Address, FeedId
from keeper.edges.prices import Observation
from keeper.edges.signer import Signer
from keeper.edges.store import Store
from keeper.edges.telemetry import logger

REMEMBERED = 7200  # seconds of reports taken up from the store


@dataclass(frozen=True, slots=True)
class Said:
    """A report as it was decided, and when its price was seen."""

    report: PriceReport
    seen_at: float | None  # monotonic; None: in an earlier run


class Reporter:
    """Speaks for all of its keys at once: on a devnet they all see the same price."""

    def __init__(
        self,
        store: Store,
        signers: Sequence[Signer],
        feeds: Mapping[str, FeedId],
        domain: bytes,
        confidence_ppm: int,
    ) -> None:
        self._store, self._signers, self._feeds = store, list(signers), dict(feeds)
        self._domain, self._confidence = domain, confidence_ppm
        self._said: dict[FeedId, list[Said]] = {feed: [] for feed in self._feeds.values()}

    def recall(self, time: int) -> None:
        """Take up what earlier runs, or other keepers, have said of slots until this time."""
        for feed in self._said:
            rows = self._store.reports_since(feed, time - REMEMBERED)
            self._said[feed] = [
                Said(PriceReport(feed, row.slot, row.previous, int(row.price), row.conf_ppm), None)
                for row in rows
            ]

    def said(self, feed: FeedId) -> Sequence[Said]:
        """Reports of a feed, oldest first."""
        return self._said.get(feed, ())

    def observe(
        self,
        observation: Observation,
        abouts: Mapping[FeedId, Feed],
        stored: Mapping[FeedId, int],
        seen_at: float,
    ) -> int:
        """Report the slot that a price falls into, for each feed; how many were new.

        `abouts`: how the feeds are; `stored`: their newest slots on chain, 0 for none.
        """
        fresh: list[PriceReport] = []
        for asset, price in observation.prices.items():
            feed = self._feeds.get(asset)
            if feed is None or feed not in abouts:
                continue
            about = abouts[feed]
            slot = observation.time - observation.time % about.grid_seconds
            said = self._said[feed]
            previous = max(stored.get(feed, 0), said[-1].report.slot if said else 0)
            if slot <= previous:
                continue  # somebody has spoken of it, or of a later one
            mantissa = int((price * 10**about.decimals).to_integral_value(ROUND_HALF_EVEN))
            confidence = observation.confidence_ppm
            try:
                fresh.append(
                    PriceReport(
                        feed,
                        slot,
                        previous,
                        mantissa,
                        self._confidence if confidence is None else confidence,
                    )
                )
            except ValueError as error:
                logger().warning("price refused", asset=asset, why=str(error))
        if fresh:
            self._store.add_reports([_row(report) for report in fresh])
        for report in fresh:
            self._said[report.feed].append(Said(report, seen_at))
        return len(fresh)

    def forget(self, before: int) -> None:
        """Let go of reports of slots before this time: no ring holds them."""
        for feed, said in self._said.items():
            if said and said[0].report.slot < before:
                self._said[feed] = [one for one in said if one.report.slot >= before]

    def sign(self, report: PriceReport, quorum: int) -> tuple[SignedReport, ...]:
        """Signatures of as many reporters as make a quorum. ValueError when the keys are fewer."""
        if len(self._signers) < quorum:
            raise ValueError(
                f"a quorum is {quorum} reporters, keys are here for {len(self._signers)}"
            )
        digest = reports.digest(report, self._domain)
        return tuple(
            SignedReport(report, Address(signer.address), *signer.digest(digest))
            for signer in self._signers[:quorum]
        )


def to_decimal(mantissa: int, decimals: int) -> Decimal:
    """A feed's mantissa as a price in USD."""
    return Decimal(mantissa).scaleb(-decimals)


def _row(report: PriceReport) -> dict[str, int | str]:
    return {
        "feed": report.feed,
        "slot": report.slot,
        "previous": report.previous,
        "price": str(report.price),
        "conf_ppm": report.confidence,
    }
