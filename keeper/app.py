"""The loop: look at the head, fold what is new, post, act, watch over it, and again.

Every turn starts from the chain and the store, so that a turn that fails half-way is only a
turn that did less.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from keeper.core import snapshot
from keeper.core.index import Index, RolledTooFar
from keeper.core.types import FeedId
from keeper.edges import parameters
from keeper.edges.chain import Header, RpcError, Unreachable
from keeper.edges.store import Fenced
from keeper.edges.telemetry import logger
from keeper.wiring import Keeper, open_index

BACK_OFF = (0.1, 5.0)  # seconds: first and longest pause after an unreachable endpoint
AUDIT_REST = 19  # times as long as an audit took: it gets at most a twentieth of the time
RENEWED = 0.2  # of the lease's time: how old it gets before it is renewed
PROGRESS_SECONDS = 1.0  # between two notes of how far it is


@dataclass(slots=True)
class Progress:
    """How far the keeper is: what `/healthz` and `keeper status` show."""

    head: int = 0
    time: int = 0  # of the head
    indexed: int = 0
    idle: int = 0  # newest block at which nothing was left to do
    in_flight: int = 0
    prices: dict[str, int] = field(default_factory=dict)  # newest slot by asset
    ledger_difference: int = 0
    reference_drift: int = 0
    audited: int = 0  # accounts compared with the chain
    seen_at: float = 0.0  # wall time of the last good turn
    dry_run: bool = True


class App:
    """Runs one keeper until it is stopped."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.progress = Progress(dry_run=keeper.config.dry_run)
        self._acted_on: bytes = b""  # hash of the last head that was planned at
        self._slots: dict[FeedId, int] = {}
        self._seen: dict[FeedId, float] = {}  # monotonic: when a feed's newest price was seen
        self._recovered = False
        self._led = float("-inf")  # monotonic: when the lease was last renewed
        self._led_at = -1  # the block that was said with it
        self._audit_at = float("-inf")
        self._noted_at = float("-inf")
        self._saved_at = keeper.index.checkpoint.number if keeper.index.checkpoint else 0

    def run(self, until: Callable[[Header], bool] = lambda _: False) -> None:
        """Turn after turn, until stopped or `until` a head. Raises Unsafe and AbiError."""
        keeper, pause = self._keeper, BACK_OFF[0]
        logger().info(
            "running", block=self.progress.indexed, dry_run=keeper.config.dry_run,
            sender="0x" + keeper.submitter.sender.hex(),
        )  # fmt: skip
        while not keeper.clock.stopped:
            try:
                head, busy = self.turn()
                pause = BACK_OFF[0]
                if until(head):
                    break
                if not busy:
                    keeper.clock.pause(keeper.config.chain.poll_ms / 1000)
            except (Unreachable, RpcError) as error:
                keeper.metrics.unreachable.inc()
                logger().warning("endpoint", error=str(error), again_in=pause)
                keeper.clock.pause(pause)
                pause = min(2 * pause, BACK_OFF[1])
            except RolledTooFar as error:
                logger().warning("folding anew", why=str(error))
                self._refold()
            except Fenced:
                self._stand_by()
        self._save()
        self._note()
        if keeper.lease is not None:
            keeper.store.release(keeper.lease.name, keeper.lease.holder)
        logger().info("stopped", block=self.progress.indexed)

    def turn(self) -> tuple[Header, bool]:
        """One turn: (head, whether to go on at once)."""
        keeper = self._keeper
        head = self._head()
        moved = self._follow(head)
        if not self._leads(head):
            self._note_often(head)
            return head, moved
        if not self._recovered:
            self._recover(head)
        ended = keeper.submitter.watch()
        self._observe(head)
        sent = 0
        if keeper.index.checkpoint is None or keeper.index.checkpoint.hash != head.hash:
            return head, False  # the node lags behind: nothing is decided on its past
        sent += keeper.rounds.post(keeper.index, head)
        if sent == 0 and self._acted_on != head.hash:
            sent += keeper.rounds.act(keeper.index, head, self._fresh())
            self._acted_on = head.hash
            if sent == 0 and keeper.submitter.in_flight == 0:
                self.progress.idle = head.number
        self._audit(head, quiet=sent == 0)
        self._note_often(head)
        return head, bool(sent or moved or ended)

    # following

    def _head(self) -> Header:
        keeper = self._keeper
        head = keeper.chain.header("latest")
        if keeper.config.chain.confirmations:
            number = max(head.number - keeper.config.chain.confirmations, 0)
            head = keeper.chain.header(number)
        keeper.metrics.head.set(head.number)
        keeper.metrics.head_age.set(keeper.clock.wall() - head.timestamp)
        return head

    def _follow(self, head: Header) -> bool:
        keeper, index = self._keeper, self._keeper.index
        before = index.checkpoint
        forked = keeper.follower.follow(index, head)
        if forked is not None:
            keeper.store.drop_snapshots_above(forked)
            keeper.submitter.reorged(forked)
        if index.constants_stale:
            index.adopt(parameters.read(keeper.views, head))
        after = index.checkpoint
        if after is not None:
            keeper.metrics.indexed.set(after.number)
            keeper.metrics.lag.set(head.number - after.number)
            if after.number >= self._saved_at + keeper.config.store.snapshot_blocks:
                self._save()
        return before != after

    def _refold(self) -> None:
        keeper = self._keeper
        head = self._head()
        keeper.index = open_index(
            keeper.chain, keeper.views, keeper.addresses, keeper.store.snapshots(), head
        )

    def _recover(self, head: Header) -> None:
        """Take up what an earlier run, or who led before, left; before anything new is decided."""
        if self._keeper.reporter is not None:
            self._keeper.reporter.recall(head.timestamp)
        open_transactions = self._keeper.submitter.recover()
        if open_transactions:
            logger().info("recovering", transactions=open_transactions)
        self._recovered = True

    # several keepers on one database: one leads, the others follow the chain and wait

    def _leads(self, head: Header) -> bool:
        """Whether this keeper may act; renews the lease, or tries to take it."""
        keeper, now = self._keeper, self._keeper.clock.monotonic()
        lease, seconds = keeper.lease, keeper.config.store.lease_seconds
        if lease is None:
            return True
        fresh = now - self._led < seconds * RENEWED and self._led_at == head.number
        if fresh:
            return True
        indexed = keeper.index.checkpoint.number if keeper.index.checkpoint else 0
        if keeper.store.lease(lease.name, lease.holder, seconds, indexed):
            if self._led_at < 0:
                logger().info("leading", block=head.number)
            self._led, self._led_at = now, head.number
            return True
        if self._led_at >= 0:
            self._stand_by()
        return False

    def _stand_by(self) -> None:
        """Another keeper leads: forget what was open here, it is in the store."""
        logger().warning("standing by: another keeper leads", block=self.progress.indexed)
        self._led, self._led_at = float("-inf"), -1
        self._recovered, self._acted_on = False, b""
        self._keeper.submitter.let_go()

    # prices

    def _observe(self, head: Header) -> None:
        """Hand new prices to the reporters, and remember when each was seen."""
        keeper, now = self._keeper, self._keeper.clock.monotonic()
        stored = {
            feed: 0 if price is None else price.slot
            for feed, price in ((one, keeper.index.prices[one]) for one in keeper.index.feeds)
        }
        for observation in keeper.source.poll(head.timestamp):
            if keeper.reporter is not None:
                keeper.reporter.observe(observation, keeper.index.feeds, stored, now)
        for feed, slot in stored.items():
            if slot > self._slots.get(feed, 0):
                self._slots[feed] = slot
                self._seen[feed] = self._said_at(feed, slot, now)

    def _said_at(self, feed: FeedId, slot: int, now: float) -> float:
        """When the price of a slot was seen: as it was said here, or now, from others."""
        if self._keeper.reporter is not None:
            for said in reversed(self._keeper.reporter.said(feed)):
                if said.report.slot == slot and said.seen_at is not None:
                    return said.seen_at
        return now

    def _fresh(self) -> float | None:
        """When the newest price was seen, if nothing was decided on it yet."""
        newest = max(self._seen.values(), default=None)
        self._seen.clear()
        return newest

    # watching and remembering

    def _audit(self, head: Header, quiet: bool) -> None:
        keeper = self._keeper
        settings, now = keeper.config.policy, keeper.clock.monotonic()
        if not keeper.config.duties.audit or not quiet:
            return
        if now < self._audit_at:
            return
        findings = keeper.auditor.audit(keeper.index, head, settings.audit_sample)
        ended = keeper.clock.monotonic()
        self._audit_at = ended + max(settings.audit_seconds, AUDIT_REST * (ended - now))
        self.progress.ledger_difference = findings.ledger_difference
        self.progress.reference_drift = keeper.auditor.worst_drift
        self.progress.audited += findings.accounts

    def _save(self) -> None:
        """Write the index down."""
        index: Index = self._keeper.index
        if index.checkpoint is not None and index.checkpoint.number > 0:
            at = index.checkpoint
            self._keeper.store.save_snapshot(at.number, at.hash, snapshot.dump(index))
            self._saved_at = at.number
        if self._keeper.reporter is not None:
            longest = max(
                (one.grid_seconds * one.ring_length for one in index.feeds.values()), default=0
            )
            self._keeper.reporter.forget(index.now - longest)

    def _note_often(self, head: Header) -> None:
        keeper, progress = self._keeper, self.progress
        progress.head, progress.time = head.number, head.timestamp
        progress.indexed = keeper.index.checkpoint.number if keeper.index.checkpoint else 0
        progress.in_flight = keeper.submitter.in_flight
        progress.seen_at = keeper.clock.wall()
        progress.prices = {
            keeper.addresses.feed_name(feed): price.slot
            for feed, price in keeper.index.prices.items()
            if price is not None
        }
        if keeper.clock.monotonic() - self._noted_at >= PROGRESS_SECONDS:
            self._note()

    def _note(self) -> None:
        self._noted_at = self._keeper.clock.monotonic()
        if self._keeper.lease is not None and self._led_at < 0:
            return  # who leads tells
        self._keeper.store.put("progress", json.dumps(asdict(self.progress)))
