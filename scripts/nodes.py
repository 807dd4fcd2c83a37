"""Development nodes: ganache and anvil from node_modules, on loopback, gone when we are.

    with nodes.start("anvil") as node:
        Web3(Web3.HTTPProvider(node.url))

How a node ends with the block, and with this process, is in scripts/processes.py.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scripts import processes

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build" / "logs"

Kind = Literal["ganache", "anvil"]
KINDS: tuple[Kind, ...] = ("ganache", "anvil")

HOST = "127.0.0.1"
MNEMONIC = "test test test test test test test test test test test junk"
CHAIN_ID = 31337
BLOCK_GAS_LIMIT = 30_000_000
HARDFORKS = {"ganache": ("shanghai",), "anvil": ("cancun", "shanghai")}  # the first by default
READY_SECONDS = 60.0
HISTORY_BLOCKS = 500  # whose states anvil keeps: as many as it has in memory anyway


class NodeError(Exception):
    """A node cannot start or is gone; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Node:
    """A running node."""

    kind: Kind
    hardfork: str
    port: int
    accounts: int
    mnemonic: str
    log: Path
    pid: int

    @property
    def url(self) -> str:
        """Where its JSON-RPC answers."""
        return f"http://{HOST}:{self.port}"


@contextmanager
def start(
    kind: str = "anvil",
    *,
    port: int | None = None,
    accounts: int = 20,
    ether: int = 1_000_000,
    mnemonic: str = MNEMONIC,
    hardfork: str | None = None,
    block_seconds: int | None = None,
    block_gas_limit: int = BLOCK_GAS_LIMIT,
) -> Iterator[Node]:
    """Run a node until the block is left.

    port: a free one is taken when none is given.
    accounts, ether: how many accounts of the mnemonic are funded, and with how much each.
    hardfork: ganache knows up to shanghai; anvil runs cancun unless told shanghai.
    block_seconds: mine at this interval; a block per transaction when not given.

    Raises NodeError: Node.js or the node missing, the port taken, no answer in time.
    """
    name = _kind(kind)
    fork = hardfork or HARDFORKS[name][0]
    if fork not in HARDFORKS[name]:
        raise NodeError(f"{name} runs {' or '.join(HARDFORKS[name])} here, not {fork!r}")
    program, port = _program(name), _port(port)
    flags = _flags(
        name,
        port=port,
        accounts=accounts,
        ether=ether,
        mnemonic=mnemonic,
        hardfork=fork,
        block_seconds=block_seconds,
        block_gas_limit=block_gas_limit,
    )
    log = LOGS / f"{name}-{port}.log"
    with processes.running([program, *flags], log=log) as process:
        _wait_until_ready(name, port, process, log)
        yield Node(name, fork, port, accounts, mnemonic, log, process.pid)


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if name == kind:
            return kind
    raise NodeError(f"no node called {name!r}: use {' or '.join(KINDS)}")


def _program(kind: Kind) -> str:
    if shutil.which("node") is None:
        raise NodeError("Node.js is not installed: install version 20 or later (package `nodejs`)")
    program = ROOT / "node_modules" / ".bin" / kind
    if not program.exists():
        raise NodeError(f"{kind} is not in node_modules: run `make setup`")
    return str(program)


def _flags(
    kind: Kind,
    *,
    port: int,
    accounts: int,
    ether: int,
    mnemonic: str,
    hardfork: str,
    block_seconds: int | None,
    block_gas_limit: int,
) -> list[str]:
    options: dict[str, object]
    if kind == "ganache":
        options = {
            "server.host": HOST,
            "server.port": port,
            "chain.chainId": CHAIN_ID,
            "chain.networkId": CHAIN_ID,
            "chain.hardfork": hardfork,
            # one request at a time: transactions of two senders that come together are else
            # mined twice now and then, after which nothing is mined any more
            "chain.asyncRequestProcessing": "false",
            "chain.vmErrorsOnRPCResponse": "true",  # the revert text comes with the refusal
            "miner.blockGasLimit": block_gas_limit,
            "wallet.totalAccounts": accounts,
            "wallet.defaultBalance": ether,
            "wallet.mnemonic": mnemonic,
        }
        interval = "miner.blockTime"
    else:
        options = {
            "host": HOST,
            "port": port,
            "chain-id": CHAIN_ID,
            "hardfork": hardfork,
            "gas-limit": block_gas_limit,
            "accounts": accounts,
            "balance": ether,
            "mnemonic": mnemonic,
            # older states would go to the home folder, gigabytes of them, and stay there when it
            # is killed
            "prune-history": HISTORY_BLOCKS,
        }
        interval = "block-time"
    if block_seconds is not None:
        options[interval] = block_seconds
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]


def _port(wanted: int | None) -> int:
    """The wanted port if nothing listens there, or a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted or 0))
        except OSError as error:
            raise NodeError(
                f"port {wanted} on {HOST} cannot be used ({error.strerror}): "
                "stop the program that has it or choose another port"
            ) from None
        return int(probe.getsockname()[1])


def _wait_until_ready(kind: Kind, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = processes.tail(log)
            raise NodeError(f"{kind} ended at once: {said} (all of it in {log.relative_to(ROOT)})")
        if _answers(port):
            return
        time.sleep(0.05)
    raise NodeError(f"{kind} gave no answer within {READY_SECONDS:.0f} s: {processes.tail(log)}")


def _answers(port: int) -> bool:
    question = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    request = urllib.request.Request(
        f"http://{HOST}:{port}",
        data=json.dumps(question).encode(),
        headers={"content-type": "application/json"},
    )
    # loopback never goes through a proxy of the environment
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=2) as answer:
            return int(json.load(answer)["result"], 16) == CHAIN_ID
    except (OSError, ValueError, KeyError):
        return False
