"""The index against the reference model: a random walk on the real bytecode, told by its logs.

The walk's model is equal to the contracts to the last unit (tests/stateful); here the index sees
nothing of the acts but the logs that the bytecode emits, and must hold the same state.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from keeper.core import snapshot
from keeper.core.accounts import Account, mode_of
from keeper.core.fold import Constants, Log
from keeper.core.index import Checkpoint, Index, RolledTooFar
from keeper.core.protocol import clearing
from keeper.core.protocol.state import State
from keeper.core.types import AccountId, Address, Level, Refused
from keeper.edges import abi
from tests.stateful import scene
from tests.stateful.chooser import Chooser
from tests.stateful.twin import Act
from tests.support.evm import Evm

ACTS = 1_500


@dataclass
class Recorder:
    """Logs of every transaction of an in-process chain; each transaction is a block here."""

    blocks: list[list[tuple[str, list[bytes], bytes]]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        plain = Evm.transact

        def recorded(evm: Evm, *args: Any, **more: Any) -> bytes:
            answer = plain(evm, *args, **more)
            logs = [(log.address.lower(), *log.data) for log in evm._result.logs]
            self.blocks.append(logs)
            self.times.append(evm.timestamp)
            return answer

        patch.setattr(Evm, "transact", recorded)

    def decoded(self, number: int, events: dict[tuple[str, bytes], abi.Event]) -> Iterator[Log]:
        for place, (address, topics, data) in enumerate(self.blocks[number]):
            event = events.get((address, bytes(topics[0])))
            if event is not None:
                values = event.values([bytes(one) for one in topics], bytes(data))
                yield Log(event.name, values, number, self.times[number], place)


@dataclass
class Story:
    """A walk: its model, its logs, and a digest of the index after every block."""

    state: State
    accounts: list[AccountId]
    constants: Constants
    recorder: Recorder
    events: dict[tuple[str, bytes], abi.Event]

    def checkpoint(self, number: int) -> Checkpoint:
        return Checkpoint(number, number.to_bytes(32, "big"), self.recorder.times[number])

    def fold(self, index: Index, until: int) -> None:
        """Fold the blocks after the index's up to `until`, each on its own."""
        at = index.checkpoint
        assert at is not None
        for number in range(at.number + 1, until + 1):
            index.fold(self.recorder.decoded(number, self.events), self.checkpoint(number))

    @property
    def last(self) -> int:
        return len(self.recorder.blocks) - 1

    def start(self, depth: int = 256) -> Index:
        index = Index(self.constants, depth)
        index.start_at(Checkpoint(-1, b"", 0))
        return index


@pytest.fixture(scope="module")
def story(seed: int) -> Story:
    recorder, rng = Recorder(), random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        recorder.watch(patch)
        stage = scene.build(rng)
        chooser = Chooser(stage, rng)
        chooser.queue.extend(scene.opening(stage, rng))
        for _ in range(ACTS):
            act: Act = chooser.next()
            if act.name == "pass_time":
                stage.twin.pass_time(act.args[0])
            else:
                chooser.happened(act, stage.twin.act(act).refusal is not None)
    state, world = stage.twin.state, stage.twin.world
    tokens = [Address(bytes.fromhex(token.address[2:])) for token in stage.twin.tokens]
    return Story(
        state,
        stage.twin.accounts,
        Constants(
            parameters=state.parameters,
            feeds=state.feeds,
            tokens=state.tokens,
            places={token: place for place, token in enumerate(tokens)},
            instruments={one: state.as_set(one) for one in stage.twin.instruments},
            settlements={one: state.settlements[one] for one in stage.twin.instruments},
        ),
        recorder,
        {
            (contract.address, topic): event
            for name, contract in world.contracts.items()
            for topic, event in abi.contract(name).events.items()
        },
    )


def told(record: Account, account: AccountId) -> Account:
    """An account as logs tell it: with the mode in force."""
    return replace(record, mode=mode_of(account, record))


