"""Keepers as processes beside a chain, and a story told to them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keeper.edges.chain import hex_of
from scripts import build, roles
from tests.keeper.devnet import BTC, Devnet, Feed
from tests.keeper.keys import key_at
from tests.keeper.operator import command, run, settings, write

KEEPER = hex_of(key_at(roles.KEEPER).address)
PATIENCE = 60.0  # seconds


def wait(fact: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.01)


class Process:
    """`keeper run` beside the test."""

    def __init__(self, file: Path, *options: str, name: str = "keeper") -> None:
        self.log = file.with_name(f"{name}.log")
        with self.log.open("a") as log:
            self._before = log.tell()  # keepers of one name write one log
            self._process = subprocess.Popen(
                command("run", "--config", str(file), *options), cwd=build.ROOT, stderr=log
            )

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        return self._process.wait(PATIENCE)

    def wait(self) -> int:
        return self._process.wait(PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def leads(self) -> bool:
        """Whether the last that it said of leading is that it does."""
        told = self.log.read_text()[self._before :]
        return told.rfind("event=leading") > told.rfind("standing by")

    def leave_nothing(self) -> None:
        """Also when the test has failed."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)

    def said(self, pattern: str) -> re.Match[str]:
        """The first line of its own log that matches, once there is one."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(re.finditer(pattern, self.log.read_text()[self._before :]))
            return bool(found)

        wait(look)
        return found[0]


Start = Callable[..., Process]


class Chain:
    """A story told to a keeper process."""

    def __init__(self, net: Devnet, folder: Path, changes: Any = None) -> None:
        self.net, self.feed = net, Feed(folder / "feed.jsonl")
        self.file = write(settings(net, folder, changes=changes), folder)
        self._before = 0
        self._before = self.mined()

    def step(self, seconds: int = 10, **prices: float) -> int:
        """Time passes and prices change; returns once the price is on chain."""
        at = self.net.now + seconds
        self.feed.push(at, **prices)
        self.net.warp(seconds)
        wait(lambda: self.net.view("OracleHub", "latest_slot", BTC) >= at)
        return at

    def open(self, number: int, cash: float = 6_000) -> bytes:
        """An isolated long of one BTC, filled by the keeper."""
        account = self.net.account(self.net.accounts[roles.TRADERS[number]], 1)
        self.net.deposit(account, cash)
        self.net.commit(account, BTC, 1)
        self.step(3)
        wait(lambda: self.net.size(account, BTC) == 1)
        return account

    def endow(self) -> None:
        self.step(2)
        provider = self.net.accounts[roles.PROVIDERS[0]]
        self.net.request_entry(provider, 5_000_000)
        self.net.fund_insurance(100_000)
        self.step(self.net.terms.pool.request_delay_seconds + 1)
        wait(lambda: self.net.view("LiquidityPool", "nav") > 0)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            run("status", "--json", "--config", str(self.file)).stdout
        )
        return found

    def mined(self) -> int:
        """Transactions of the keeper in the chain since this story began."""
        count = self.net.chain.request("eth_getTransactionCount", KEEPER, "latest")
        return int(count, 16) - self._before
