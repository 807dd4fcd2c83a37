"""The submitter on a real node: nothing lost, nothing doubled, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_abi.abi import encode

from keeper.config import GasSettings
from keeper.edges.acts import Act, Result, Unsafe
from keeper.edges.chain import Chain, bytes_of, hex_of
from keeper.edges.signer import Signer
from keeper.edges.store import Store
from keeper.edges.submitter import Submitter
from scripts import build, nodes
from tests.keeper import proxy
from tests.keeper.conftest import Bench, SteppedClock
from tests.keeper.keys import key_at
from tests.support import abi as coding

MINT = coding.selector("mint", [{"type": "address"}, {"type": "uint256"}])
TRANSFER = coding.selector("transfer", [{"type": "address"}, {"type": "uint256"}])
HOLDERS = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def token(node: nodes.Node) -> bytes:
    """A token that anybody mints: how much an account has tells how often an act was done."""
    chain = Chain(node.url)
    arguments = encode(["string", "string", "uint8"], ["Unit", "U", 0])
    code = build.artifact("TestToken").bytecode + arguments
    sender = hex_of(key_at(19).address)
    sent = chain.request("eth_sendTransaction", {"from": sender, "data": hex_of(code)})
    while (receipt := chain.request("eth_getTransactionReceipt", sent)) is None:
        time.sleep(0.01)
    return bytes_of(receipt["contractAddress"])


class Purse:
    """An address that gets a unit each time the act is done."""

    def __init__(self, token: bytes, chain: Chain) -> None:
        self.token, self.chain = token, chain
        self.address = next(HOLDERS).to_bytes(20, "big")

    def act(self, state: str = "first") -> Act:
        data = MINT + self.address.rjust(32, b"\0") + (1).to_bytes(32, "big")
        return Act("mint", self.address.hex(), state, self.token, data, 100_000)

    def times(self) -> int:
        selector = coding.selector("balanceOf", [{"type": "address"}])
        data = hex_of(selector + self.address.rjust(32, b"\0"))
        call = {"to": hex_of(self.token), "data": data}
        return int(self.chain.request("eth_call", call, "latest"), 16)


@pytest.fixture
def purse(token: bytes, chain: Chain) -> Purse:
    return Purse(token, chain)


@pytest.fixture
def held_back(chain: Chain) -> Iterator[None]:
    """The node mines only when asked."""
    chain.request("evm_setAutomine", False)
    yield
    chain.request("evm_setAutomine", True)
    chain.request("evm_mine")


def submit(bench: Bench, act: Act) -> Result:
    return bench.submitter.submit(act, bench.chain.header("latest"))


def settle(bench: Bench, seconds: float = 10, step: float = 0.5) -> None:
    """Let time pass with a look at every step."""
    until = bench.clock.now + seconds
    while bench.clock.now < until:
        bench.submitter.watch()
        time.sleep(0.005)  # the node mines beside us
        bench.clock.now += step


def test_submit__once_per_state(bench: Bench, purse: Purse) -> None:
    assert submit(bench, purse.act()) is Result.SENT
    assert submit(bench, purse.act()) is Result.KNOWN
    settle(bench)
    assert submit(bench, purse.act()) is Result.KNOWN
    assert submit(bench, purse.act("second")) is Result.SENT
    settle(bench)
    assert purse.times() == 2
    assert bench.store.counts() == {"mint": {"done": 2}}
    assert bench.submitter.in_flight == 0


def test_submit__refused_in_simulation__nothing_is_signed(bench: Bench, purse: Purse) -> None:
    data = TRANSFER + purse.address.rjust(32, b"\0") + (10**9).to_bytes(32, "big")
    act = replace(purse.act(), data=data)
    assert submit(bench, act) is Result.REJECTED
    assert submit(bench, act) is Result.KNOWN
    assert bench.store.counts() == {"mint": {"rejected": 1}}
    assert bench.store.live_transactions(bench.signer.address) == []


def test_submit__simulation_without_use__rejected(bench: Bench, purse: Purse) -> None:
    assert submit(bench, replace(purse.act(), useful=lambda _: False)) is Result.REJECTED
    assert purse.times() == 0


def test_submit__dry_run__signs_and_stores_nothing(bench: Bench, purse: Purse) -> None:
    dry = Submitter(bench.chain, bench.store, bench.metrics, bench.gas, bench.signer.address, None)
    assert dry.submit(purse.act(), bench.chain.header("latest")) is Result.DRY_RUN
    assert purse.times() == 0
    assert bench.store.counts() == {}


def test_send__answer_lost_after_the_node_took_it__done_once(
    node: nodes.Node, store: Store, key: Signer, purse: Purse
) -> None:
    with proxy.before(node.url) as between:
        bench = Bench(Chain(between.url), store, key)
        between.once("eth_sendRawTransaction", proxy.swallow_answer)
        assert submit(bench, purse.act()) is Result.SENT
        settle(bench)
    assert purse.times() == 1
    assert store.counts() == {"mint": {"done": 1}}


def test_send__never_arrived__same_bytes_again_done_once(
    node: nodes.Node, store: Store, key: Signer, purse: Purse
) -> None:
    with proxy.before(node.url) as between:
        bench = Bench(Chain(between.url), store, key)
        between.once("eth_sendRawTransaction", proxy.refuse)
        assert submit(bench, purse.act()) is Result.SENT
        assert purse.times() == 0
        settle(bench)
        assert between.requests.count("eth_sendRawTransaction") == 2
    assert purse.times() == 1
    assert store.counts() == {"mint": {"done": 1}}


def test_nonce__taken_by_another_process__act_is_taken_up_again(
    bench: Bench, purse: Purse, token: bytes, chain: Chain
) -> None:
    other = Purse(token, chain)
    bench.restart()
    foreign = other.act()
    fields = {"chainId": nodes.CHAIN_ID, "nonce": 0, "to": token, "value": 0,
              "data": foreign.data, "gas": 100_000, "maxFeePerGas": 10**11,
              "maxPriorityFeePerGas": 10**9}  # fmt: skip
    chain.request("eth_sendRawTransaction", hex_of(bench.signer.transaction(fields)[1]))
    chain.request("evm_mine")
    assert submit(bench, purse.act()) is Result.SENT  # with the nonce that is gone
    settle(bench)
    assert (other.times(), purse.times()) == (1, 0)
    assert bench.store.counts() == {"mint": {"planned": 1}}
    assert submit(bench, purse.act()) is Result.SENT
    settle(bench)
    assert purse.times() == 1
    assert bench.store.counts() == {"mint": {"done": 1}}


@pytest.mark.usefixtures("held_back")
def test_replace__waits_then_pays_more_with_the_same_nonce(bench: Bench, purse: Purse) -> None:
    assert submit(bench, purse.act()) is Result.SENT
    bench.submitter.watch()
    bench.clock.now += bench.gas.replace_seconds
    bench.submitter.watch()
    first, second = bench.store.live_transactions(bench.signer.address)
    assert first.nonce == second.nonce
    raised = int(second.max_fee) * 100 >= int(first.max_fee) * (100 + bench.gas.bump_percent)
    assert raised
    bench.chain.request("evm_mine")
    bench.submitter.watch()
    assert purse.times() == 1
    assert bench.store.counts() == {"mint": {"done": 1}}
    assert bench.store.live_transactions(bench.signer.address) == []


@pytest.mark.usefixtures("held_back")
def test_replace__bounded_then_cancelled(
    chain: Chain, store: Store, key: Signer, purse: Purse
) -> None:
    bench = Bench(chain, store, key, gas=GasSettings(max_bumps=2))
    assert submit(bench, purse.act()) is Result.SENT
    for _ in range(6):
        bench.clock.now += bench.gas.replace_seconds
        bench.submitter.watch()
    signed = store.live_transactions(key.address)
    assert [len(row.data) > 0 for row in signed] == [True, True, True, False]
    chain.request("evm_mine")
    bench.submitter.watch()
    assert purse.times() == 0
    assert store.counts() == {"mint": {"dropped": 1}}
    assert bench.metrics.capped._value.get() == 1


@pytest.mark.usefixtures("held_back")
def test_replace__never_above_the_cap(
    chain: Chain, store: Store, key: Signer, purse: Purse
) -> None:
    bench = Bench(chain, store, key, gas=GasSettings(max_fee_gwei=3.2, max_bumps=50))
    assert submit(bench, purse.act()) is Result.SENT
    for _ in range(10):
        bench.clock.now += bench.gas.replace_seconds
        bench.submitter.watch()
    assert all(int(row.max_fee) <= 3.2e9 for row in store.live_transactions(key.address))
    assert bench.metrics.capped._value.get() == 1


def test_funds__sender_cannot_pay__stops_and_keeps_the_intent(
    chain: Chain, store: Store, key: Signer, purse: Purse
) -> None:
    bench = Bench(chain, store, key)
    chain.request("anvil_setBalance", hex_of(key.address), "0x1")
    with pytest.raises(Unsafe, match="cannot pay"):
        submit(bench, purse.act())
    chain.request("anvil_setBalance", hex_of(key.address), hex(10**20))
    assert submit(bench, purse.act()) is Result.SENT
    settle(bench)
    assert purse.times() == 1


@pytest.mark.parametrize("depth", [1, 3])
def test_reorg__mined_transaction_is_open_again_and_done_once(
    bench: Bench, purse: Purse, depth: int
) -> None:
    bench.chain.request("anvil_mine", "0x3")
    fork = bench.chain.header("latest").number
    assert submit(bench, purse.act()) is Result.SENT
    settle(bench)
    assert purse.times() == 1
    if depth > 1:
        bench.chain.request("anvil_mine", hex(depth - 1))
    bench.chain.request("anvil_reorg", depth, [])
    assert purse.times() == 0
    bench.submitter.reorged(fork)
    settle(bench)
    assert purse.times() == 1
    assert bench.store.counts() == {"mint": {"done": 1}}


KILLED = """
import os, signal, sys
from pathlib import Path
from keeper.config import GasSettings
from keeper.edges.chain import Chain, bytes_of
from keeper.edges.flights import Flights
from keeper.edges.store import Store
from keeper.edges.submitter import Submitter
from keeper.edges.submitter import Submitter
from keeper.edges.telemetry import Metrics
from keeper.edges.clock import Clock
from keeper.edges.acts import Act
from tests.keeper.keys import key_at