def test_fold__logs_alone__give_the_state_of_the_model(story: Story) -> None:
    index = story.start()
    story.fold(index, story.last)
    index.now = story.state.now
    for account in story.accounts:
        expected = story.state.accounts[account]
        assert told(index.accounts[account], account) == told(expected, account)
        for instrument in story.constants.instruments:
            held = story.state.positions[account, instrument]
            assert index.positions[account, instrument] == held
        for place in range(len(story.state.tokens)):
            held_tokens = story.state.collateral[account, place]
            assert index.collateral[account, place] == held_tokens
    assert index.total_debt == story.state.total_debt
    known = ("long_index", "short_index", "rate", "gap", "accrued_at", "long_interest",
             "short_interest", "stopped")  # fmt: skip
    for instrument in story.constants.instruments:
        for name in known:
            found = getattr(index.markets[instrument], name)
            assert found == getattr(story.state.markets[instrument], name), name
    for name in ("pool", "insurance", "protocol"):
        assert getattr(index.lines, name) == getattr(story.state.lines, name)
    assert dict(index.ramps.items()) == dict(story.state.ramps.items())
    assert dict(index.estimates.items()) == dict(story.state.estimates.items())
    assert dict(index.prices.items()) == dict(story.state.prices.items())
    assert dict(index.ring.items()) == dict(story.state.ring.items())
    live = {order: one for order, one in story.state.orders.items() if one is not None}
    assert {order: one for _, order, one in index.live_orders()} == live
    for name in ("brackets", "nonces", "mandates", "mandates_used"):
        assert dict(getattr(index, name).items()) == dict(getattr(story.state, name).items()), name
    waiting = {key: one for key, one in story.state.requests.items() if one.amount}
    assert {key: one for key, one in index.requests.items() if one.amount} == waiting


def test_fold__health_from_logs__equals_the_models(story: Story) -> None:
    index = story.start()
    story.fold(index, story.last)
    index.now = story.state.now
    compared = 0
    for account in story.accounts:
        try:
            expected = clearing.assess(story.state, account, Level.ANY)
        except Refused:
            continue
        assert clearing.assess(index, account, Level.ANY) == expected
        compared += 1
    assert compared > 10


def test_rollback__every_depth__is_the_state_of_that_block(story: Story) -> None:
    depth = 60
    index, digests = story.start(depth), {}
    story.fold(index, story.last - 2 * depth)
    for number in range(story.last - depth, story.last + 1):
        story.fold(index, number)
        digests[number] = snapshot.dump(index)
    final, rng = digests[story.last], random.Random(1)
    for back in (1, 2, 3, 10, rng.randrange(11, depth - 1), depth - 1):
        index.rollback(story.last - back)
        assert snapshot.dump(index) == digests[story.last - back]
        assert index.checkpoint == story.checkpoint(story.last - back)
        story.fold(index, story.last)
        assert snapshot.dump(index) == final


def test_rollback__below_what_is_remembered__refused_and_nothing_changed(story: Story) -> None:
    index = story.start(depth=5)
    story.fold(index, story.last)
    before = snapshot.dump(index)
    with pytest.raises(RolledTooFar):
        index.rollback(story.last - 5)
    assert snapshot.dump(index) == before


def test_fold__broken_log_in_the_middle__leaves_the_block_before(story: Story) -> None:
    index = story.start()
    story.fold(index, story.last)
    before, at = snapshot.dump(index), index.checkpoint
    account = story.accounts[0]
    good = Log("CashChanged", {"account": account, "cash": 7, "reserved": 0}, 10**6, 0, 0)
    bad = Log("CashChanged", {"account": account}, 10**6, 0, 1)
    with pytest.raises(KeyError):
        index.fold([good, bad], Checkpoint(10**6, b"x", 0))
    assert snapshot.dump(index) == before
    assert index.checkpoint == at


def test_snapshot__read_back__goes_on_as_if_nothing_happened(story: Story) -> None:
    half = story.last // 2
    index = story.start()
    story.fold(index, half)
    resumed = Index(story.constants)
    snapshot.load(resumed, snapshot.dump(index))
    resumed.start_at(story.checkpoint(half))
    story.fold(index, story.last)
    story.fold(resumed, story.last)
    assert snapshot.dump(resumed) == snapshot.dump(index)


def test_snapshot__foreign_bytes__refused(story: Story) -> None:
    for content in (b"", b"x" * 50, snapshot.dump(story.start())[:-4]):
        with pytest.raises(snapshot.SnapshotError):
            snapshot.load(Index(story.constants), content)


def test_fold__unknown_event__has_the_constants_read_again(story: Story) -> None:
    index = story.start()
    index.fold([Log("QuorumChanged", {}, 1, 1, 0)], Checkpoint(1, b"1", 1))
    assert index.constants_stale
    index.adopt(story.constants)
    index.fold([Log("Liquidated", {}, 2, 2, 0)], Checkpoint(2, b"2", 2))
    assert not index.constants_stale
