"""The command as operators use it: files, exit codes, processes that are killed."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from typer.testing import CliRunner, Result

from keeper import cli
from keeper.config import Config
from keeper.edges import abi
from keeper.edges.chain import hex_of
from scripts import build, nodes, roles
from tests.keeper.conftest import key_at
from tests.keeper.devnet import BTC, PRICES, Devnet, Feed
from tests.keeper.operator import command, run, settings, write

KEEPER = hex_of(key_at(roles.KEEPER).address)
PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module")
def node() -> Iterator[nodes.Node]:
    with nodes.start("anvil", accounts=24) as running:
        yield running


@pytest.fixture
def net(node: nodes.Node) -> Devnet:
    return Devnet(node)


def ask(*arguments: str) -> Result:
    """A command that only answers, in this process."""
    return CliRunner().invoke(cli.app, list(arguments))


def wait(fact: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.01)


class Process:
    """`keeper run` beside the test."""

    def __init__(self, file: Path, *options: str) -> None:
        self.log = file.with_suffix(".log")
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                command("run", "--config", str(file), *options), cwd=build.ROOT, stderr=log
            )

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        return self._process.wait(PATIENCE)

    def wait(self) -> int:
        return self._process.wait(PATIENCE)

    def said(self, pattern: str) -> re.Match[str]:
        """The first line of its log that matches, once there is one."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(re.finditer(pattern, self.log.read_text()))
            return bool(found)

        wait(look)
        return found[0]


# files


def test_init__writes_what_doctor_and_run_accept_and_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "keeper.toml"
    assert ask("init", "--config", str(file)).exit_code == 0
    again = ask("init", "--config", str(file))
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert ask("init", "--config", str(file), "--devnet", "--force").exit_code == 0
    assert 'source = "generator"' in file.read_text()


@pytest.mark.parametrize("verb", ["run", "doctor", "scan", "status"])
def test_config__wrong_key__exit_2_with_file_key_value(tmp_path: Path, verb: str) -> None:
    file = tmp_path / "keeper.toml"
    file.write_text("[gas]\nmax_fee = 3\n")
    done = ask(verb, "--config", str(file))
    assert done.exit_code == 2
    assert f"{file}: gas.max_fee = 3: unknown key; did you mean max_fee_gwei?" in done.stderr


def test_config_schema__is_json_schema() -> None:
    schema = json.loads(ask("config-schema").stdout)
    assert schema["properties"]["dry_run"]["default"] is True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_chain__not_there__exit_3(net: Devnet, tmp_path: Path) -> None:
    given = settings(net, tmp_path, url=f"http://127.0.0.1:{free_port()}")
    file = write(given, tmp_path)
    done = run("run", "--config", str(file))
    assert done.returncode == 3
    assert "check chain.url" in done.stderr
    assert "Traceback" not in done.stderr
    assert ask("doctor", "--config", str(file)).exit_code == 3


def test_chain__of_another_id__exit_2(net: Devnet, tmp_path: Path) -> None:
    file = write(settings(net, tmp_path, changes={"chain": {"chain_id": 1337}}), tmp_path)
    done = run("run", "--config", str(file))
    assert done.returncode == 2
    assert "the endpoint is of chain 31337, chain.chain_id says 1337" in done.stderr


def test_port__taken__one_sentence(net: Devnet, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        file = write(settings(net, tmp_path, changes={"http": {"port": port}}), tmp_path)
        done = run("run", "--config", str(file))
    assert done.returncode == 2
    assert f"http.port = {port}: cannot listen there" in done.stderr


# doctor


def doctor(given: Config, folder: Path) -> tuple[int, dict[str, dict[str, str]]]:
    done = ask("doctor", "--json", "--config", str(write(given, folder)))
    return done.exit_code, {one["check"]: one for one in json.loads(done.stdout)}


def test_doctor__all_well(net: Devnet, tmp_path: Path) -> None:
    code, found = doctor(settings(net, tmp_path), tmp_path)
    assert code == 0
    assert found["contracts"]["found"] == "9 with code"
    assert found["reporters"]["found"] == "5 keys, a quorum is 3"
    assert found["price BTC"]["mark"] == "warning"  # nothing was posted yet
    assert all(one["fix"] for one in found.values() if one["mark"] != "ok")
    assert {one["mark"] for name, one in found.items() if not name.startswith("price")} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "check", "says", "fix"),
    [
        ({"chain": {"chain_id": 5777}}, "chain id", "31337, expected 5777", "chain.url"),
        ({"reporters": {"dev_indices": [3, 4, 5, 20]}}, "reporters", "not listed", "governor"),
        ({"reporters": {"dev_indices": [3]}}, "reporters", "1 keys, a quorum is 3", "add keys"),
        ({"reporters": {"dev_indices": []}}, "reporters", "no keys", "duties.prices"),
        ({"keys": {"dev_mnemonic": "not a mnemonic"}}, "key", "BIP-39", "keys.keystore"),
        ({"prices": {"source": "csv", "path": "/none.csv"}}, "price source", "cannot be read",
         "[prices]"),
        ({"chain": {"addresses": "/none.json"}}, "address book", "deploy first", "deploy"),
        ({"store": {"path": "/proc/keeper.sqlite"}}, "store", "not writable", "store.path"),
    ],
)  # fmt: skip
def test_doctor__names_the_fault_and_the_fix(
    net: Devnet, tmp_path: Path, changes: Any, check: str, says: str, fix: str
) -> None:
    code, found = doctor(settings(net, tmp_path, changes=changes), tmp_path)
    assert code == 2
    assert found[check]["mark"] == "failed"
    assert says in found[check]["found"]
    assert fix in found[check]["fix"]


def test_doctor__balance_and_contracts(net: Devnet, tmp_path: Path) -> None:
    given = settings(net, tmp_path, changes={"keys": {"dev_index": 400}})
    book = json.loads(given.chain.addresses.read_text())
    book["contracts"]["Orders"] = "0x" + "12" * 20
    code, found = doctor(given, tmp_path)
    assert (code, found["balance"]["mark"]) == (2, "failed")
    given.chain.addresses.write_text(json.dumps(book))
    code, found = doctor(given, tmp_path)
    assert found["contracts"]["found"] == "no code at Orders"


def test_keystore__opened_with_its_password_file(net: Devnet, tmp_path: Path) -> None:
    key = Account.from_key(b"\x07" * 32)
    (tmp_path / "key.json").write_text(json.dumps(Account.encrypt(key.key, "secret", iterations=2)))
    (tmp_path / "password").write_text("secret\n")
    keys = {"dev_mnemonic": None, "keystore": str(tmp_path / "key.json"),
            "password_file": str(tmp_path / "password")}  # fmt: skip
    given = settings(net, tmp_path, changes={"keys": keys})
    _, found = doctor(given, tmp_path)
    assert found["key"]["found"] == key.address
    (tmp_path / "password").write_text("wrong")
    code, found = doctor(given, tmp_path)
    assert code == 2
    assert "not its own" in found["key"]["found"]
    assert "secret" not in json.dumps(found)


# running


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
            ask("status", "--json", "--config", str(self.file)).stdout
        )
        return found

    def mined(self) -> int:
        """Transactions of the keeper in the chain since this story began."""
        count = self.net.chain.request("eth_getTransactionCount", KEEPER, "latest")
        return int(count, 16) - self._before


@pytest.fixture
def chain(net: Devnet, tmp_path: Path) -> Chain:
    return Chain(net, tmp_path)


def get(port: int, path: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        content: bytes = answer.read()
    return content.decode()


def test_run__serves_stops_on_sigterm_and_tells_what_it_did(chain: Chain) -> None:
    keeper = Process(chain.file)
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
        assert ask(verb, "--config", str(chain.file)).exit_code == 0
    assert "BTC-PERP" in run("scan", "--config", str(chain.file)).stdout
    log = keeper.log.read_text()
    assert nodes.MNEMONIC not in log
    assert "127.0.0.1" not in log
    assert "Traceback" not in log


def test_run__killed_in_the_middle_again_and_again__nothing_lost_nothing_doubled(
    chain: Chain,
) -> None:
    """SIGKILL while prices, orders and liquidations are on their way; then to rest."""
    keeper = Process(chain.file)
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
        keeper = Process(chain.file)
        wait(lambda at=at: chain.net.view("OracleHub", "latest_slot", BTC) >= at)  # type: ignore[misc]
    wait(lambda: not any(chain.net.view("Liquidator", "liquidatable", one) for one in accounts))
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


def test_run__until_a_time__stops_by_itself(chain: Chain) -> None:
    keeper = Process(chain.file, "--until", str(chain.net.now + 20))
    chain.step(5)
    chain.net.warp(30)
    assert keeper.wait() == 0


def test_run__reporter_struck_off__stops_for_safety(chain: Chain) -> None:
    """Its posts revert: the first costs gas, the second is simulated, and it stops."""
    net = chain.net
    keeper = Process(chain.file)
    chain.step(2)
    net.act(net.accounts[roles.DEPLOYER], "OracleHub", "remove_reporter", net.reporters[0], 3)
    for _ in range(2):
        chain.feed.push(net.now + 5)
        net.warp(5)
        time.sleep(0.3)
    assert keeper.wait() == 4
    assert "oracle: not a reporter" in keeper.log.read_text()
