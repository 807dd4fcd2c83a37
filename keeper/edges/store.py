"""What the keeper remembers: intents before they are sent, the transactions under them, decisions
with their inputs, signed reports, snapshots of the index.

Every method is one durable transaction: when it returns, a power cut changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import OperationalError

from keeper.edges import database
from keeper.edges.database import StoreError, Where
from keeper.edges.schema import (
    LIVE,
    IntentStatus,
    TxStatus,
    decisions,
    intents,
    leases,
    meta,
    reports,
    snapshots,
    transactions,
)

SNAPSHOTS_KEPT = 4
MAX_FAILURES = 3  # transactions of one intent that reverted on chain
RESUMABLE = (IntentStatus.PLANNED, IntentStatus.DROPPED, IntentStatus.FAILED)


@dataclass(frozen=True, slots=True)
class Intended:
    """An intent to act on now."""

    id: int
    fresh: bool  # False: an earlier try came to nothing


__all__ = ["Fenced", "Intended", "Store", "StoreError"]


class Fenced(Exception):
    """Another keeper leads: nothing was written."""


class Store:
    """One open database. Used by one thread."""

    def __init__(self, where: Where) -> None:
        self._name = database.name_of(where)
        self._engine = database.open_engine(where)
        self._connection = self._engine.connect()
        self._lease: tuple[str, int] | None = None  # (name, token) that writes are fenced by

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._connection.begin():
                yield self._connection
        except OperationalError as error:  # disk full, locked for too long, server gone
            raise StoreError(
                f"{self._name}: {error.args[0]}; all that it said yes to is kept: "
                "mend it and start again"
            ) from None

    def _insert(self, table: Table) -> Any:
        return database.insert(self._engine, table)

    def _rows(self, query: Any) -> list[Row[Any]]:
        with self._transaction() as db:
            return list(db.execute(query))

    # facts

    def get(self, key: str) -> str | None:
        rows = self._rows(select(meta.c.value).where(meta.c.key == key))
        return rows[0][0] if rows else None

    def put(self, key: str, value: str) -> None:
        row = self._insert(meta).values(key=key, value=value)
        with self._transaction() as db:
            db.execute(row.on_conflict_do_update(index_elements=["key"], set_={"value": value}))

    # the lease of who acts

    def lease(self, name: str, holder: str, seconds: float, head: int) -> bool:
        """Hold or take the lease on acting; True: it is held, for `seconds` from now.

        `head`: newest block that the caller has worked through. A lease is taken that has run
        out, or whose holder has stood at a lower block for as long: late is as good as dead.
        From then on nothing is intended, signed or said here once somebody else has taken it.
        """
        now = database.now(self._engine)
        with self._transaction() as db:
            row = {"name": name, "holder": holder, "token": 1, "head": head}
            first = self._insert(leases).values(**row, until=now + seconds, advanced_at=now)
            db.execute(first.on_conflict_do_nothing())
            mine = leases.c.holder == holder
            late = (leases.c.head < head) & (leases.c.advanced_at + seconds < now)
            free = (leases.c.until < now) | late
            # a holder that froze inside a transaction keeps the row locked: then it is not ours
            found = db.execute(
                select(leases).where(leases.c.name == name, mine | free)
                .with_for_update(skip_locked=True)
            ).first()  # fmt: skip
            if found is None:
                self._lease = (name, 0) if self._lease else None
                return False
            token = found.token if found.holder == holder else found.token + 1
            advanced = now if head > found.head or found.holder != holder else found.advanced_at
            change = leases.update().where(leases.c.name == name)
            db.execute(
                change.values(
                    holder=holder, token=token, until=now + seconds,
                    head=max(head, found.head), advanced_at=advanced,
                )
            )  # fmt: skip
        self._lease = (name, token)
        return True

    def fence(self, name: str) -> None:
        """From now on write intents, transactions and reports under this lease only."""
        self._lease = self._lease or (name, 0)

    def release(self, name: str, holder: str) -> None:
        """Give the lease back, so that another need not wait for its end."""
        mine = (leases.c.name == name) & (leases.c.holder == holder)
        with self._transaction() as db:
            db.execute(leases.update().where(mine).values(until=0))

    @contextmanager
    def _fenced(self) -> Iterator[Connection]:
        """A transaction that is none unless the lease is held. Raises Fenced."""
        with self._transaction() as db:
            if self._lease is not None:
                name, token = self._lease
                held = select(leases.c.name).where(
                    leases.c.name == name,
                    leases.c.token == token,
                    leases.c.until >= database.now(self._engine),
                )
                if db.execute(held.with_for_update()).first() is None:
                    raise Fenced(name)
            yield db

    # intents and their transactions

    def intend(
        self, key: str, kind: str, subject: str, payload: Mapping[str, Any], block: int
    ) -> Intended | None:
        """Write an intent before anything is signed for it.

        None when the same act in the same state was intended before and is on its way, done,
        refused, or has failed often enough. One of which nothing is open is taken up again.
        """
        row = {
            "key": key,
            "kind": kind,
            "subject": subject,
            "payload": json.dumps(payload),
            "status": IntentStatus.PLANNED,
            "reason": "",
            "block": block,
        }
        with self._fenced() as db:
            add = self._insert(intents).values(row).on_conflict_do_nothing()
            added = db.execute(add.returning(intents.c.id)).scalar()
            if added is not None:
                return Intended(int(added), fresh=True)
            reverted = (
                select(func.count())
                .where(
                    transactions.c.intent_id == intents.c.id,
                    transactions.c.status == TxStatus.REVERTED,
                )
                .scalar_subquery()
            )
            change = intents.update().where(
                intents.c.key == key, intents.c.status.in_(RESUMABLE), reverted < MAX_FAILURES
            )
            again = change.values(status=IntentStatus.PLANNED).returning(intents.c.id)
            found = db.execute(again).scalar()
            return None if found is None else Intended(int(found), fresh=False)

    def intent_status(self, intent: int, status: IntentStatus, reason: str = "") -> None:
        change = intents.update().where(intents.c.id == intent)
        with self._transaction() as db:
            db.execute(change.values(status=status, reason=reason))

    def release_planned(self) -> None:
        """Let go of intents that an earlier run wrote and never signed: nothing was sent."""
        change = intents.update().where(intents.c.status == IntentStatus.PLANNED)
        with self._fenced() as db:
            db.execute(change.values(status=IntentStatus.DROPPED, reason="never signed"))

    def add_transaction(self, **row: Any) -> None:
        """Store a signed transaction, before it is sent; its intent counts as sent from here."""
        with self._fenced() as db:
            added = self._insert(transactions).values(status=TxStatus.SIGNED, **row)
            # the same bytes may come again after they were dropped
            db.execute(
                added.on_conflict_do_update(
                    index_elements=["hash"], set_={"status": TxStatus.SIGNED}
                )
            )
            change = intents.update().where(intents.c.id == row["intent_id"])
            db.execute(change.values(status=IntentStatus.SENT))

    def update_transaction(self, tx_hash: bytes, **changes: Any) -> None:
        with self._transaction() as db:
            db.execute(
                transactions.update().where(transactions.c.hash == tx_hash).values(**changes)
            )

    def live_transactions(self, sender: bytes) -> list[Row[Any]]:
        """Signed or sent and not known to be over, with their intents' kinds, oldest first."""
        query = (
            select(transactions, intents.c.kind, intents.c.subject)
            .join(intents)
            .where(transactions.c.sender == sender, transactions.c.status.in_(LIVE))
            .order_by(transactions.c.nonce, transactions.c.id)
        )
        return self._rows(query)

    def mined_after(self, sender: bytes, block: int) -> list[Row[Any]]:
        """Transactions that were mined in blocks above this one."""
        over = (TxStatus.MINED, TxStatus.REVERTED)
        query = select(transactions).where(
            transactions.c.sender == sender,
            transactions.c.status.in_(over),
            transactions.c.block > block,
        )
        return self._rows(query)

    # decisions, reports

    def journal(self, block: int, time: int, kind: str, inputs: Any, outputs: Any) -> None:
        """Remember a decision with what it was made from."""
        row = {"block": block, "time": time, "kind": kind}
        texts = {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}
        with self._transaction() as db:
            db.execute(decisions.insert().values(**row, **texts))

    def decisions(self, since: int = 0) -> list[Row[Any]]:
        """Decisions made at blocks from `since` on, oldest first."""
        query = select(decisions).where(decisions.c.block >= since)
        return self._rows(query.order_by(decisions.c.id))

    def add_reports(self, rows: list[dict[str, Any]]) -> None:
        """Remember what was signed: a slot once signed is never signed differently."""
        with self._fenced() as db:
            db.execute(reports.insert(), rows)

    def reports_since(self, feed: int, slot: int) -> list[Row[Any]]:
        """Signed reports of a feed at or after a slot, in order."""
        query = select(reports).where(reports.c.feed == feed, reports.c.slot >= slot)
        return self._rows(query.order_by(reports.c.slot))

    # snapshots

    def save_snapshot(self, block: int, block_hash: bytes, state: bytes) -> None:
        """Keep the index as of a block, and the newest few before it."""
        row = {"block": block, "hash": block_hash, "state": state}
        kept = select(snapshots.c.block).order_by(snapshots.c.block.desc()).limit(SNAPSHOTS_KEPT)
        with self._transaction() as db:
            change = self._insert(snapshots).values(row)
            db.execute(change.on_conflict_do_update(index_elements=["block"], set_=row))
            db.execute(snapshots.delete().where(snapshots.c.block.not_in(kept)))

    def snapshots(self) -> list[Row[Any]]:
        """Newest first."""
        return self._rows(select(snapshots).order_by(snapshots.c.block.desc()))

    def drop_snapshots_above(self, block: int) -> None:
        with self._transaction() as db:
            db.execute(snapshots.delete().where(snapshots.c.block > block))

    # what `status` shows

    def counts(self) -> dict[str, dict[str, int]]:
        """Intents by kind and status."""
        query = select(intents.c.kind, intents.c.status, func.count()).group_by(
            intents.c.kind, intents.c.status
        )
        table: dict[str, dict[str, int]] = {}
        for kind, status, number in map(tuple[Any, ...], self._rows(query)):
            table.setdefault(kind, {})[status] = number
        return table

    def latencies(self) -> dict[str, list[float]]:
        """Milliseconds from price seen to signed transaction, by kind of intent."""
        query = (
            select(intents.c.kind, transactions.c.latency_ms)
            .join(intents)
            .where(transactions.c.latency_ms.is_not(None))
        )
        table: dict[str, list[float]] = {}
        for kind, milliseconds in map(tuple[Any, ...], self._rows(query)):
            table.setdefault(kind, []).append(milliseconds)
        return table
