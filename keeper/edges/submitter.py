"""From a decision to a transaction: intend, simulate, sign, store, send.

The intent is in the store before anything is signed, with a key that makes it unique for its
act and state. With no key to sign with, everything happens but the signing.
"""

from __future__ import annotations

from keeper.config import GasSettings
from keeper.core.errors import Kind, kind_of
from keeper.edges.acts import Act, Ended, Fee, Result, Unsafe
from keeper.edges.chain import Call, Chain, Header, RpcError
from keeper.edges.flights import GWEI, Draft, Flights
from keeper.edges.schema import IntentStatus
from keeper.edges.store import Store
from keeper.edges.telemetry import Metrics, logger


class Submitter:
    """Takes acts one at a time."""

    def __init__(
        self,
        chain: Chain,
        store: Store,
        metrics: Metrics,
        gas: GasSettings,
        sender: bytes,
        flights: Flights | None,
    ) -> None:
        """`flights` None: a dry run, simulated as if `sender` sent."""
        self._chain, self._store, self._metrics, self._gas = chain, store, metrics, gas
        self._sender = sender
        self._flights = flights
        self._failing: set[str] = set()  # kinds whose last transaction reverted

    @property
    def sender(self) -> bytes:
        return self._sender

    @property
    def in_flight(self) -> int:
        return len(self._flights) if self._flights is not None else 0

    def pending(self, kind: str, piece: str) -> bool:
        """Whether an act of this kind on this piece of a subject is on its way."""
        return self._flights is not None and self._flights.pending(kind, piece)

    def recover(self) -> int:
        """Take up what an earlier run left open. Raises Unreachable."""
        return self._flights.recover() if self._flights is not None else 0

    def let_go(self) -> None:
        """Another keeper leads: what is open is its own now."""
        if self._flights is not None:
            self._flights.let_go()

    def watch(self) -> list[Ended]:
        """What was mined since the last look. Raises Unreachable."""
        if self._flights is None:
            return []
        ended = self._flights.watch()
        for one in ended:
            (self._failing.discard if one.succeeded else self._failing.add)(one.kind)
        return ended

    def reorged(self, fork: int) -> None:
        """Blocks above `fork` are gone."""
        if self._flights is not None:
            self._flights.reorged(fork)

    def submit(self, act: Act, head: Header) -> Result:
        """Bring an act on its way, or say why not. Raises Unreachable, Unsafe."""
        if self._flights is None:
            return self._rehearse(act)
        intent = self._store.intend(act.key, act.kind, act.subject, act.payload, head.number)
        if intent is None:
            return Result.KNOWN
        if not act.checked or not intent.fresh or act.kind in self._failing:
            refusal = self._refusal(act)
            if refusal is not None:
                return self._refused(act, intent.id, refusal)
        fee = self._fee(head, self._flights.cap)
        if fee is None:
            logger().warning("fee cap below the base fee", kind=act.kind, block=head.number)
            return Result.DEFERRED
        draft = Draft(intent.id, act.kind, act.subject, act.to, act.data, act.gas)
        self._flights.send(draft, fee, act.seen_at)
        logger().info("sent", kind=act.kind, subject=act.subject, block=head.number)
        return Result.SENT

    def _fee(self, head: Header, cap: int) -> Fee | None:
        """Room for the base fee to double, within the cap; None when the cap is below it."""
        tip = int(self._gas.priority_gwei * GWEI)
        max_fee = min(2 * head.base_fee + tip, cap)
        enough = max_fee > head.base_fee
        self._metrics.capped.set(0 if enough else 1)
        return Fee(max_fee, min(tip, max_fee)) if enough else None

    def _rehearse(self, act: Act) -> Result:
        refusal = self._refusal(act)
        logger().info("dry run", kind=act.kind, subject=act.subject, would=refusal or "be sent")
        return Result.REJECTED if refusal else Result.DRY_RUN

    def _refusal(self, act: Act) -> str | None:
        """Why the act would fail now, or None. Raises Unreachable."""
        try:
            answer = self._chain.call(Call(act.to, act.data, self._sender, act.gas))
        except RpcError as error:
            return error.reason or error.message
        return None if act.useful(answer) else "nothing to do"

    def _refused(self, act: Act, intent: int, reason: str) -> Result:
        kind = kind_of(reason)
        logger().info("refused", kind=act.kind, subject=act.subject, reason=reason, means=kind)
        if kind is Kind.TRANSIENT:
            return Result.DEFERRED
        self._store.intent_status(intent, IntentStatus.REJECTED, reason)
        self._metrics.intents.labels(act.kind, IntentStatus.REJECTED).inc()
        if kind is Kind.FATAL:
            raise Unsafe(f"{act.kind} is refused: {reason}")
        return Result.REJECTED
