"""Development nodes: ganache and anvil from node_modules, on loopback, gone when we are.

    with nodes.start("anvil") as node:
        Web3(Web3.HTTPProvider(node.url))

A node lives in a process group of its own. The group is ended when the block is left, also by
Ctrl-C or SIGTERM; should this process be killed outright, a watcher on its pipe ends the group.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
STOP_SECONDS = 5.0


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
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}-{port}.log"
    with _signals_as_interrupt(), log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _WATCHER, program, *flags],
            stdin=subprocess.PIPE,  # its end of file tells the watcher that we are gone
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_ready(name, port, process, log)
            yield Node(name, fork, port, accounts, mnemonic, log, process.pid)
        finally:
            _stop(process)


# The node's parent and leader of its process group: ends the group when our end of the pipe
# closes, however that came about, and passes on the node's own exit.
_WATCHER = """
import os, signal, subprocess, sys, threading
signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
node = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def watch():
    while os.read(0, 1): pass
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
sys.exit(node.wait())
"""


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
            raise NodeError(
                f"{kind} ended at once: {_tail(log)} (all of it in {log.relative_to(ROOT)})"
            )
        if _answers(port):
            return
        time.sleep(0.05)
    raise NodeError(f"{kind} gave no answer within {READY_SECONDS:.0f} s: {_tail(log)}")


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


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group, firmly if it does not go by itself."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
        break
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """SIGINT and SIGTERM both raise KeyboardInterrupt, so that `finally` runs.

    SIGINT too, since a shell starts its background jobs with it ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers: whoever has it decides
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
