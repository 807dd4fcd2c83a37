"""Reporters with real keys: sign price reports for a hub and post them."""

from __future__ import annotations

from collections.abc import Sequence

from eth_account import Account
from eth_utils import keccak

from keeper.core.reports import PriceReport, SignedReport, digest, domain_separator
from keeper.core.types import Address, FeedId
from tests.support.evm import Contract

CHAIN_ID = 1  # of the in-process chain

Signed = tuple[int, int, int, int, int]  # price, confidence, v, r, s, as `post` takes them


class Reporters:
    """Some keys, the same in every run, that sign for one hub."""

    def __init__(self, hub: Contract, count: int, chain_id: int = CHAIN_ID) -> None:
        self.hub = hub
        self.accounts = [Account.from_key(keccak(text=f"reporter {i}")) for i in range(count)]
        self.addresses = [account.address.lower() for account in self.accounts]
        self.domain = domain_separator(chain_id, Address(bytes.fromhex(hub.address[2:])))

    def report(self, number: int, report: PriceReport) -> SignedReport:
        """Reporter `number` (from 0) signs a report."""
        account = self.accounts[number]
        signature = account.unsafe_sign_hash(digest(report, self.domain))
        address = Address(bytes.fromhex(account.address[2:]))
        return SignedReport(report, address, signature.v, signature.r, signature.s)

    def quorum(
        self, feed: int, slot: int, previous: int, prices: Sequence[int], confidence: int = 100
    ) -> list[Signed]:
        """Reporters 0, 1, … sign these prices; in ascending order, as `post` takes them."""
        signed = [
            self.report(i, PriceReport(FeedId(feed), slot, previous, price, confidence))
            for i, price in enumerate(prices)
        ]
        return sorted(as_argument(one) for one in signed)

    def post(
        self,
        feed: int,
        slot: int,
        previous: int,
        prices: Sequence[int],
        confidence: int = 100,
        *,
        sender: str,
    ) -> bool:
        """Sign and post a quorum; whether anything changed."""
        reports = self.quorum(feed, slot, previous, prices, confidence)
        return bool(self.hub.post(feed, slot, previous, reports, sender=sender))


def as_argument(signed: SignedReport) -> Signed:
    report = signed.report
    return report.price, report.confidence, signed.v, signed.r, signed.s
