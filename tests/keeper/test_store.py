"""The store: an act in a state is intended once, what was written survives the process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from keeper.edges import database
from keeper.edges.database import Where
from keeper.edges.schema import IntentStatus, TxStatus, tables
from keeper.edges.store import MAX_FAILURES, SNAPSHOTS_KEPT, Fenced, Intended, Store, StoreError
from tests.support import postgres

INTENT: dict[str, Any] = {"kind": "liquidate", "subject": "a", "payload": {}, "block": 7}


@pytest.fixture
def both(where: Where) -> Iterator[Store]:
    """A store in a database of either kind."""
    opened = Store(where)
    yield opened
    opened.close()


def test_intend__same_key__once_unless_nothing_of_it_is_open(both: Store) -> None:
    first = both.intend("k", **INTENT)
    assert first is not None
    assert first.fresh
    for status in (IntentStatus.SENT, IntentStatus.DONE, IntentStatus.REJECTED):
        both.intent_status(first.id, status)
        assert both.intend("k", **INTENT) is None
    for status in (IntentStatus.PLANNED, IntentStatus.DROPPED, IntentStatus.FAILED):
        both.intent_status(first.id, status)
        assert both.intend("k", **INTENT) == Intended(first.id, fresh=False)
    other = both.intend("other", **INTENT)
    assert other is not None
    assert other.id != first.id


def test_intend__reverted_on_chain_often_enough__let_go(both: Store) -> None:
    for attempt in range(MAX_FAILURES):
        found = both.intend("k", **INTENT)
        assert found is not None
        tx_hash = bytes([attempt]) * 32
        both.add_transaction(
            intent_id=found.id, sender=b"s", nonce=attempt, hash=tx_hash, raw=b"", to=b"", data=b"",
            gas=1, max_fee="1", priority_fee="1", signed_at=0.0, latency_ms=None,
        )  # fmt: skip
        both.update_transaction(tx_hash, status=TxStatus.REVERTED)
        both.intent_status(found.id, IntentStatus.FAILED)
    assert both.intend("k", **INTENT) is None


def test_store__killed_after_a_write__still_has_it(where: Where) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from keeper.edges.store import Store;"
        "where = sys.argv[1];"
        "store = Store(where if '://' in where else Path(where));"
        "store.intend('k', 'post', 'BTC', {'slot': 1}, 3);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(where)], env={**os.environ})
    assert ended.returncode == -signal.SIGKILL
    store = Store(where)
    assert store.counts() == {"post": {"planned": 1}}
    store.close()


def test_store__newer_schema__refused_with_the_way_out(where: Where) -> None:
    Store(where).close()
    engine = create_engine(database.url_of(where))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"schema 9999.*upgrade the keeper or choose another"):
        Store(where)


def test_store__schema_is_what_the_tables_say(where: Where) -> None:
    """The migrations and keeper.edges.schema tell the same."""
    engine = database.open_engine(where)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables) == []
    engine.dispose()


def test_store__migration_breaks_off__nothing_of_it_stays(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def create_table(operations: Operations, name: str, *_: Any, **__: Any) -> None:
        if len(made) == 3:
            raise OperationalError("disk full", None, Exception("disk full"))
        made.append(name)
        create(operations, name, *_, **__)

    create = Operations.create_table
    monkeypatch.setattr(Operations, "create_table", create_table)
    with pytest.raises(StoreError, match="disk full"):
        Store(where)
    assert len(made) == 3
    monkeypatch.undo()
    engine = create_engine(database.url_of(where))
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == []
    engine.dispose()
    Store(where).close()


def test_store__before_migrations__refused(tmp_path: Path) -> None:
    file = tmp_path / "keeper.sqlite"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE intents (id integer)")
    with pytest.raises(StoreError, match=r"before 0\.1: move it away"):
        Store(file)


def test_store__opened_by_several_at_once__migrated_once(where: Where) -> None:
    program = (
        "import sys; from pathlib import Path; from keeper.edges.store import Store;"
        "where = sys.argv[1];"
        "Store(where if '://' in where else Path(where)).put('a', 'b')"
    )
    command = [sys.executable, "-c", program, str(where)]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [one.wait(60) for one in running] == [0, 0, 0]


def test_store__not_sqlite__says_so(tmp_path: Path) -> None:
    file = tmp_path / "keeper.sqlite"
    file.write_bytes(b"not a database, certainly not one" * 40)
    with pytest.raises(StoreError, match="not a usable SQLite file"):
        Store(file)


def test_store__no_such_database__says_so_without_a_password(
    postgresql: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.database()
    with pytest.raises(StoreError, match="not a usable PostgreSQL database") as refused:
        Store(url.replace("keeper@", "keeper:hush@") + "_absent")
    assert "hush" not in str(refused.value)


def test_snapshots__newest_few_are_kept(both: Store) -> None:
    for block in range(SNAPSHOTS_KEPT + 3):
        both.save_snapshot(block, bytes([block]) * 32, b"state")
    kept = [row.block for row in both.snapshots()]
    assert kept == sorted(range(3, SNAPSHOTS_KEPT + 3), reverse=True)
    both.drop_snapshots_above(4)
    assert [row.block for row in both.snapshots()] == [4, 3]


def test_reports__one_per_feed_and_slot(both: Store) -> None:
    row = {"feed": 1, "slot": 60, "previous": 0, "price": "5", "conf_ppm": 1}
    both.add_reports([row])
    with pytest.raises(Exception, match=r"(?i)unique"):
        both.add_reports([{**row, "price": "6"}])
    assert [kept.price for kept in both.reports_since(1, 0)] == ["5"]


def test_store__is_readable_while_it_is_open(store: Store, tmp_path: Path) -> None:
    store.put("a", "b")
    with sqlite3.connect(tmp_path / "keeper.sqlite") as other:
        assert other.execute("select value from meta where key = 'a'").fetchone() == ("b",)
        assert other.execute("pragma journal_mode").fetchone() == ("wal",)


def test_store__server_ends_while_it_is_open__says_so_and_goes_on_when_opened_again(
    postgresql: postgres.Server,
) -> None:
    url = postgresql.database()
    store = Store(url)
    store.put("a", "kept")
    postgresql.stop()
    try:
        with pytest.raises(StoreError, match="mend it and start again"):
            store.put("a", "lost")
        store.close()
    finally:
        postgresql.start()
    again = Store(url)
    assert again.get("a") == "kept"
    again.close()


# the lease


def two(where: Where) -> tuple[Store, Store]:
    return Store(where), Store(where)


def transaction(intent: int, number: int) -> dict[str, Any]:
    """Of a sender that both keepers have."""
    return {
        "intent_id": intent, "sender": b"s", "nonce": number, "hash": bytes([number]) * 32,
        "raw": b"", "to": b"", "data": b"", "gas": 1, "max_fee": "1", "priority_fee": "1",
        "signed_at": 0.0, "latency_ms": None,
    }  # fmt: skip


def test_lease__one_holds_it_until_it_runs_out(where: Where) -> None:
    first, second = two(where)
    assert first.lease("l", "first", 0.4, head=1)
    assert not second.lease("l", "second", 0.4, head=1)
    assert first.lease("l", "first", 0.4, head=1)
    time.sleep(0.5)
    assert second.lease("l", "second", 60, head=1)
    assert not first.lease("l", "first", 60, head=1)
    first.close()
    second.close()


def test_lease__holder_that_is_late_loses_it_although_it_renews(where: Where) -> None:
    first, second = two(where)
    assert first.lease("l", "first", 0.4, head=5)
    assert not second.lease("l", "second", 0.4, head=6)
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        first.lease("l", "first", 0.4, head=5)
        time.sleep(0.05)
    assert not second.lease("l", "second", 0.4, head=5), "who is not ahead does not take it"
    assert second.lease("l", "second", 0.4, head=6)
    first.close()
    second.close()


@pytest.mark.parametrize("again", [False, True], ids=["not asked again", "asked again"])
def test_lease__taken_by_another__nothing_is_intended_signed_or_said(
    where: Where, again: bool
) -> None:
    """The old holder froze after it had decided, and goes on as if nothing had happened."""
    first, second = two(where)
    assert first.lease("l", "first", 0.3, head=1)
    intent = first.intend("k", **INTENT)
    assert intent is not None
    first.add_transaction(**transaction(intent.id, 1))
    time.sleep(0.4)
    assert second.lease("l", "second", 60, head=1)
    if again:
        assert not first.lease("l", "first", 0.3, head=1)
    with pytest.raises(Fenced):
        first.add_transaction(**transaction(intent.id, 2))
    with pytest.raises(Fenced):
        first.intend("other", **INTENT)
    with pytest.raises(Fenced):
        first.add_reports([{"feed": 1, "slot": 60, "previous": 0, "price": "5", "conf_ppm": 1}])
    assert [row.nonce for row in second.live_transactions(b"s")] == [1]
    assert second.counts() == {"liquidate": {"sent": 1}}
    second.add_transaction(**transaction(intent.id, 2))
    first.close()
    second.close()


def test_fence__before_the_lease_is_held__nothing_is_written(where: Where) -> None:
    store = Store(where)
    store.fence("l")
    with pytest.raises(Fenced):
        store.intend("k", **INTENT)
    assert store.lease("l", "me", 60, head=1)
    assert store.intend("k", **INTENT) is not None
    store.close()


def test_lease__holder_frozen_inside_a_transaction__does_not_stand_in_the_way(
    postgresql: postgres.Server,
) -> None:
    first, second = two(postgresql.database())
    assert first.lease("l", "first", 0.3, head=1)
    time.sleep(0.4)
    with first._transaction() as db:
        db.execute(text("SELECT * FROM leases FOR UPDATE"))
        started = time.monotonic()
        assert not second.lease("l", "second", 0.3, head=1)
        assert time.monotonic() - started < 5
    assert second.lease("l", "second", 0.3, head=1)
    first.close()
    second.close()
