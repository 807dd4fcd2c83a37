"""A keeper run by a test: in this process turn by turn, or as the command that operators use."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keeper import config, template, wiring
from keeper.app import App
from keeper.edges.clock import Clock
from keeper.edges.store import Store
from keeper.edges.telemetry import Metrics
from scripts import build, nodes, roles
from tests.keeper.devnet import Devnet, Feed

Changes = Mapping[str, Mapping[str, Any]]  # of sections of the configuration
PATIENCE = 30.0  # seconds: far more than any story needs to come to rest
BREATH = 0.005  # seconds for the node to mine, when a turn had nothing to do


def settings(
    net: Devnet, folder: Path, url: str | None = None, changes: Changes | None = None
) -> config.Config:
    """A live keeper of this chain with a pushed price feed; sections may be changed."""
    usual: dict[str, dict[str, Any]] = {
        "chain": {
            "url": url or net.node.url,
            "addresses": str(net.write_addresses(folder / "addresses.json")),
            "poll_ms": 5,
        },
        "keys": {"dev_mnemonic": nodes.MNEMONIC, "dev_index": roles.KEEPER},
        "reporters": {"dev_mnemonic": nodes.MNEMONIC, "dev_indices": list(roles.REPORTERS)},
        "prices": {"source": "push", "path": str(folder / "feed.jsonl")},
        "policy": {"audit_seconds": 0},
        "store": {"path": str(folder / "keeper.sqlite")},
        "http": {"port": 0},
    }
    for section, values in (changes or {}).items():
        usual[section] = {**usual.get(section, {}), **values}
    return config.parse({"dry_run": False, **usual}, "test")


class Runner:
    """A keeper in this process."""

    def __init__(self, given: config.Config) -> None:
        self.metrics = Metrics()
        self.keeper = wiring.build(given, Clock(), self.metrics)
        self.app = App(self.keeper)

    @property
    def store(self) -> Store:
        return self.keeper.store

    def settle(self) -> None:
        """Turns until it has nothing left to do at the head."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            head, busy = self.app.turn()
            if not busy and self.app.progress.idle == head.number:
                return
            if not busy:
                time.sleep(BREATH)
        raise AssertionError(f"still busy after {PATIENCE:.0f} s: {self.store.counts()}")

    def close(self) -> None:
        self.keeper.close()

    def done(self, kind: str) -> int:
        return self.store.counts().get(kind, {}).get("done", 0)


class Story:
    """A chain, a feed and a keeper; every step of prices is brought to rest."""

    def __init__(self, net: Devnet, folder: Path, **changes: Mapping[str, Any]) -> None:
        self.net, self.feed = net, Feed(folder / "feed.jsonl")
        self.config = settings(net, folder, changes=changes)
        self.runner = Runner(self.config)

    def restart(self) -> None:
        """A new keeper on the same store; the old one is not asked."""
        self.runner.close()  # harmless when it is closed already
        self.runner = Runner(self.config)

    def step(self, seconds: int = 10, **prices: float) -> int:
        """Time passes, prices change, the keeper does what is due; returns the time."""
        at = self.net.now + seconds
        self.feed.push(at, **prices)
        self.net.warp(seconds)
        self.runner.settle()
        return at

    def endow(self, usd: int = 5_000_000, insurance: int = 200_000) -> None:
        """Prices, a pool and an insurance, through the keeper's own acts."""
        self.step(2)
        provider = self.net.accounts[roles.PROVIDERS[0]]
        if self.net.view("LiquidityPool", "nav") < usd * 10**18:
            self.net.request_entry(provider, usd)
            self.net.fund_insurance(insurance)
            self.step(self.net.terms.pool.request_delay_seconds + 1)

    def open(self, account: bytes, instrument: int, size: float) -> None:
        """A position through an order that the keeper executes."""
        self.net.commit(account, instrument, size)
        self.step(3)
        assert self.net.size(account, instrument) == size


def write(given: config.Config, folder: Path) -> Path:
    """The configuration as a file."""
    file = folder / "keeper.toml"
    file.write_text(template.render(given))
    return file


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "keeper", *arguments]


def run(*arguments: str, cwd: Path = build.ROOT) -> subprocess.CompletedProcess[str]:
    """The command `keeper`, to its end."""
    environment = {**os.environ, "PYTHONPATH": str(build.ROOT), "COLUMNS": "160"}
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )
