"""Following a real chain: reorganisations, refused ranges, nodes that contradict themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keeper.core import snapshot
from keeper.core.index import Checkpoint, Index, RolledTooFar
from keeper.core.types import AccountId
from keeper.edges import addresses, parameters
from keeper.edges.chain import Chain, Unreachable
from keeper.edges.events import Follower
from keeper.edges.parameters import Views
from keeper.edges.telemetry import Metrics
from scripts import nodes
from tests.keeper import proxy
from tests.keeper.devnet import Devnet


@pytest.fixture(scope="module")
def net() -> Iterator[Devnet]:
    """A chain of its own: these tests rewrite its past."""
    with nodes.start("anvil", accounts=24) as node:
        yield Devnet(node)


class Reader:
    """An index that follows a chain through some endpoint."""

    def __init__(self, net: Devnet, tmp_path: Path, url: str | None = None, log_range: int = 2000,
                 depth: int = 256) -> None:  # fmt: skip
        self.net = net
        self.chain = Chain(url or net.node.url)
        self.book = addresses.load(net.write_addresses(tmp_path / "addresses.json"))
        self.metrics = Metrics()
        self.follower = Follower(self.chain, self.book, self.metrics, log_range)
        self.index = self.fresh(depth)

    def fresh(self, depth: int = 256) -> Index:
        """An index at the deployment."""
        head = self.net.chain.header("latest")
        index = Index(parameters.read(Views(self.net.chain, self.book), head), depth)
        start = self.net.chain.header(self.book.block)
        index.start_at(Checkpoint(start.number, start.hash, start.timestamp))
        return index

    def follow(self) -> int | None:
        return self.follower.follow(self.index, self.chain.header("latest"))

    def agrees(self) -> None:
        """Its state is that of an index folded anew, block by block, from the true chain."""
        anew = self.fresh()
        follower = Follower(self.net.chain, self.book, Metrics(), 10_000)
        follower.follow(anew, self.net.chain.header("latest"))
        assert snapshot.dump(self.index) == snapshot.dump(anew)
        at = self.index.checkpoint
        assert at is not None
        assert at.hash == self.net.chain.header("latest").hash


@pytest.fixture
def reader(net: Devnet, tmp_path: Path) -> Reader:
    return Reader(net, tmp_path)


def some_deposits(net: Devnet, count: int, first: int = 0) -> None:
    for i in range(count):
        net.deposit(net.account(net.accounts[12 + (first + i) % 12], i), 100 + i)


def test_follow__from_the_deployment_to_the_head(net: Devnet, reader: Reader) -> None:
    some_deposits(net, 3)
    assert reader.follow() is None
    reader.agrees()
    held = sum(record.cash for _, record in reader.index.accounts.items())
    assert held >= (100 + 101 + 102) * 10**18


@pytest.mark.parametrize("depth", [1, 3, 10, 64])
def test_follow__reorg__back_to_the_common_block_and_on(
    net: Devnet, reader: Reader, depth: int
) -> None:
    """Acts in the blocks that go are gone; acts in the blocks that come are there."""
    net.chain.request("anvil_mine", "0x1")
    reader.follow()
    before = snapshot.dump(reader.index)
    common = net.chain.header("latest").number
    account = net.account(net.accounts[12], 77)
    net.deposit(account, 5_000)
    made = net.chain.header("latest").number - common
    if depth > made:
        net.chain.request("anvil_mine", hex(depth - made))
    reader.follow()
    assert reader.index.accounts[AccountId(account)].cash >= 5_000 * 10**18
    gone = net.chain.header("latest").number - common
    net.chain.request("anvil_reorg", gone, [])
    forked = reader.follow()
    assert forked == common
    assert snapshot.dump(reader.index) == before
    some_deposits(net, 2, first=3)
    reader.follow()
    reader.agrees()
    assert reader.metrics.reorgs._value.get() == 1


def test_follow__reorg_while_away__seen_by_the_checkpoint(net: Devnet, reader: Reader) -> None:
    """The head is many blocks further and says nothing of its past: the checkpoint's block does."""
    net.chain.request("anvil_mine", "0x2")
    reader.follow()
    some_deposits(net, 2, first=5)
    reader.follow()
    net.chain.request("anvil_reorg", 4, [])
    net.chain.request("anvil_mine", "0x8")
    some_deposits(net, 1, first=8)
    assert reader.follow() is not None
    reader.agrees()


def test_follow__reorg_deeper_than_remembered__refused(net: Devnet, tmp_path: Path) -> None:
    reader = Reader(net, tmp_path, depth=3)
    reader.follow()
    for i in range(2):
        some_deposits(net, 1, first=i)  # three blocks
        reader.follow()
    net.chain.request("anvil_mine", "0x3")
    for back in (2, 1, 0):
        latest = net.chain.header("latest").number
        reader.follower.follow(reader.index, net.chain.header(latest - back))
    net.chain.request("anvil_reorg", 5, [])
    with pytest.raises(RolledTooFar):
        reader.follow()


def test_follow__node_that_lags__nothing_is_taken_back(net: Devnet, reader: Reader) -> None:
    net.chain.request("anvil_mine", "0x5")
    reader.follow()
    before = reader.index.checkpoint
    older = net.chain.header(net.chain.header("latest").number - 3)
    for number in range(older.number, older.number + 4):
        reader.follower.follow(reader.index, net.chain.header(number))
    assert reader.index.checkpoint == before


def test_follow__range_refused__halved_and_remembered(net: Devnet, tmp_path: Path) -> None:
    """An endpoint that answers for at most 7 blocks at a time."""

    def stingy(methods: list[str], ask: proxy.Ask) -> bytes | None:
        answer = json.loads(ask())
        if "eth_getLogs" in methods and _span(between.bodies[-1]) > 7:
            place = methods.index("eth_getLogs")
            answer[place] = {
                "jsonrpc": "2.0",
                "id": answer[place]["id"],
                "error": {"code": -32005, "message": "query exceeds max block range"},
            }
        return json.dumps(answer).encode()

    with proxy.before(net.node.url) as between:
        between.fault = stingy
        reader = Reader(net, tmp_path, url=between.url, log_range=64)
        refusals = 0
        for _ in range(200):
            try:
                reader.follow()
            except Unreachable:
                refusals += 1
                continue
            break
        reader.agrees()
    assert refusals == 4  # 64, 32, 16, 8; then 4, and up to 7


def _span(body: Any) -> int:
    for one in body:
        if one["method"] == "eth_getLogs":
            wanted = one["params"][0]
            return int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1
    return 0


def test_follow__logs_of_another_block__not_believed(net: Devnet, tmp_path: Path) -> None:
    """A node behind the endpoint answers with logs whose block hash is not the chain's."""
    some_deposits(net, 1)

    def forked(methods: list[str], ask: proxy.Ask) -> bytes | None:
        answer = json.loads(ask())
        if "eth_getLogs" in methods:
            for log in answer[methods.index("eth_getLogs")]["result"]:
                log["blockHash"] = "0x" + "ab" * 32
        return json.dumps(answer).encode()

    with proxy.before(net.node.url) as between:
        between.fault = forked
        reader = Reader(net, tmp_path, url=between.url)
        before = snapshot.dump(reader.index)
        with pytest.raises(Unreachable, match=r"another block|changed while"):
            reader.follow()
        assert snapshot.dump(reader.index) == before
        between.fault = proxy.honest
        reader.follow()
        reader.agrees()


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"<html>502</html>", b'{"jsonrpc": "2.0"}', b"[]", b'{"cut'],
    ids=["empty", "null", "html", "no result", "empty batch", "cut"],
)
def test_follow__garbage__unreachable_and_nothing_changed(
    net: Devnet, tmp_path: Path, body: bytes
) -> None:
    with proxy.before(net.node.url) as between:
        reader = Reader(net, tmp_path, url=between.url)
        between.fault = lambda *_: body
        before = snapshot.dump(reader.index)
        with pytest.raises(Unreachable):
            reader.follow()
        assert snapshot.dump(reader.index) == before
        between.fault = proxy.honest
        reader.follow()
        reader.agrees()


def test_snapshot__from_a_store__goes_on_from_there(net: Devnet, reader: Reader) -> None:
    reader.follow()
    content, at = snapshot.dump(reader.index), reader.index.checkpoint
    assert at is not None
    some_deposits(net, 2, first=6)
    resumed = reader.fresh()
    snapshot.load(resumed, content)
    resumed.start_at(at)
    reader.index = resumed
    reader.follow()
    reader.agrees()
