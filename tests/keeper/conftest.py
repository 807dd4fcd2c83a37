"""A real node, a real store file, and the keeper's edges on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keeper.config import GasSettings
from keeper.edges import database
from keeper.edges.chain import Chain
from keeper.edges.clock import Clock
from keeper.edges.flights import Flights
from keeper.edges.signer import Signer
from keeper.edges.store import Store
from keeper.edges.submitter import Submitter
from keeper.edges.telemetry import Metrics
from scripts import nodes
from tests.keeper.beside import Process, Start
from tests.keeper.keys import key_at
from tests.support import postgres


@pytest.fixture(scope="session")
def node() -> Iterator[nodes.Node]:
    """One anvil for the tests of this worker; each test uses accounts of its own."""
    with nodes.start("anvil", accounts=60) as running:
        yield running


@pytest.fixture
def chain(node: nodes.Node) -> Chain:
    return Chain(node.url)


_taken = iter(range(20, 60))


@pytest.fixture
def key() -> Signer:
    """A funded account that no other test of this worker uses."""
    return key_at(next(_taken))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "keeper.sqlite")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Server]:
    try:
        with postgres.server() as server:
            yield server
    except postgres.Missing as missing:
        pytest.skip(f"not run: {missing}")


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> database.Where:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return tmp_path / "keeper.sqlite"
    server: postgres.Server = request.getfixturevalue("postgresql")
    return server.database()


class SteppedClock(Clock):
    """Time moves when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def pause(self, seconds: float) -> bool:
        self.now += seconds
        return self.stopped


@dataclass
class Bench:
    """A submitter with its parts in reach."""

    chain: Chain
    store: Store
    signer: Signer
    clock: SteppedClock = field(default_factory=SteppedClock)
    metrics: Metrics = field(default_factory=Metrics)
    gas: GasSettings = field(default_factory=GasSettings)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As a new process would start on the same store."""
        self.flights = Flights(
            self.chain,
            self.store,
            self.clock,
            self.metrics,
            self.gas,
            nodes.CHAIN_ID,
            self.signer,
        )
        self.submitter = Submitter(
            self.chain, self.store, self.metrics, self.gas, self.signer.address, self.flights
        )
        self.submitter.recover()


@pytest.fixture
def bench(chain: Chain, store: Store, key: Signer) -> Bench:
    return Bench(chain, store, key)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts keepers; whatever still runs when the test is over, however it went, is ended."""
    started: list[Process] = []

    def begin(file: Path, *options: str, name: str = "keeper") -> Process:
        started.append(Process(file, *options, name=name))
        return started[-1]

    yield begin
    for process in started:
        process.leave_nothing()
