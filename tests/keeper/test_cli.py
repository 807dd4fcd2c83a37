"""The command as operators use it: files, exit codes, what doctor finds."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from typer.testing import CliRunner, Result

from keeper import cli
from keeper.config import Config
from keeper.edges.addresses import CONTRACTS
from scripts import nodes
from tests.keeper.devnet import Devnet
from tests.keeper.operator import run, settings, write


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
    assert found["contracts"]["found"] == f"{len(CONTRACTS)} with code"
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
