"""The keeper as a process beside a chain: served, stopped, killed, struck off."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.edges import abi
from keeper.edges.chain import hex_of
from scripts import nodes, roles
from tests.keeper.beside import Chain, Start, wait
from tests.keeper.devnet import BTC, PRICES, Devnet
from tests.keeper.operator import run


@pytest.fixture(scope="module")
def node() -> Iterator[nodes.Node]:
    with nodes.start("anvil", accounts=24) as running:
        yield running


@pytest.fixture
def net(node: nodes.Node) -> Devnet:
    return Devnet(node)


@pytest.fixture
def chain(net: Devnet, tmp_path: Path) -> Chain:
    return Chain(net, tmp_path)


def get(port: int, path: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        content: bytes = answer.read()
    return content.decode()


def test_run__serves_stops_on_sigterm_and_tells_what_it_did(chain: Chain, start: Start) -> None:
    keeper = start(chain.file)
    chain.endow()
    account = chain.open(0)
    port = int(keeper.said(r"event=serving port=(\d+)")[1])
    health = json.loads(get(port, "/healthz"))
    assert health["status"] == "ok"
    assert health["prices"].keys() == PRICES.keys()
    chain.step(BTC=57_000)
    wait(lambda: chain.net.size(account, BTC) < 1)
    head = chain.net.chain.header("latest").number
    wait(lambda: json.loads(get(port, "/healthz"))["idle"] >= head)
    metrics = get(port, "/metrics")
    for name in ("ballast_ledger_difference 0.0", "ballast_reference_drift 0.0",
                 'ballast_accounts{state="liquidatable"} 0.0'):  # fmt: skip
        assert name in metrics
    assert keeper.end(signal.SIGTERM) == 0
    found = chain.status()
    assert found["intents"]["liquidate"] == {"done": 1}
    assert found["progress"]["indexed"] == chain.net.chain.header("latest").number
    assert 0 < found["latency_ms"]["post"]["p50"] <= found["latency_ms"]["post"]["p99"]
    assert found["latency_ms"]["liquidate"]["count"] == 1
    (row,) = [
        one
        for one in json.loads(run("scan", "--json", "--config", str(chain.file)).stdout)
        if one["account"] == hex_of(account)
    ]
    assert row["health"] > 1
    assert row["positions"][0]["instrument"] == "BTC-PERP"
    for verb in ("status", "doctor"):
        assert run(verb, "--config", str(chain.file)).returncode == 0
    assert "BTC-PERP" in run("scan", "--config", str(chain.file)).stdout
    log = keeper.log.read_text()
    assert nodes.MNEMONIC not in log
    assert "127.0.0.1" not in log
    assert "Traceback" not in log


def test_run__killed_in_the_middle_again_and_again__nothing_lost_nothing_doubled(
    chain: Chain, start: Start
) -> None:
    """SIGKILL while prices, orders and liquidations are on their way; then to rest."""
    keeper = start(chain.file)
    chain.endow()
    accounts = [chain.open(i, cash=5_500 + 500 * i) for i in range(4)]
    price = 60_000.0
    for place in range(4):
        price -= 1_000
        at = chain.net.now + 10
        chain.feed.push(at, BTC=price)
        chain.net.warp(10)
        time.sleep(0.03 * place)
        assert keeper.end(signal.SIGKILL) == -signal.SIGKILL
        keeper = start(chain.file)
        wait(lambda at=at: chain.net.view("OracleHub", "latest_slot", BTC) >= at)  # type: ignore[misc]
    wait(lambda: not any(chain.net.view("Liquidator", "liquidatable", one) for one in accounts))
    keeper.said("event=running")  # before that it has no handler of signals
    time.sleep(0.5)
    assert keeper.end(signal.SIGTERM) == 0
    found = chain.status()
    assert found["progress"]["in_flight"] == 0
    counts = found["intents"]
    assert not any("sent" in by or "failed" in by for by in counts.values()), counts
    # each nonce in the chain is one intent that is done: none twice, none unaccounted for
    assert chain.mined() == sum(by.get("done", 0) for by in counts.values())
    slots = [
        (log["topics"][1], log["data"][2:66])
        for log in chain.net.chain.request(
            "eth_getLogs",
            {"fromBlock": hex(chain.net.first_block), "address": chain.net.where["OracleHub"],
             "topics": [_topic("PricePosted")]},
        )
    ]  # fmt: skip
    assert len(slots) == len(set(slots))
    assert found["progress"]["ledger_difference"] == 0


def _topic(name: str) -> str:
    events = abi.contract("OracleHub").events
    return next(hex_of(topic) for topic, event in events.items() if event.name == name)


def test_run__until_a_time__stops_by_itself(chain: Chain, start: Start) -> None:
    keeper = start(chain.file, "--until", str(chain.net.now + 20))
    chain.step(5)
    chain.net.warp(30)
    assert keeper.wait() == 0


def test_run__reporter_struck_off__stops_for_safety(chain: Chain, start: Start) -> None:
    """Its posts revert: the first costs gas, the second is simulated, and it stops."""
    net = chain.net
    keeper = start(chain.file)
    chain.step(2)
    net.act(net.accounts[roles.DEPLOYER], "OracleHub", "remove_reporter", net.reporters[0], 3)
    for _ in range(2):
        chain.feed.push(net.now + 5)
        net.warp(5)
        time.sleep(0.3)
    assert keeper.wait() == 4
    assert "oracle: not a reporter" in keeper.log.read_text()
