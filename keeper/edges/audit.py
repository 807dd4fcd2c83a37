"""The watch: the ledger's law, and own health against the chain's, on a rotating sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keeper.core.index import Index
from keeper.core.liquidation import Assessment
from keeper.core.protocol import checks, clearing
from keeper.core.types import AccountId, Level, Refused
from keeper.edges import abi
from keeper.edges.addresses import AddressBook
from keeper.edges.chain import Call, Header, RpcError, Unreachable
from keeper.edges.parameters import Views
from keeper.edges.telemetry import Metrics, logger

_COMPARED = ("equity", "equity_initial", "maintenance", "plain_initial", "initial")


@dataclass(frozen=True, slots=True)
class Findings:
    """What one audit saw, WAD."""

    ledger_difference: int  # tokens held less what the lines add up to; > 0: sent without a call
    drift: int  # largest difference of a figure of an account
    accounts: int  # compared


class Auditor:
    """Looks at a few accounts at a time, all of them in turn."""

    def __init__(
        self, addresses: AddressBook, views: Views, metrics: Metrics, settlement: bytes
    ) -> None:
        self._addresses, self._views, self._metrics = addresses, views, metrics
        self._settlement = settlement
        self._last = AccountId(b"")
        self.worst_drift = 0
        self.worst_ledger = 0

    def audit(self, index: Index, head: Header, sample: int) -> Findings:
        """Compare at a block that the index is of. Raises Unreachable."""
        ledger = self._ledger_difference(index, head)
        accounts = self._next(index, sample)
        drift = self._drift(index, head, accounts)
        self.worst_drift = max(self.worst_drift, drift)
        self.worst_ledger = max(self.worst_ledger, ledger, key=abs)
        self._metrics.ledger_difference.set(ledger)
        self._metrics.reference_drift.set(self.worst_drift)
        self._metrics.audited.inc(len(accounts))
        if ledger < 0:
            logger().error("ledger: lines exceed tokens", by=ledger, block=head.number)
        return Findings(ledger, drift, len(accounts))

    def _ledger_difference(self, index: Index, head: Header) -> int:
        """SPEC 2.1 at this block."""
        holder = self._addresses.address("Clearinghouse")
        (answer,) = self._views.chain.calls(
            [Call(self._settlement, abi.BALANCE_OF.data(holder))], head
        )
        if isinstance(answer, RpcError):
            raise Unreachable("balanceOf reverted")
        held = int.from_bytes(answer, "big") * index.parameters.scale
        cash = sum(record.cash for _, record in index.accounts.items())
        return held - cash - checks.escrowed(index) - index.lines.total

    def _next(self, index: Index, sample: int) -> list[AccountId]:
        """The accounts whose turn it is, in the order of their ids and round again."""
        ids = sorted(index.accounts)
        later = [one for one in ids if one > self._last]
        chosen = (later + ids)[: min(sample, len(ids))]
        if chosen:
            self._last = chosen[-1]
        return chosen

    def _drift(self, index: Index, head: Header, accounts: list[AccountId]) -> int:
        wanted = [("Clearinghouse", "assess", (one, int(Level.ANY))) for one in accounts]
        answers = self._views.try_ask(list(wanted), head)
        drift = 0
        for account, answer in zip(accounts, answers, strict=True):
            try:
                own = clearing.assess(index, account, Level.ANY)
            except Refused:
                continue  # a price that was never posted
            difference = _difference(own, answer)
            if difference:
                logger().error(
                    "reference drift", account=account.hex(), by=difference, block=head.number
                )
            drift = max(drift, difference)
        return drift


def _difference(own: Assessment, answer: Any) -> int:
    """The largest difference of a figure; a view that reverts differs by 1."""
    if isinstance(answer, RpcError):
        return 1
    return max(abs(getattr(own, name) - answer[name]) for name in _COMPARED)
