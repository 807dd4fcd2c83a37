"""AggregatorSource behind the OracleHub: which rounds of a push feed become a price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core import quotes
from keeper.core.types import Level
from scripts import build
from tests.support.evm import GENESIS_TIME, Contract, Evm, Revert
from tests.support.refusals import refused

WAD = 10**18
CONFIDENCE = 5_000  # ppm, the feed's deviation threshold
T0 = GENESIS_TIME
ETH = 2_000 * 10**8
RING = 64
FIRST_ROUND = 1 << 64 | 1  # of phase 1


@pytest.fixture
def evm() -> Evm:
    chain = Evm()
    chain.warp(1_000)
    return chain


@pytest.fixture
def governor(evm: Evm) -> str:
    return evm.account("governor")


@pytest.fixture
def keeper(evm: Evm) -> str:
    return evm.account("keeper")


@pytest.fixture
def hub(evm: Evm, governor: str) -> Contract:
    return evm.deploy(build.artifact("OracleHub", "cancun"), governor, sender=governor)


@pytest.fixture
def aggregator(evm: Evm, governor: str) -> Contract:
    return evm.deploy(build.artifact("MockAggregator", "cancun"), 8, sender=governor)


@pytest.fixture
def source(evm: Evm, governor: str, aggregator: Contract) -> Contract:
    return deployed(evm, governor, aggregator)


@pytest.fixture
def feed(hub: Contract, governor: str, source: Contract) -> int:
    return listed(hub, governor, source)


def deployed(evm: Evm, governor: str, aggregator: Contract) -> Contract:
    artifact = build.artifact("AggregatorSource", "cancun")
    return evm.deploy(artifact, aggregator.address, CONFIDENCE, sender=governor)


def listed(hub: Contract, governor: str, source: Contract, decimals: int = 8) -> int:
    config = (decimals, 1, RING, 3_600, 7_200, CONFIDENCE, 0, source.address)
    return int(hub.add_feed(config, sender=governor))


def test_pull__takes_the_newest_round_with_the_one_before(
    evm: Evm, hub: Contract, feed: int, aggregator: Contract, keeper: str
) -> None:
    aggregator.push(ETH - 5, T0 + 60, sender=keeper)
    aggregator.push(ETH, T0 + 100, sender=keeper)
    assert hub.pull(feed, 0, sender=keeper) is True
    (posted,) = evm.events()
    assert posted.name == "PricePosted"
    assert posted.args == (feed, T0 + 100, T0 + 60, ETH, ETH, ETH, CONFIDENCE)
    quote = quotes.decode_quote(hub.price(feed, Level.TIGHT))
    assert quote == quotes.Quote(2_000 * WAD, CONFIDENCE, T0 + 100, 40)
    assert hub.slot_price(feed, T0 + 100) == (2_000 * WAD, 2_000 * WAD, 2_000 * WAD, T0 + 60)
    held = [due for due in range(T0 + 55, T0 + 105) if hub.has_slot(feed, due, T0 + 100)]
    assert held == list(range(T0 + 61, T0 + 101))


def test_pull__twice_or_an_older_round_changes_no_state(
    evm: Evm, hub: Contract, feed: int, aggregator: Contract, keeper: str
) -> None:
    for i in range(3):
        aggregator.push(ETH + i, T0 + 10 * i, sender=keeper)
    hub.pull(feed, 0, sender=keeper)
    state = hub.price(feed, Level.ANY)
    assert hub.pull(feed, 0, sender=keeper) is False
    assert evm.events() == []
    assert hub.pull(feed, FIRST_ROUND + 1, sender=keeper) is True  # for an order that fell due
    assert hub.price(feed, Level.ANY) == state
    assert hub.slot_price(feed, T0 + 10)[2:] == ((ETH + 1) * 10**10, T0)
    assert hub.pull(feed, FIRST_ROUND + 1, sender=keeper) is False


def test_pull__no_round_within_the_ring_is_lost(
    evm: Evm, hub: Contract, feed: int, aggregator: Contract, keeper: str
) -> None:
    for second in range(RING + 1):
        aggregator.push(ETH + second, T0 + second, sender=keeper)
        hub.pull(feed, 0, sender=keeper)
    for second in range(1, RING + 1):
        assert hub.slot_price(feed, T0 + second)[2] == (ETH + second) * 10**10
    with refused("oracle: slot not in ring"):
        hub.slot_price(feed, T0)
    assert hub.pull(feed, FIRST_ROUND, sender=keeper) is False


@pytest.mark.parametrize("answer", [0, -1, -(2**255)])
def test_read__an_answer_that_is_not_positive(
    hub: Contract, feed: int, aggregator: Contract, source: Contract, keeper: str, answer: int
) -> None:
    aggregator.push(ETH, T0, sender=keeper)
    hub.pull(feed, 0, sender=keeper)
    aggregator.push(answer, T0 + 10, sender=keeper)
    with refused("aggregator: answer not positive"):
        source.read(0)
    with refused("aggregator: answer not positive"):
        hub.pull(feed, 0, sender=keeper)
    assert hub.latest_slot(feed) == T0  # what is stored still reads
    assert hub.price(feed, Level.ANY)


@pytest.mark.parametrize(
    ("answer", "clamped"),
    [(100, True), (99, True), (101, False), (899, False), (900, True), (901, True)],
)
def test_read__an_answer_at_its_clamp(
    aggregator: Contract, source: Contract, keeper: str, answer: int, clamped: bool
) -> None:
    aggregator.set_clamp(100, 900, sender=keeper)
    aggregator.push(answer, T0, sender=keeper)
    if clamped:
        with refused("aggregator: answer at its clamp"):
            source.read(0)
        with refused("aggregator: answer at its clamp"):
            source.read(FIRST_ROUND)
    else:
        assert source.read(0)[0] == answer * 10**10


def test_pull__a_round_dated_in_the_future(
    evm: Evm, hub: Contract, feed: int, aggregator: Contract, keeper: str
) -> None:
    aggregator.push(ETH, evm.timestamp + 1, sender=keeper)
    with refused("oracle: slot in the future"):
        hub.pull(feed, 0, sender=keeper)
    evm.warp(1)
    assert hub.pull(feed, 0, sender=keeper)


def test_pull__a_round_of_the_same_second_or_before_the_one_before(
    hub: Contract, feed: int, aggregator: Contract, keeper: str
) -> None:
    aggregator.push(ETH, T0, sender=keeper)
    for updated_at in (T0, T0 - 1):
        aggregator.push(ETH + 1, updated_at, sender=keeper)
    for later in (FIRST_ROUND + 1, FIRST_ROUND + 2, 0):
        with refused("oracle: previous not before slot"):
            hub.pull(feed, later, sender=keeper)
    assert hub.pull(feed, FIRST_ROUND, sender=keeper)


def test_read__rounds_that_are_not_there(
    aggregator: Contract, source: Contract, keeper: str
) -> None:
    with refused("aggregator: no answer"):
        source.read(0)  # a feed that never answered
    aggregator.push(ETH, T0, sender=keeper)
    with refused("aggregator: no answer"):
        source.read(FIRST_ROUND + 1)
    with refused("aggregator: no answer"):
        source.read(1 << 64)
    for hint in (1, 2 << 64 | 1, (2**16 - 1) << 64 | 1):
        with refused("aggregator: round of old phase"):
            source.read(hint)
    for hint in (2**80, 2**256 - 1):
        with refused("aggregator: no such round"):
            source.read(hint)


def test_phase__a_new_one_goes_on_without_a_stop(
    evm: Evm, hub: Contract, feed: int, aggregator: Contract, source: Contract, keeper: str
) -> None:
    aggregator.push(ETH, T0, sender=keeper)
    aggregator.push(ETH + 1, T0 + 50, sender=keeper)
    hub.pull(feed, 0, sender=keeper)
    aggregator.start_phase(sender=keeper)
    with refused("aggregator: no answer"):
        hub.pull(feed, 0, sender=keeper)
    assert hub.latest_slot(feed) == T0 + 50

    aggregator.push(ETH + 2, T0 + 100, sender=keeper)
    assert hub.pull(feed, 0, sender=keeper) is True
    # nothing is known of the time before it: the first of its own second and no more
    assert hub.slot_price(feed, T0 + 100)[3] == T0 + 99
    assert hub.has_slot(feed, T0 + 100, T0 + 100)
    assert not hub.has_slot(feed, T0 + 99, T0 + 100)
    assert quotes.decode_quote(hub.price(feed, Level.TIGHT)).price_wad == (ETH + 2) * 10**10
    with refused("aggregator: round of old phase"):
        source.read(FIRST_ROUND + 1)

    aggregator.push(ETH + 3, T0 + 160, sender=keeper)
    assert hub.pull(feed, 2 << 64 | 2, sender=keeper) is True
    assert hub.slot_price(feed, T0 + 160)[2:] == ((ETH + 3) * 10**10, T0 + 100)


def test_phase__one_that_lags_behind_is_ignored_until_it_is_ahead(
    evm: Evm, hub: Contract, feed: int, aggregator: Contract, keeper: str
) -> None:
    aggregator.push(ETH, T0 + 100, sender=keeper)
    hub.pull(feed, 0, sender=keeper)
    state = hub.price(feed, Level.ANY)
    aggregator.start_phase(sender=keeper)
    aggregator.push(2, T0 + 20, sender=keeper)
    hub.pull(feed, 0, sender=keeper)
    assert hub.price(feed, Level.ANY) == state
    aggregator.push(ETH + 7, T0 + 130, sender=keeper)
    hub.pull(feed, 0, sender=keeper)
    # its own round before was at T0 + 20, but T0 + 100 is stored and did exist
    assert hub.slot_price(feed, T0 + 130)[2:] == ((ETH + 7) * 10**10, T0 + 100)


def test_read__a_round_before_that_was_never_answered(
    aggregator: Contract, source: Contract, keeper: str
) -> None:
    aggregator.push(0, 0, sender=keeper)  # started, never finished
    aggregator.push(ETH, T0, sender=keeper)
    assert source.read(0) == (2_000 * WAD, CONFIDENCE, T0, T0 - 1)


@pytest.mark.parametrize("decimals", [0, 1, 6, 8, 17, 18])
def test_read__is_wad_whatever_the_decimals(
    evm: Evm, governor: str, keeper: str, decimals: int
) -> None:
    aggregator = evm.deploy(build.artifact("MockAggregator", "cancun"), decimals, sender=governor)
    aggregator.push(123 * 10**decimals, T0, sender=keeper)
    assert deployed(evm, governor, aggregator).read(0)[0] == 123 * WAD


def test_pull__cuts_to_the_decimals_of_the_feed(
    evm: Evm, hub: Contract, governor: str, keeper: str
) -> None:
    aggregator = evm.deploy(build.artifact("MockAggregator", "cancun"), 18, sender=governor)
    source = deployed(evm, governor, aggregator)
    feed = listed(hub, governor, source, decimals=8)
    aggregator.push(1_999_999_999_999, T0, sender=keeper)  # 1.99… units of 10^-6
    hub.pull(feed, 0, sender=keeper)
    assert quotes.decode_quote(hub.price(feed, Level.ANY)).price_wad == 199 * 10**10
    aggregator.push(10**10 - 1, T0 + 1, sender=keeper)
    with refused("oracle: price is zero"):
        hub.pull(feed, 0, sender=keeper)
    aggregator.push(2**56 * 10**10 - 1, T0 + 2, sender=keeper)
    assert hub.pull(feed, 0, sender=keeper)
    assert quotes.decode_quote(hub.price(feed, Level.ANY)).price_wad == (2**56 - 1) * 10**10
    aggregator.push(2**56 * 10**10, T0 + 3, sender=keeper)
    with refused("oracle: price too large"):
        hub.pull(feed, 0, sender=keeper)


def test_read__decimals_that_grew_are_refused(
    aggregator: Contract, source: Contract, keeper: str
) -> None:
    aggregator.push(ETH, T0, sender=keeper)
    aggregator.set_decimals(10, sender=keeper)
    assert source.read(0)[0] == 20 * WAD  # asked each time, so never off by a power of ten
    aggregator.set_decimals(19, sender=keeper)
    with refused("aggregator: decimals above 18"):
        source.read(0)


def test_deploy__refuses_what_is_no_aggregator(
    evm: Evm, governor: str, keeper: str, aggregator: Contract
) -> None:
    artifact = build.artifact("AggregatorSource", "cancun")
    with refused("aggregator: has no code"):
        evm.deploy(artifact, keeper, CONFIDENCE, sender=governor)
    for confidence in (0, 100_001):
        with refused("aggregator: conf out of range"):
            evm.deploy(artifact, aggregator.address, confidence, sender=governor)
    for confidence in (1, 100_000):
        source = evm.deploy(artifact, aggregator.address, confidence, sender=governor)
        assert (source.PROXY(), source.CONFIDENCE_PPM()) == (aggregator.address, confidence)
    aggregator.set_decimals(19, sender=keeper)
    with refused("aggregator: decimals above 18"):
        evm.deploy(artifact, aggregator.address, CONFIDENCE, sender=governor)


def test_source__a_pulled_feed_takes_no_reports(
    hub: Contract, feed: int, governor: str, keeper: str
) -> None:
    with refused("oracle: feed has a source"):
        hub.post(feed, T0, T0 - 1, [], sender=keeper)


def test_source__its_feed_has_a_grid_of_one_and_no_width(
    hub: Contract, source: Contract, governor: str
) -> None:
    with refused("oracle: grid of a source is 1"):
        hub.add_feed((8, 2, RING, 60, 60, 1, 0, source.address), sender=governor)
    with refused("oracle: width of a source is 0"):
        hub.add_feed((8, 1, RING, 60, 60, 1, 1, source.address), sender=governor)
    feed = listed(hub, governor, source)
    with refused("oracle: width of a source is 0"):
        hub.set_feed_limits(feed, 60, 60, 1, 1, sender=governor)
    hub.set_feed_limits(feed, 60, 61, 2, 0, sender=governor)
    assert tuple(hub.feed_config(feed)) == (8, 1, RING, 60, 61, 2, 0, source.address)


def test_source__another_in_mid_flight_sticks_at_nothing(
    evm: Evm, hub: Contract, feed: int, aggregator: Contract, governor: str, keeper: str
) -> None:
    aggregator.push(ETH, T0 + 100, sender=keeper)
    hub.pull(feed, 0, sender=keeper)
    state = hub.price(feed, Level.ANY)
    other = evm.deploy(build.artifact("MockAggregator", "cancun"), 6, sender=governor)
    successor = deployed(evm, governor, other)
    hub.set_feed_source(feed, successor.address, sender=governor)
    (event,) = evm.events("FeedChanged")
    assert event.args.config.source == successor.address
    with refused("aggregator: no answer"):
        hub.pull(feed, 0, sender=keeper)
    other.push(2, T0 + 50, sender=keeper)
    with refused("oracle: source has no code"):
        hub.set_feed_source(feed, keeper, sender=governor)
    hub.pull(feed, 0, sender=keeper)
    assert hub.price(feed, Level.ANY) == state  # older than the stored one: ignored
    other.push(2_001 * 10**6, T0 + 120, sender=keeper)
    hub.pull(feed, 0, sender=keeper)
    quote = quotes.decode_quote(hub.price(feed, Level.TIGHT))
    assert quote == quotes.Quote(2_001 * WAD, CONFIDENCE, T0 + 120, 20)


def test_pull__a_confidence_beyond_its_field_saturates_and_is_never_tight(
    evm: Evm, hub: Contract, governor: str, keeper: str
) -> None:
    # any contract may be a source: this one answers `read` with four fixed words
    words = (WAD, 2**30, T0, T0 - 1)
    stores = b"".join(
        b"\x7f" + word.to_bytes(32, "big") + bytes([0x60, 32 * i, 0x52])
        for i, word in enumerate(words)
    )
    runtime = stores + bytes([0x60, 128, 0x60, 0, 0xF3])
    loader = bytes([0x60, len(runtime), 0x60, 12, 0x60, 0, 0x39, 0x60, len(runtime), 0x60, 0, 0xF3])
    answering = replace(
        build.artifact("AggregatorSource", "cancun"), bytecode=loader + runtime, abi=[]
    )
    source = evm.deploy(answering, sender=governor)
    feed = hub.add_feed((8, 1, RING, 60, 2_000, 100_000, 0, source.address), sender=governor)
    assert hub.pull(feed, 0, sender=keeper)
    assert quotes.decode_quote(hub.price(feed, Level.RECENT)).conf_ppm == 2**24 - 1
    hub.set_feed_limits(feed, 2_000, 2_000, 100_000, 0, sender=governor)
    with refused("oracle: wide confidence"):
        hub.price(feed, Level.TIGHT)
    with pytest.raises(Revert):
        hub.pull(feed + 1, 0, sender=keeper)
