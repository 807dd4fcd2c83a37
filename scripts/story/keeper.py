"""The keeper as its operator runs it: a process of its own, configured by a file, asked by HTTP.

It is given what it would have anywhere: a node, an address book, a key, a price feed. In a
story the feed is a file that grows by a line whenever the price moves.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from scripts import deploy, processes, roles
from scripts.nodes import CHAIN_ID, HOST, ROOT, Node

CONFIDENCE_PPM = 200
ANSWER_SECONDS = 120.0  # in which it has to do what a new price asks for
_POLL_SECONDS = 0.02


class KeeperError(Exception):
    """The keeper is gone or does not come along; the text says what it said last."""


@contextmanager
def running(node: Node, network: str, folder: Path, prices: str | None = None) -> Iterator[Keeper]:
    """Run a keeper for the network's address book until the block is left.

    prices: the keeper's own [prices] section; a feed that `say` writes when not given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("keeper.sqlite*"):
        left.unlink()  # of a chain that is gone
    feed, store = folder / "prices.jsonl", folder / "keeper.sqlite"
    feed.write_text("")
    port = _free_port()
    config = folder / "keeper.toml"
    prices = prices or f'source = "push"\npath = "{feed}"\nconfidence_ppm = {CONFIDENCE_PPM}'
    config.write_text(_config(node, deploy.path_of(network), prices, store, port))
    log = folder / "keeper.log"
    command = [sys.executable, "-m", "keeper", "run", "--config", str(config)]
    with processes.running(command, log=log, folder=ROOT) as process:
        keeper = Keeper(process, port, feed, store, log, config)
        keeper.wait_until_running()
        yield keeper


@dataclass(slots=True)
class Keeper:
    """A running keeper."""

    process: subprocess.Popen[bytes]
    port: int
    feed: Path
    store: Path
    log: Path
    config: Path

    def say(self, moment: int, prices: Mapping[str, Decimal]) -> None:
        """Let its price feed know the prices from a moment of the chain on."""
        line = {"time": moment, "prices": {asset: f"{price:f}" for asset, price in prices.items()}}
        with self.feed.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def progress(self) -> dict[str, Any]:
        """What `/healthz` tells: head, newest idle block, newest slots, audits."""
        if self.process.poll() is not None:
            raise KeeperError(f"the keeper ended: {processes.tail(self.log)} (see {self._shown()})")
        # loopback never goes through a proxy of the environment
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{HOST}:{self.port}/healthz", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            found = json.load(error)  # 503 when it has not looked at the chain for a while
        return found

    def wait_until_running(self) -> None:
        """Until it serves and has folded the chain. Raises KeeperError."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            with suppress(urllib.error.URLError, OSError):
                if self.progress()["seen_at"] > 0:
                    return
            time.sleep(_POLL_SECONDS)
        raise KeeperError(f"the keeper did not come up: {processes.tail(self.log)}")

    def latencies(self) -> list[float]:
        """Milliseconds from price seen to transaction signed, of every act on a price."""
        with sqlite3.connect(f"file:{self.store}?mode=ro", uri=True) as db:
            rows = db.execute(
                "select latency_ms from transactions where latency_ms is not null"
            ).fetchall()
        return [float(row[0]) for row in rows]

    def _shown(self) -> Path:
        return self.log.relative_to(ROOT)


def _config(node: Node, addresses: Path, prices: str, store: Path, port: int) -> str:
    """What differs from the keeper's own defaults."""
    reporters = ", ".join(str(place) for place in roles.REPORTERS)
    return f"""\
# Written for one run on a development chain. These keys are public: never use them elsewhere.
dry_run = false

[chain]
url = "{node.url}"
chain_id = {CHAIN_ID}
addresses = "{addresses}"

[keys]
dev_mnemonic = "{node.mnemonic}"
dev_index = {roles.KEEPER}

[reporters]
dev_mnemonic = "{node.mnemonic}"
dev_indices = [{reporters}]

[prices]
{prices}

[duties]
debt_sales = true

[policy]
accrue_seconds = 300

[store]
path = "{store}"

[http]
port = {port}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
