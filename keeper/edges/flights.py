"""Transactions whose end is not known yet: the one owner of the nonce.

A transaction is stored before it is sent. What is sent again is the same bytes, or another
transaction of the same nonce: of those the chain takes one. So nothing is done twice, and after
a crash the store and the chain together say what became of everything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from keeper.config import GasSettings
from keeper.core.errors import SendRefusal, send_refusal
from keeper.edges.acts import Ended, Fee, Unsafe
from keeper.edges.chain import Chain, RpcError, Unreachable, hex_of
from keeper.edges.clock import Clock
from keeper.edges.schema import IntentStatus, TxStatus
from keeper.edges.signer import Signer
from keeper.edges.store import Store
from keeper.edges.telemetry import Metrics, logger

GWEI = 10**9
CANCEL_GAS = 21_000
AGAIN_SECONDS = 1.0  # until unacknowledged bytes are handed over again
LOST_SECONDS = 3.0  # with its nonce used and no receipt: somebody else's transaction took it


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction before it has a nonce, a fee and a signature."""

    intent: int  # in the store
    kind: str
    subject: str
    to: bytes
    data: bytes
    gas: int


@dataclass(slots=True)
class Flight:
    """One signed transaction."""

    draft: Draft
    nonce: int
    hash: bytes
    raw: bytes
    fee: Fee
    since: float  # monotonic, of the last send
    acknowledged: bool = False
    bumps: int = 0
    lost_since: float | None = None


class Flights:
    """Signs, sends, watches and replaces for one account."""

    def __init__(
        self,
        chain: Chain,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        gas: GasSettings,
        chain_id: int,
        signer: Signer,
    ) -> None:
        self._chain, self._store, self._clock = chain, store, clock
        self._metrics, self._gas, self._chain_id = metrics, gas, chain_id
        self._signer = signer
        self._next = 0
        self._open: dict[bytes, Flight] = {}  # by hash

    def __len__(self) -> int:
        return len(self._open)

    @property
    def sender(self) -> bytes:
        return self._signer.address

    @property
    def cap(self) -> int:
        """Highest fee per gas, wei."""
        return int(self._gas.max_fee_gwei * GWEI)

    def recover(self) -> int:
        """Take up what the store holds open, and hand its bytes over once more; how many."""
        self._store.release_planned()
        self._open.clear()
        for row in self._store.live_transactions(self.sender):
            fee = Fee(int(row.max_fee), int(row.priority_fee))
            draft = Draft(row.intent_id, row.kind, row.subject, row.to, row.data, row.gas)
            now = self._clock.monotonic()
            self._open[row.hash] = Flight(draft, row.nonce, row.hash, row.raw, fee, now)
        self.watch()
        for flight in list(self._open.values()):
            self._broadcast(flight)
        self._take_nonce()
        return len(self._open)

    def let_go(self) -> None:
        """Leave what is open to whoever leads now: the store has it."""
        self._open.clear()

    def pending(self, kind: str, piece: str) -> bool:
        """Whether an open transaction of this kind has `piece` among its subject."""
        drafts = (flight.draft for flight in self._open.values())
        return any(one.kind == kind and piece in one.subject.split(",") for one in drafts)

    def send(self, draft: Draft, fee: Fee, seen_at: float | None) -> None:
        """Sign with the next nonce, store, send. Raises Unsafe when the sender cannot pay."""
        flight = self._sign(draft, self._next, fee, seen_at)
        self._next += 1
        self._broadcast(flight)

    def watch(self) -> list[Ended]:
        """Look after everything open; what was mined since. Raises Unreachable."""
        if not self._open:
            return []
        flights = sorted(self._open.values(), key=lambda one: one.nonce)
        asked = [("eth_getTransactionReceipt", [hex_of(one.hash)]) for one in flights]
        used = ("eth_getTransactionCount", [hex_of(self.sender), "latest"])
        *receipts, count = self._chain.batch([*asked, used])
        ended = [
            self._mined(flight, receipt)
            for flight, receipt in zip(flights, receipts, strict=True)
            if isinstance(receipt, dict)
        ]
        if isinstance(count, str):
            for flight in flights:
                if flight.hash in self._open:
                    self._chase(flight, int(count, 16))
        return ended

    def reorged(self, fork: int) -> None:
        """Blocks above `fork` are gone: what was mined in them is open again."""
        rows = self._store.mined_after(self.sender, fork)
        for row in rows:
            self._store.update_transaction(row.hash, status=TxStatus.SENT, block=None)
            self._store.intent_status(row.intent_id, IntentStatus.SENT, "reorganised")
        if rows:
            self.recover()

    # signing and sending

    def _sign(self, draft: Draft, nonce: int, fee: Fee, seen_at: float | None = None) -> Flight:
        tx_hash, raw = self._signer.transaction(
            {
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": draft.to,
                "value": 0,
                "data": draft.data,
                "gas": draft.gas,
                "maxFeePerGas": fee.max_fee,
                "maxPriorityFeePerGas": fee.tip,
            }
        )
        now = self._clock.monotonic()
        latency = None if seen_at is None else (now - seen_at) * 1000
        if latency is not None:
            self._metrics.latency.labels(draft.kind).observe(latency)
        self._store.add_transaction(
            intent_id=draft.intent,
            sender=self.sender,
            nonce=nonce,
            hash=tx_hash,
            raw=raw,
            to=draft.to,
            data=draft.data,
            gas=draft.gas,
            max_fee=str(fee.max_fee),
            priority_fee=str(fee.tip),
            signed_at=self._clock.wall(),
            latency_ms=latency,
        )
        flight = Flight(draft, nonce, tx_hash, raw, fee, now)
        self._open[tx_hash] = flight
        return flight

    def _broadcast(self, flight: Flight) -> None:
        """Hand the bytes to the node. Whatever it says, `watch` finds out what came of it."""
        self._metrics.sends.labels(flight.draft.kind).inc()
        flight.since = self._clock.monotonic()
        try:
            self._chain.request("eth_sendRawTransaction", hex_of(flight.raw))
        except Unreachable as error:
            self._metrics.unreachable.inc()
            logger().warning("send not answered", kind=flight.draft.kind, error=str(error))
            return
        except RpcError as error:
            refusal = send_refusal(error.message)
            logger().info("send refused", kind=flight.draft.kind, means=refusal, text=error.message)
            if refusal is SendRefusal.FUNDS:
                self._drop(flight, IntentStatus.PLANNED, "insufficient funds")
                raise Unsafe("the sender cannot pay for gas: send it ether") from None
            if refusal in (SendRefusal.NONCE_TAKEN, SendRefusal.UNDERPRICED):
                self._take_nonce()
            if refusal not in (SendRefusal.KNOWN, SendRefusal.REVERTED):
                return
        flight.acknowledged = True
        self._store.update_transaction(flight.hash, status=TxStatus.SENT)

    def _take_nonce(self) -> None:
        """The lowest nonce that nothing mined, nothing of ours and nothing queued uses."""
        account = hex_of(self.sender)
        answers = self._chain.batch(
            [("eth_getTransactionCount", [account, tag]) for tag in ("latest", "pending")]
        )
        counts = [int(answer, 16) for answer in answers if isinstance(answer, str)]
        if not counts:
            raise Unreachable("eth_getTransactionCount: refused")
        ours = {flight.nonce for flight in self._open.values()}
        self._next = max(counts)
        while self._next in ours:
            self._next += 1

    # what became of them

    def _mined(self, flight: Flight, receipt: dict[str, Any]) -> Ended:
        succeeded = int(receipt["status"], 16) == 1
        block, used = int(receipt["blockNumber"], 16), int(receipt["gasUsed"], 16)
        price = int(receipt.get("effectiveGasPrice") or "0x0", 16)
        self._metrics.gas_spent.inc(used * price)
        status = TxStatus.MINED if succeeded else TxStatus.REVERTED
        self._store.update_transaction(flight.hash, status=status, block=block, gas_used=used)
        cancelled = not flight.draft.data
        outcome = IntentStatus.DONE if succeeded else IntentStatus.FAILED
        if cancelled:
            outcome = IntentStatus.DROPPED
        self._store.intent_status(flight.draft.intent, outcome)
        self._metrics.intents.labels(flight.draft.kind, outcome).inc()
        del self._open[flight.hash]
        for other in [one for one in self._open.values() if one.nonce == flight.nonce]:
            self._store.update_transaction(
                other.hash, status=TxStatus.REPLACED, replaced_by=flight.hash
            )
            del self._open[other.hash]
        logger().info(
            "mined", kind=flight.draft.kind, succeeded=succeeded, block=block, gas=used,
            tx=hex_of(flight.hash),
        )  # fmt: skip
        return Ended(flight.draft.kind, succeeded and not cancelled, block)

    def _chase(self, flight: Flight, used: int) -> None:
        """Nothing mined it yet: wait, hand it over again, pay more, or see that it is lost."""
        now = self._clock.monotonic()
        if flight.nonce < used:
            flight.lost_since = flight.lost_since or now
            if now - flight.lost_since >= LOST_SECONDS:
                self._drop(flight, IntentStatus.PLANNED, "its nonce was used by another")
            return
        flight.lost_since = None
        waited = now - flight.since
        if waited >= self._gas.replace_seconds and self._newest(flight):
            self._replace(flight)
        elif not flight.acknowledged and waited >= AGAIN_SECONDS:
            self._broadcast(flight)

    def _newest(self, flight: Flight) -> bool:
        """Whether no other transaction of its nonce pays more."""
        same = [one for one in self._open.values() if one.nonce == flight.nonce]
        return all(one.fee.max_fee <= flight.fee.max_fee for one in same)

    def _replace(self, flight: Flight) -> None:
        """Another transaction of the same nonce that pays more; a cancelling one in the end."""
        raised = 100 + self._gas.bump_percent
        fee = Fee(-(-flight.fee.max_fee * raised // 100), -(-flight.fee.tip * raised // 100))
        if flight.bumps > self._gas.max_bumps or fee.max_fee > self.cap:
            self._metrics.capped.set(1)
            logger().error("fee cap reached", kind=flight.draft.kind, nonce=flight.nonce)
            if not flight.acknowledged:
                self._drop(flight, IntentStatus.PLANNED, "never taken by the node")
            else:
                self._broadcast(flight)
            return
        giving_up = flight.bumps == self._gas.max_bumps
        draft = flight.draft
        if giving_up:
            draft = replace(draft, to=self.sender, data=b"", gas=CANCEL_GAS)
        self._metrics.replacements.inc()
        newer = self._sign(draft, flight.nonce, fee)
        newer.bumps = flight.bumps + 1
        self._broadcast(newer)

    def _drop(self, flight: Flight, intent: IntentStatus, reason: str) -> None:
        """Nothing of this transaction can be mined any more; its intent may be taken up again."""
        self._store.update_transaction(flight.hash, status=TxStatus.DROPPED)
        self._store.intent_status(flight.draft.intent, intent, reason)
        logger().warning("dropped", kind=flight.draft.kind, nonce=flight.nonce, reason=reason)
        del self._open[flight.hash]
        self._take_nonce()
