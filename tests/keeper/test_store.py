"""The store: an act in a state is intended once, what was written survives the process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keeper.edges.schema import SCHEMA_VERSION, IntentStatus, TxStatus
from keeper.edges.store import MAX_FAILURES, SNAPSHOTS_KEPT, Intended, Store, StoreError

INTENT: dict[str, Any] = {"kind": "liquidate", "subject": "a", "payload": {}, "block": 7}


def test_intend__same_key__once_unless_nothing_of_it_is_open(store: Store) -> None:
    first = store.intend("k", **INTENT)
    assert first is not None
    assert first.fresh
    for status in (IntentStatus.SENT, IntentStatus.DONE, IntentStatus.REJECTED):
        store.intent_status(first.id, status)
        assert store.intend("k", **INTENT) is None
    for status in (IntentStatus.PLANNED, IntentStatus.DROPPED, IntentStatus.FAILED):
        store.intent_status(first.id, status)
        assert store.intend("k", **INTENT) == Intended(first.id, fresh=False)
    other = store.intend("other", **INTENT)
    assert other is not None
    assert other.id != first.id


def test_intend__reverted_on_chain_often_enough__let_go(store: Store) -> None:
    for attempt in range(MAX_FAILURES):
        found = store.intend("k", **INTENT)
        assert found is not None
        tx_hash = bytes([attempt]) * 32
        store.add_transaction(
            intent_id=found.id, sender=b"s", nonce=attempt, hash=tx_hash, raw=b"", to=b"", data=b"",
            gas=1, max_fee="1", priority_fee="1", signed_at=0.0, latency_ms=None,
        )  # fmt: skip
        store.update_transaction(tx_hash, status=TxStatus.REVERTED)
        store.intent_status(found.id, IntentStatus.FAILED)
    assert store.intend("k", **INTENT) is None


def test_store__killed_after_a_write__still_has_it(tmp_path: Path) -> None:
    file = tmp_path / "keeper.sqlite"
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from keeper.edges.store import Store;"
        "store = Store(Path(sys.argv[1]));"
        "store.intend('k', 'post', 'BTC', {'slot': 1}, 3);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(file)], env={**os.environ})
    assert ended.returncode == -signal.SIGKILL
    store = Store(file)
    assert store.counts() == {"post": {"planned": 1}}
    store.close()


def test_store__newer_schema__refused_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "keeper.sqlite"
    store = Store(file)
    store.put("schema_version", str(SCHEMA_VERSION + 1))
    store.close()
    with pytest.raises(StoreError, match="upgrade the keeper or choose another"):
        Store(file)


def test_store__not_sqlite__says_so(tmp_path: Path) -> None:
    file = tmp_path / "keeper.sqlite"
    file.write_bytes(b"not a database, certainly not one" * 40)
    with pytest.raises(StoreError, match="not a usable SQLite file"):
        Store(file)


def test_snapshots__newest_few_are_kept(store: Store) -> None:
    for block in range(SNAPSHOTS_KEPT + 3):
        store.save_snapshot(block, bytes([block]) * 32, b"state")
    kept = [row.block for row in store.snapshots()]
    assert kept == sorted(range(3, SNAPSHOTS_KEPT + 3), reverse=True)
    store.drop_snapshots_above(4)
    assert [row.block for row in store.snapshots()] == [4, 3]


def test_reports__one_per_feed_and_slot(store: Store) -> None:
    row = {"feed": 1, "slot": 60, "previous": 0, "price": "5", "conf_ppm": 1}
    store.add_reports([row])
    with pytest.raises(Exception, match="UNIQUE"):
        store.add_reports([{**row, "price": "6"}])
    assert [kept.price for kept in store.reports_since(1, 0)] == ["5"]


def test_store__is_readable_while_it_is_open(store: Store, tmp_path: Path) -> None:
    store.put("a", "b")
    with sqlite3.connect(tmp_path / "keeper.sqlite") as other:
        assert other.execute("select value from meta where key = 'a'").fetchone() == ("b",)
        assert other.execute("pragma journal_mode").fetchone() == ("wal",)
