"""The story on a real node: contracts, keeper and people, from the deployment to the last exit.

Each test reads the record of one telling, which a process of its own has played.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from scripts import deploy, nodes, price_paths
from scripts.nodes import ROOT
from scripts.story.record import Record
from scripts.story.troupe import Telling, TellingError, tell_all

STEPS = 24
SEED = 11
FIGURES = (
    "network", "node", "blocks", "prices_applied", "orders_executed", "funding_updates",
    "margin_calls", "liquidations", "accounts_liquidated", "bad_debt", "insurance_before",
    "insurance_after", "pool_nav_before", "pool_nav_after", "ledger_difference",
    "reference_drift", "keeper_latency_ms", "withdrawn_everything", "gas",
)  # fmt: skip


@pytest.fixture(scope="module")
def node() -> str:
    return os.environ["BALLAST_NODE"]


@pytest.fixture(scope="module")
def record(node: str) -> Record:
    path = price_paths.generate(seed=SEED, steps=STEPS)
    (told,) = tell_all([Telling(node, f"test-{node}", path, "a test")], lambda *_: None)
    return told


def figure(record: Record, name: str) -> Any:
    return record.figures[name]


def test_crash_liquidates_before_bad_debt(record: Record) -> None:
    assert figure(record, "accounts_liquidated") > 10
    closed = sum(event.notional for event in record.liquidations)
    assert figure(record, "bad_debt") < closed / 1_000  # prices of this path stand minutes apart
    assert figure(record, "insurance_after") > figure(record, "insurance_before")


def test_crash_liquidates_nobody_who_is_healthy(record: Record) -> None:
    assert len(record.liquidations) == figure(record, "liquidations")
    assert all(event.health < 1 for event in record.liquidations)


def test_story_keeps_every_unit(record: Record) -> None:
    assert figure(record, "ledger_difference") == 0
    assert figure(record, "reference_drift") == 0


def test_story_pays_everybody_out(record: Record) -> None:
    assert figure(record, "withdrawn_everything") is True


def test_story_is_told_by_sixty_accounts_of_every_kind(record: Record) -> None:
    lines = record.accounts
    assert len(lines) >= 60
    assert {line.mode for line in lines} == {"cross", "isolated"}
    traded = " ".join(line.opened for line in lines)
    for side in ("long", "short"):
        for asset in ("BTC", "ETH", "SOL"):
            assert f"{side} {asset}-PERP" in traded
    assert min(line.leverage for line in lines) == pytest.approx(2)
    assert max(line.leverage for line in lines) > 9
    assert {"WETH" in line.collateral for line in lines} == {True, False}
    assert any("owes" in line.collateral for line in lines)
    assert figure(record, "orders_executed") > len(lines)


def test_keeper_does_all_its_duties(record: Record) -> None:
    assert figure(record, "prices_applied") >= 3 * STEPS
    assert figure(record, "funding_updates") > 0
    assert figure(record, "margin_calls") > 0
    assert figure(record, "keeper_latency_ms")["p50"] > 0


def test_figures__named_as_promised(record: Record) -> None:
    assert tuple(record.figures) == FIGURES
    assert set(figure(record, "gas")) >= {"deposit", "order_commit", "price_post", "withdraw"}


def test_no_such_node__named() -> None:
    path = price_paths.generate(seed=SEED, steps=STEPS)
    with pytest.raises(TellingError, match="no node called 'geth': use ganache or anvil"):
        tell_all([Telling("geth", "test-geth", path, "a test")], lambda *_: None)


# -- the commands -----------------------------------------------------------------------------


def start(module: str, *arguments: str) -> subprocess.Popen[str]:
    # a session of its own, as in a terminal: what it leaves behind is found by it
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def running_with(word: str) -> list[str]:
    """Command lines of processes that mention a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            if word in line:
                found.append(line)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_interrupted__leaves_no_process(node: str, number: signal.Signals) -> None:
    folder = ROOT / "build" / "demo" / node
    config = folder / "keeper.toml"
    config.unlink(missing_ok=True)
    demo = start("scripts.demo", "--node", node, "--steps", "20")
    deadline = time.monotonic() + 120
    while not running_with(str(config)):
        assert demo.poll() is None, demo.stdout and demo.stdout.read()
        assert time.monotonic() < deadline, "the keeper never ran"
        time.sleep(0.1)
    url = next(line for line in config.read_text().splitlines() if line.startswith("url"))
    port = url.rstrip('"').rpartition(":")[2]
    assert running_with(f"port {port}")

    demo.send_signal(number)
    assert demo.wait(60) == 130
    assert running_with(str(config)) == []
    assert running_with(f"port {port}") == []


def test_demo_with_a_malformed_file__names_the_line(node: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("time,asset,price\n1700000000,BTC,43000\n1700000060,BTC,abc\n")
    demo = start("scripts.demo", "--node", node, "--prices", str(path))
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert f"{path}:3: price 'abc' is not a number" in said.replace("\n", " ").replace("  ", " ")


def test_devnet__answers_and_goes(node: str) -> None:
    with socket.socket() as probe:
        probe.bind((nodes.HOST, 0))
        port = int(probe.getsockname()[1])
    devnet = start("scripts.devnet", "--node", node, "--port", str(port))
    assert devnet.stdout is not None
    said = ""
    for line in devnet.stdout:
        said += line
        if "Ctrl-C stops it all" in line:
            break
    assert "0x701b615bbdfb9de65240bc28bd21bbc0d996645a3dd57e7b12bc2bdf6f192c82" in said
    chain = Web3(HTTPProvider(f"http://{nodes.HOST}:{port}"))
    book = deploy.read("devnet")
    assert book is not None
    assert chain.eth.chain_id == book.chain_id
    assert all(chain.eth.get_code(chain.to_checksum_address(a)) for a in book.contracts.values())
    seen = chain.eth.block_number
    time.sleep(8)
    assert chain.eth.block_number > seen, "its clock goes on"

    devnet.send_signal(signal.SIGINT)
    assert devnet.wait(60) == 0
    assert running_with(f"port {port}") == []