url, path, index, point, to, data = sys.argv[1:]
def die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)
def then_die(method):
    def both(*args, **kwargs):
        method(*args, **kwargs)
        die()
    return both

chain, store, signer = Chain(url), Store(Path(path)), key_at(int(index))
flights = Flights(chain, store, Clock(), Metrics(), GasSettings(), 31337, signer)
submitter = Submitter(chain, store, Metrics(), GasSettings(), signer.address, flights)
submitter.recover()
if point == "intended": store.intend = then_die(store.intend)
if point == "signed": store.add_transaction = die
if point == "stored": store.add_transaction = then_die(store.add_transaction)
request = chain.request
def send_then_die(method, *params):
    answer = request(method, *params)
    if method == "eth_sendRawTransaction": die()
    return answer
if point == "sent": chain.request = send_then_die
submitter.submit(Act("mint", "s", "x", bytes_of(to), bytes_of(data), 100_000),
                 chain.header("latest"))
"""


@pytest.mark.parametrize("point", ["intended", "signed", "stored", "sent"])
def test_killed__between_intent_and_receipt__never_lost_never_doubled(
    node: nodes.Node, chain: Chain, store: Store, purse: Purse, tmp_path: Path, point: str
) -> None:
    index = {"intended": 15, "signed": 16, "stored": 17, "sent": 18}[point]
    act = replace(purse.act("x"), subject="s")
    arguments = [node.url, str(tmp_path / "keeper.sqlite"), str(index), point,
                 hex_of(act.to), hex_of(act.data)]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], cwd=build.ROOT, env={**os.environ}
    )
    assert ended.returncode == -signal.SIGKILL

    bench = Bench(chain, store, key_at(index), SteppedClock())
    settle(bench)
    outcome = submit(bench, act)
    assert outcome is (Result.SENT if point in ("intended", "signed") else Result.KNOWN)
    settle(bench)
    assert purse.times() == 1
    assert store.counts() == {"mint": {"done": 1}}
