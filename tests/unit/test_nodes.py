"""Development nodes start as asked, say what is wrong, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from web3 import Web3

from scripts import nodes


def _group_is_gone(group: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("kind", nodes.KINDS)
def test_start__funded_accounts_and_gas_limit_as_asked(kind: str) -> None:
    with nodes.start(kind, accounts=12, ether=77) as node:
        chain = Web3(Web3.HTTPProvider(node.url))
        assert chain.eth.chain_id == nodes.CHAIN_ID
        assert len(chain.eth.accounts) == 12
        assert chain.eth.get_balance(chain.eth.accounts[-1]) == 77 * 10**18
        assert chain.eth.get_block("latest")["gasLimit"] == nodes.BLOCK_GAS_LIMIT
    assert _group_is_gone(node.pid)


def test_start__interval__mines_without_transactions() -> None:
    with nodes.start("anvil", block_seconds=1) as node:
        chain = Web3(Web3.HTTPProvider(node.url))
        deadline = time.monotonic() + 10
        while chain.eth.block_number == 0:
            assert time.monotonic() < deadline, "no block was mined"
            time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_start__we_are_ended__the_node_ends_too(number: signal.Signals) -> None:
    program = (
        "import time; from scripts import nodes\n"
        "with nodes.start('anvil') as node: print(node.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=nodes.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        group = int(process.stdout.readline())
        process.send_signal(number)
        assert _group_is_gone(group)


def test_start__port_taken__says_so() -> None:
    with socket.socket() as taken:
        taken.bind((nodes.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(nodes.NodeError, match=f"port {port} .* choose another port"),
            nodes.start("anvil", port=port),
        ):
            pass


def test_start__wrong_kind_or_hardfork__names_the_choices() -> None:
    with pytest.raises(nodes.NodeError, match="use ganache or anvil"), nodes.start("geth"):
        pass
    with (
        pytest.raises(nodes.NodeError, match="ganache runs shanghai here, not 'cancun'"),
        nodes.start("ganache", hardfork="cancun"),
    ):
        pass


def test_start__no_node_js__says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(nodes.NodeError, match="install version 20"), nodes.start("anvil"):
        pass
