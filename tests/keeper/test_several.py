"""Several keepers with one key on one PostgreSQL: one leads, the others take over."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from scripts import nodes
from tests.keeper.beside import Chain, Process, Start, wait
from tests.keeper.devnet import BTC, Devnet
from tests.support import postgres

LEASE_SECONDS = 2.0


@pytest.fixture(scope="module")
def node() -> Iterator[nodes.Node]:
    with nodes.start("anvil", accounts=24) as running:
        yield running


def leader(keepers: Mapping[str, Process]) -> Process:
    """The one that leads, once there is one and no more."""
    wait(lambda: sum(one.leads for one in keepers.values()) == 1)
    return next(one for one in keepers.values() if one.leads)


def test_three_keepers__leaders_killed_and_frozen__nothing_lost_nothing_doubled(
    node: nodes.Node, tmp_path: Path, start: Start, postgresql: postgres.Server
) -> None:
    database = {"store": {"url": postgresql.database(), "lease_seconds": LEASE_SECONDS}}
    chain = Chain(Devnet(node), tmp_path, database)
    keepers = {name: start(chain.file, name=name) for name in ("first", "second", "third")}
    leader(keepers)
    chain.endow()
    accounts = [chain.open(place, cash=5_500 + 500 * place) for place in range(3)]

    def fall(to: float) -> int:
        at = chain.net.now + 10
        chain.feed.push(at, BTC=to)
        chain.net.warp(10)
        return at

    def settled(at: int) -> bool:
        return chain.net.view("OracleHub", "latest_slot", BTC) >= at and not any(
            chain.net.view("Liquidator", "liquidatable", one) for one in accounts
        )

    # killed while the price is on its way: another posts it and liquidates
    at = fall(58_500)
    killed = leader(keepers)
    killed.end(signal.SIGKILL)
    left = {name: one for name, one in keepers.items() if one is not killed}
    wait(lambda: settled(at))

    # frozen for longer than its lease: another leads; when it wakes it stands by
    frozen = leader(left)
    at = fall(57_500)
    frozen.signal(signal.SIGSTOP)
    others = {name: one for name, one in left.items() if one is not frozen}
    wait(lambda: leader(others).leads and settled(at))
    frozen.signal(signal.SIGCONT)
    at = fall(56_500)
    wait(lambda: settled(at))
    frozen.said("standing by")
    assert leader(left) is not frozen

    # the leader leaves of itself: the one that woke goes on at once
    last = leader(left)
    assert last.end(signal.SIGTERM) == 0
    wait(lambda: frozen.leads)
    at = fall(55_500)
    wait(lambda: settled(at))
    time.sleep(0.5)
    assert frozen.end(signal.SIGTERM) == 0

    found = chain.status()
    counts = found["intents"]
    assert not any("sent" in by or "failed" in by for by in counts.values()), counts
    assert counts["liquidate"]["done"] >= 3
    assert chain.mined() == sum(by.get("done", 0) for by in counts.values())
    assert found["progress"]["ledger_difference"] == 0
    assert found["progress"]["reference_drift"] == 0
