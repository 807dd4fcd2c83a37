"""OracleHub: what a quorum is, what it fixes, what a reading asks, who governs.

Every signature here is real; the digest is also checked against an independent encoder.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pyrevm
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from keeper.core import quotes
from keeper.core.reports import (
    PriceReport,
    SignedReport,
    choose_quorum,
    digest,
    domain_separator,
    post_call,
    post_many_call,
)
from keeper.core.types import Address, FeedId, Level
from scripts import build
from tests.support.evm import GENESIS_TIME, Contract, Evm, Revert
from tests.support.refusals import refused
from tests.support.reporting import CHAIN_ID, Reporters, Signed, as_argument

WAD = 10**18
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
NOBODY = "0x" + "00" * 20

GRID, RING = 2, 16
MAX_AGE, MAX_AGE_RECENT, CONF_MAX, WIDTH = 120, 900, 5_000, 2_000
FEED = 1  # decimals 8, as configured above
T0 = GENESIS_TIME - GENESIS_TIME % GRID  # a slot not in the future
BTC = 60_000 * 10**8


def config(**changes: Any) -> tuple[Any, ...]:
    fields = {
        "decimals": 8,
        "grid_seconds": GRID,
        "ring_length": RING,
        "max_age_seconds": MAX_AGE,
        "max_age_recent_seconds": MAX_AGE_RECENT,
        "conf_max_ppm": CONF_MAX,
        "width_ppm": WIDTH,
        "source": NOBODY,
    }
    assert changes.keys() <= fields.keys()
    return tuple({**fields, **changes}.values())


@pytest.fixture
def evm() -> Evm:
    return Evm()


@pytest.fixture
def governor(evm: Evm) -> str:
    return evm.account("governor")


@pytest.fixture
def keeper(evm: Evm) -> str:
    """Anyone: has no role in the hub."""
    return evm.account("keeper")


@pytest.fixture
def hub(evm: Evm, governor: str) -> Contract:
    return evm.deploy(build.artifact("OracleHub", "cancun"), governor, sender=governor)


@pytest.fixture
def reporters(hub: Contract, governor: str) -> Reporters:
    """Five keys, of which three make a quorum, and one listed feed."""
    hub.add_feed(config(), sender=governor)
    return listed(hub, governor, 5, 3)


def listed(hub: Contract, governor: str, count: int, quorum: int) -> Reporters:
    found = Reporters(hub, count)
    for i, address in enumerate(found.addresses):
        hub.add_reporter(address, (i + 1) // 2 + 1 if i else 1, sender=governor)
    hub.set_quorum(quorum, sender=governor)
    return found


# -- what a quorum fixes ----------------------------------------------------------------------


def test_post__fixes_median_high_low_and_largest_confidence(
    evm: Evm, hub: Contract, reporters: Reporters, keeper: str
) -> None:
    prices = {0: (BTC + 300, 40), 1: (BTC, 90), 2: (BTC + 1_000, 70)}
    reports = sorted(
        as_argument(reporters.report(i, PriceReport(FeedId(FEED), T0, T0 - 6, price, conf)))
        for i, (price, conf) in prices.items()
    )
    assert hub.post(FEED, T0, T0 - 6, reports, sender=keeper) is True

    (posted,) = evm.events()
    assert posted.name == "PricePosted"
    assert posted.args == (FEED, T0, T0 - 6, BTC + 300, BTC + 1_000, BTC, 90)
    quote = quotes.decode_quote(hub.price(FEED, Level.TIGHT))
    assert quote == quotes.Quote((BTC + 300) * 10**10, 90, T0, 6)
    assert hub.slot_price(FEED, T0) == (
        (BTC + 1_000) * 10**10,
        BTC * 10**10,
        (BTC + 300) * 10**10,
        T0 - 6,
    )
    assert hub.latest_slot(FEED) == T0
    state = hub.state(FEED)
    assert state == ((BTC + 300) * 10**10, 90, T0, T0 - 6, evm.timestamp - T0, Level.TIGHT)


@pytest.mark.parametrize(
    ("count", "prices", "median"),
    [
        (1, [500], 500),
        (2, [501, 500], 500),  # the lower of the middle two
        (3, [501, 500, 502], 501),
        (3, [500, 500, 501], 500),
        (4, [503, 500, 501, 502], 501),
        (5, [500, 500, 500, 500, 500], 500),
        (9, [509, 508, 507, 506, 505, 504, 503, 502, 501], 505),
    ],
)
def test_post__median_of_a_quorum_of_any_size(
    hub: Contract, governor: str, keeper: str, count: int, prices: list[int], median: int
) -> None:
    feed = hub.add_feed(config(decimals=0, width_ppm=100_000), sender=governor)
    reporters = listed(hub, governor, count, count)
    assert reporters.post(feed, T0, T0 - 2, prices, sender=keeper)
    high, low, middle, previous = hub.slot_price(feed, T0)
    assert (high, low) == (max(prices) * WAD, min(prices) * WAD)
    assert (middle, previous) == (median * WAD, T0 - 2)


def test_post__equals_the_model_on_random_quorums(
    evm: Evm, hub: Contract, reporters: Reporters, governor: str, keeper: str, seed: int
) -> None:
    chance = random.Random(seed)
    layout = build.artifact("OracleHub", "cancun").layout["storage_layout"]
    evm.warp(10_000)
    for round_number in range(1, 60):
        slot = T0 + GRID * round_number
        previous = slot - chance.choice((2, 4, 60, 2**24 - 1, 2**24, slot))
        base = chance.choice((1, 7, 10**6, 2**55, (2**56 - 1) * 10**6 // (10**6 + WIDTH)))
        prices = [base + chance.randrange(base * WIDTH // 10**6 + 1) for _ in range(3)]
        confs = [chance.randrange(2**24) for _ in range(3)]
        signers = chance.sample(range(5), 3)
        reports = [
            PriceReport(FeedId(FEED), slot, previous, price, conf)
            for price, conf in zip(prices, confs, strict=True)
        ]
        signed = sorted(
            (reporters.report(i, one) for i, one in zip(signers, reports, strict=True)),
            key=as_argument,
        )
        assert hub.post(FEED, slot, previous, [as_argument(one) for one in signed], sender=keeper)

        newest = slot - GRID if round_number > 1 else 0
        stored = quotes.quorum(
            [
                quotes.Report(one.reporter, one.report.price, one.report.confidence)
                for one in signed
            ],
            slot,
            max(previous, newest),
            WIDTH,
            3,
            {one.reporter for one in signed},
        )
        key = FEED << 16 | slot // GRID % RING
        assert evm.storage(hub.address, mapped(layout["ring"]["slot"], key)) == stored.word()
        quote = quotes.decode_quote(hub.price(FEED, Level.ANY))
        assert quote == quotes.Quote(stored.median * 10**10, stored.conf_ppm, slot, stored.gap)


def mapped(slot: int, key: int) -> int:
    """Where Vyper keeps the value of a key of a mapping."""
    return int.from_bytes(keccak(slot.to_bytes(32, "big") + key.to_bytes(32, "big")), "big")


def test_post__the_core_encodes_the_call(
    evm: Evm, hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    def signed(feed: int, slot: int) -> list[SignedReport]:
        report = PriceReport(FeedId(feed), slot, slot - 2, BTC, 7)
        return [reporters.report(i, report) for i in range(3)]

    hub.add_feed(config(), sender=governor)
    assert post_call(signed(1, T0)) == hub.post.encode(
        1, T0, T0 - 2, [as_argument(one) for one in signed(1, T0)]
    )
    evm.transact(hub.address, post_call(signed(1, T0)), keeper)
    evm.warp(2)
    evm.transact(hub.address, post_many_call([signed(1, T0 + 2), signed(2, T0 + 2)]), keeper)
    assert [hub.latest_slot(1), hub.latest_slot(2)] == [T0 + 2, T0 + 2]


def test_post_many__counts_what_changed(
    evm: Evm, hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    hub.add_feed(config(), sender=governor)

    def posting(feed: int, slot: int) -> tuple[int, int, int, list[Signed]]:
        return feed, slot, slot - 2, reporters.quorum(feed, slot, slot - 2, [BTC] * 3)

    assert hub.post_many([], sender=keeper) == 0
    assert hub.post_many([posting(1, T0), posting(2, T0)], sender=keeper) == 2
    assert [event.args.feed for event in evm.events("PricePosted")] == [1, 2]
    evm.warp(2)
    assert hub.post_many([posting(1, T0), posting(2, T0 + 2)], sender=keeper) == 1
    unlisted = (3, T0 + 2, T0, reporters.quorum(3, T0 + 2, T0, [BTC] * 3))
    with refused("oracle: unknown feed"):
        hub.post_many([posting(1, T0 + 2), unlisted], sender=keeper)
    assert hub.latest_slot(1) == T0  # the good one went with the bad one


def test_post_many__as_many_feeds_as_it_takes_and_no_more(
    evm: Evm, hub: Contract, governor: str, keeper: str
) -> None:
    reporters = listed(hub, governor, 9, 9)
    for _ in range(9):
        hub.add_feed(config(), sender=governor)
    postings = [
        (feed, T0, T0 - 2, reporters.quorum(feed, T0, T0 - 2, [BTC] * 9)) for feed in range(1, 10)
    ]
    with pytest.raises(Revert):
        hub.post_many(postings, sender=keeper)
    assert hub.post_many(postings[:8], sender=keeper) == 8


# -- what is ignored, and never refused -------------------------------------------------------


def test_post__the_first_quorum_of_a_slot_stays(
    evm: Evm, hub: Contract, reporters: Reporters, keeper: str
) -> None:
    reporters.post(FEED, T0, T0 - 2, [BTC] * 3, sender=keeper)
    before = hub.price(FEED, Level.ANY), hub.slot_price(FEED, T0)
    assert reporters.post(FEED, T0, T0 - 4, [BTC + 5] * 3, sender=keeper) is False
    assert evm.events() == []
    assert (hub.price(FEED, Level.ANY), hub.slot_price(FEED, T0)) == before


def test_post__a_slot_fixed_before_is_ignored_whatever_comes_with_it(
    hub: Contract, reporters: Reporters, keeper: str
) -> None:
    reporters.post(FEED, T0, T0 - 2, [BTC] * 3, sender=keeper)
    assert hub.post(FEED, T0, T0 - 2, [], sender=keeper) is False
    assert hub.post(FEED, T0, T0 - 2, [(0, 0, 0, 0, 0)], sender=keeper) is False


def test_post__an_older_slot_fills_its_place_and_leaves_the_state(
    evm: Evm, hub: Contract, reporters: Reporters, keeper: str
) -> None:
    reporters.post(FEED, T0, T0 - 2, [BTC] * 3, sender=keeper)
    state = hub.price(FEED, Level.ANY)
    assert reporters.post(FEED, T0 - 10, T0 - 12, [BTC - 9] * 3, sender=keeper) is True
    (posted,) = evm.events("PricePosted")
    assert (posted.args.slot, posted.args.median) == (T0 - 10, BTC - 9)
    assert hub.price(FEED, Level.ANY) == state
    assert hub.latest_slot(FEED) == T0
    assert hub.slot_price(FEED, T0 - 10)[2] == (BTC - 9) * 10**10
    assert reporters.post(FEED, T0 - 10, T0 - 12, [BTC] * 3, sender=keeper) is False


def test_post__the_ring_forgets_the_oldest_and_never_takes_an_older_one_back(
    evm: Evm, hub: Contract, reporters: Reporters, keeper: str
) -> None:
    evm.warp(GRID * RING)
    for i in range(RING + 1):
        slot = T0 + GRID * i
        reporters.post(FEED, slot, slot - GRID, [BTC + i] * 3, sender=keeper)
    last = T0 + GRID * RING
    with refused("oracle: slot not in ring"):
        hub.slot_price(FEED, T0)  # its place now holds the newest
    assert not hub.has_slot(FEED, T0, T0)
    for i in range(1, RING + 1):
        assert hub.slot_price(FEED, T0 + GRID * i)[2] == (BTC + i) * 10**10
    assert reporters.post(FEED, T0, T0 - GRID, [BTC] * 3, sender=keeper) is False
    assert hub.slot_price(FEED, last)[2] == (BTC + RING) * 10**10


# -- the slot before --------------------------------------------------------------------------


def test_has_slot__only_the_first_at_or_after_due(
    hub: Contract, reporters: Reporters, keeper: str
) -> None:
    reporters.post(FEED, T0, T0 - 6, [BTC] * 3, sender=keeper)
    answers = {due: hub.has_slot(FEED, due, T0) for due in range(T0 - 8, T0 + 3)}
    assert [due - T0 for due, held in answers.items() if held] == [-5, -4, -3, -2, -1, 0]
    assert not hub.has_slot(FEED, T0 - 2, T0 - 2)  # not posted
    assert not hub.has_slot(FEED, T0 - 1, T0 - 1)  # off the grid
    assert not hub.has_slot(FEED, 0, 0)
    assert not hub.has_slot(FEED + 1, T0, T0)  # unknown feed: no, and no revert


def test_post__previous_is_lifted_to_the_stored_slot(
    evm: Evm, hub: Contract, reporters: Reporters, keeper: str
) -> None:
    reporters.post(FEED, T0, T0 - 2, [BTC] * 3, sender=keeper)
    evm.warp(10)
    # a colluding quorum denies that T0 was ever a slot
    reporters.post(FEED, T0 + 10, T0 - 1_000, [BTC] * 3, sender=keeper)
    assert evm.events("PricePosted")[0].args.previous == T0
    assert hub.slot_price(FEED, T0 + 10)[3] == T0
    assert not hub.has_slot(FEED, T0, T0 + 10)
    assert hub.has_slot(FEED, T0 + 1, T0 + 10)
    assert quotes.decode_quote(hub.price(FEED, Level.ANY)).gap == 10


@pytest.mark.parametrize("gap", [2**24 - 2, 2**24 - 1, 2**24, T0])
def test_post__a_gap_too_long_for_its_field_saturates(
    hub: Contract, reporters: Reporters, keeper: str, gap: int
) -> None:
    reporters.post(FEED, T0, T0 - gap, [BTC] * 3, sender=keeper)
    kept = min(gap, 2**24 - 1)
    assert quotes.decode_quote(hub.price(FEED, Level.ANY)).gap == kept
    assert hub.slot_price(FEED, T0)[3] == T0 - kept
    assert hub.has_slot(FEED, T0 - kept + 1, T0)
    assert not hub.has_slot(FEED, T0 - kept, T0)  # may be untrue, but never a wrong yes


# -- refusals of a quorum ---------------------------------------------------------------------


def test_post__each_fault_has_its_refusal(
    evm: Evm, hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    good = reporters.quorum(FEED, T0, T0 - 2, [BTC, BTC + 1, BTC + 2])
    four = reporters.quorum(FEED, T0, T0 - 2, [BTC] * 4)
    zero = reporters_zero_price(reporters)
    stranger = Reporters(hub, 6).report(5, PriceReport(FeedId(FEED), T0, T0 - 2, BTC + 2, 0))
    now = evm.timestamp
    ahead = now + GRID - now % GRID
    refusals: list[tuple[str, tuple[Any, ...]]] = [
        ("unknown feed", (0, T0, T0 - 2, good)),
        ("unknown feed", (2, T0, T0 - 2, good)),
        ("slot in the future", (FEED, ahead, T0, good)),
        ("slot in the future", (FEED, 2**256 - 2, T0, good)),
        ("slot off the grid", (FEED, T0 - 1, T0 - 2, good)),
        ("previous not before slot", (FEED, T0, T0, good)),
        ("previous not before slot", (FEED, T0, T0 + 2, good)),
        ("previous not before slot", (FEED, 0, 0, good)),
        ("too few reports", (FEED, T0, T0 - 2, [])),
        ("too few reports", (FEED, T0, T0 - 2, good[:2])),
        ("too many reports", (FEED, T0, T0 - 2, four)),
        ("reports not sorted", (FEED, T0, T0 - 2, [good[1], good[0], good[2]])),
        ("reports not sorted", (FEED, T0, T0 - 2, good[::-1])),
        ("price is zero", (FEED, T0, T0 - 2, zero)),
        ("reporter twice", (FEED, T0, T0 - 2, [good[0], good[1], good[1]])),
        ("not a reporter", (FEED, T0, T0 - 2, [*good[:2], as_argument(stranger)])),
    ]
    for reason, arguments in refusals:
        with refused(f"oracle: {reason}"):
            hub.post(*arguments, sender=keeper)
        assert evm.events() == []
    with refused("oracle: no price"):
        hub.price(FEED, Level.ANY)
    assert hub.post(FEED, T0, T0 - 2, good, sender=keeper)  # and nothing else was wrong with it


def reporters_zero_price(reporters: Reporters) -> list[Signed]:
    """Zeros that are honestly signed: the core refuses to build such a report."""
    fields = {"feed": FEED, "slot": T0, "previous": T0 - 2, "price": 0, "confidence": 0}
    reports = []
    for account in reporters.accounts[:3]:
        signed = account.sign_message(encode_typed_data(full_message=typed(reporters.hub, fields)))
        reports.append((0, 0, signed.v, signed.r, signed.s))
    return reports


def test_post__a_reporter_twice_with_two_prices(
    hub: Contract, reporters: Reporters, keeper: str
) -> None:
    first, second, third = (
        as_argument(reporters.report(i, PriceReport(FeedId(FEED), T0, T0 - 2, price, 0)))
        for i, price in ((4, BTC), (0, BTC + 1), (4, BTC + 2))
    )
    with refused("oracle: reporter twice"):
        hub.post(FEED, T0, T0 - 2, [first, second, third], sender=keeper)


@pytest.mark.parametrize("low", [1_000_000, 10**12, 2**55])
def test_post__width_to_the_unit(
    hub: Contract, reporters: Reporters, keeper: str, low: int
) -> None:
    widest = low * WIDTH // 10**6
    with refused("oracle: reports too wide"):
        reporters.post(FEED, T0, T0 - 2, [low, low, low + widest + 1], sender=keeper)
    assert reporters.post(FEED, T0, T0 - 2, [low, low, low + widest], sender=keeper)


def test_post__slot_of_this_very_second_is_not_in_the_future(
    evm: Evm, hub: Contract, reporters: Reporters, keeper: str
) -> None:
    slot = T0 + 10
    evm.warp(slot - evm.timestamp)
    assert reporters.post(FEED, slot, slot - 2, [BTC] * 3, sender=keeper)
    with refused("oracle: slot in the future"):
        reporters.post(FEED, slot + 2, slot, [BTC] * 3, sender=keeper)


def test_post__the_largest_price_and_confidence(
    evm: Evm, hub: Contract, reporters: Reporters, keeper: str
) -> None:
    top = 2**56 - 1
    assert reporters.post(FEED, T0, T0 - 2, [top] * 3, 2**24 - 1, sender=keeper)
    assert hub.slot_price(FEED, T0)[0] == top * 10**10
    assert quotes.decode_quote(hub.price(FEED, Level.FRESH)).conf_ppm == 2**24 - 1
    call = hub.post.encode(FEED, T0 - 2, T0 - 4, reporters.quorum(FEED, T0 - 2, T0 - 4, [top] * 3))
    wider = call.replace(top.to_bytes(32, "big"), (top + 1).to_bytes(32, "big"))
    assert wider != call
    with pytest.raises(Revert):  # the ABI's own bound, which gives no reason
        evm.transact(hub.address, wider, keeper)


# -- signatures -------------------------------------------------------------------------------


def typed(hub: Contract, message: dict[str, int], chain_id: int = CHAIN_ID) -> dict[str, Any]:
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "PriceReport": [{"name": name, "type": "uint256"} for name in message],
        },
        "primaryType": "PriceReport",
        "domain": {
            "name": "Ballast OracleHub",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": hub.address,
        },
        "message": message,
    }


def test_digest__is_what_wallets_sign(hub: Contract, reporters: Reporters) -> None:
    fields = {"feed": 3, "slot": T0, "previous": T0 - 7, "price": BTC, "confidence": 12}
    message = encode_typed_data(full_message=typed(hub, fields))
    by_wallet = keccak(b"\x19" + message.version + message.header + message.body)
    report = PriceReport(FeedId(3), T0, T0 - 7, BTC, 12)
    assert digest(report, reporters.domain) == by_wallet
    name, version, chain_id, contract = hub.eip712Domain()[1:5]
    assert (name, version, chain_id) == ("Ballast OracleHub", "1", CHAIN_ID)
    assert contract == hub.address


def test_replay__of_any_field_is_refused(
    evm: Evm, hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    hub.add_feed(config(), sender=governor)
    evm.warp(10)
    signed = reporters.quorum(FEED, T0, T0 - 2, [BTC] * 3)
    dearer = [(BTC + 1, *rest) for _, *rest in signed]
    surer = [(price, conf - 1, *rest) for price, conf, *rest in signed]
    for arguments in (
        (FEED + 1, T0, T0 - 2, signed),
        (FEED, T0 + 2, T0 - 2, signed),
        (FEED, T0, T0 - 4, signed),
        (FEED, T0, T0 - 2, dearer),
        (FEED, T0, T0 - 2, surer),
    ):
        with refused("oracle: not a reporter"):
            hub.post(*arguments, sender=keeper)
    assert hub.post(FEED, T0, T0 - 2, signed, sender=keeper)


def test_replay__on_another_hub_or_chain_is_refused(
    evm: Evm, hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    other = evm.deploy(build.artifact("OracleHub", "cancun"), governor, sender=governor)
    other.add_feed(config(), sender=governor)
    listed(other, governor, 5, 3)
    signed = reporters.quorum(FEED, T0, T0 - 2, [BTC] * 3)
    with refused("oracle: not a reporter"):
        other.post(FEED, T0, T0 - 2, signed, sender=keeper)
    elsewhere = Reporters(hub, 5, chain_id=CHAIN_ID + 1)
    with refused("oracle: not a reporter"):
        elsewhere.post(FEED, T0, T0 - 2, [BTC] * 3, sender=keeper)


def test_replay__across_a_fork_of_the_chain(
    evm: Evm,
    hub: Contract,
    reporters: Reporters,
    keeper: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forked = pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=61))
    build_evm = pyrevm.EVM
    monkeypatch.setattr(pyrevm, "EVM", lambda gas_limit: build_evm(env=forked, gas_limit=gas_limit))
    evm.compact()  # the same state goes on under another chain id
    assert hub.eip712Domain()[3] == 61
    with refused("oracle: not a reporter"):
        reporters.post(FEED, T0, T0 - 2, [BTC] * 3, sender=keeper)
    there = Reporters(hub, 5, chain_id=61)
    assert there.post(FEED, T0, T0 - 2, [BTC] * 3, sender=keeper)


def test_signature__its_mirror_and_other_forms_are_refused(
    hub: Contract, reporters: Reporters, keeper: str
) -> None:
    good = reporters.quorum(FEED, T0, T0 - 2, [BTC] * 3)
    price, conf, v, r, s = good[0]
    assert s <= ORDER // 2
    for forged in (
        (price, conf, 55 - v, r, ORDER - s),  # recovers the same signer
        (price, conf, v, r, ORDER // 2 + 1),
        (price, conf, v - 27, r, s),
        (price, conf, v + 2, r, s),
        (price, conf, 255, r, s),
        (price, conf, v, 0, s),  # recovers nobody
        (price, conf, v, ORDER, s),
        (price, conf, v, r, 0),
        (price, conf, 27, 2**256 - 1, 1),
    ):
        with refused("oracle: bad signature"):
            hub.post(FEED, T0, T0 - 2, [forged, *good[1:]], sender=keeper)
    with refused("oracle: not a reporter"):
        hub.post(FEED, T0, T0 - 2, [(price, conf, 55 - v, r, s), *good[1:]], sender=keeper)


# -- readings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "limit"), [(Level.RECENT, MAX_AGE_RECENT), (Level.FRESH, MAX_AGE)]
)
def test_price__age_to_the_second(
    evm: Evm, hub: Contract, reporters: Reporters, keeper: str, level: Level, limit: int
) -> None:
    reporters.post(FEED, T0, T0 - 2, [BTC] * 3, sender=keeper)
    evm.warp(T0 + limit - evm.timestamp)
    assert quotes.decode_quote(hub.price(FEED, level)).slot == T0
    evm.warp(1)
    with refused("oracle: stale price"):
        hub.price(FEED, level)
    with refused("oracle: stale price"):
        hub.prices([FEED], level)
    assert quotes.decode_quote(hub.price(FEED, Level.ANY)).price_wad == BTC * 10**10


@pytest.mark.parametrize(("conf", "tight"), [(CONF_MAX, True), (CONF_MAX + 1, False)])
def test_price__confidence_to_the_ppm(
    hub: Contract, reporters: Reporters, keeper: str, conf: int, tight: bool
) -> None:
    reporters.post(FEED, T0, T0 - 2, [BTC] * 3, conf, sender=keeper)
    assert quotes.decode_quote(hub.price(FEED, Level.FRESH)).conf_ppm == conf
    assert hub.state(FEED).level == (Level.TIGHT if tight else Level.FRESH)
    if tight:
        assert hub.price(FEED, Level.TIGHT) == hub.price(FEED, Level.FRESH)
    else:
        with refused("oracle: wide confidence"):
            hub.price(FEED, Level.TIGHT)


def test_state__level_is_what_a_reading_would_pass(
    evm: Evm, hub: Contract, reporters: Reporters, keeper: str
) -> None:
    assert hub.state(FEED) == (0, 0, 0, 0, 0, 0)
    reporters.post(FEED, T0, T0 - 2, [BTC] * 3, sender=keeper)
    for age in (0, 1, MAX_AGE, MAX_AGE + 1, MAX_AGE_RECENT, MAX_AGE_RECENT + 1, 10**8):
        evm.warp(T0 + age - evm.timestamp)
        state = hub.state(FEED)
        assert state.age_seconds == age
        for level in Level:
            if level <= state.level:
                hub.price(FEED, level)
            else:
                with pytest.raises(Revert):
                    hub.price(FEED, level)


def test_price__unknown_feed_and_feed_without_a_price(hub: Contract, reporters: Reporters) -> None:
    for level in Level:
        with refused("oracle: no price"):
            hub.price(FEED, level)
        with refused("oracle: unknown feed"):
            hub.price(FEED + 1, level)
    for view in (hub.state, hub.feed_config):
        with refused("oracle: unknown feed"):
            view(FEED + 1)
    with refused("oracle: unknown feed"):
        hub.slot_price(FEED + 1, T0)
    with refused("oracle: slot not in ring"):
        hub.slot_price(FEED, T0)
    with refused("oracle: slot not in ring"):
        hub.slot_price(FEED, 0)
    assert hub.latest_slot(FEED) == hub.latest_slot(FEED + 1) == 0
    assert hub.prices([], Level.TIGHT) == ()


def test_prices__answer_in_the_order_asked(
    hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    for _ in range(15):
        hub.add_feed(config(), sender=governor)
    for feed in range(1, 17):
        reporters.post(feed, T0, T0 - 2, [BTC + feed] * 3, sender=keeper)
    asked = [*range(16, 0, -1)]
    answers = [quotes.decode_quote(word).price_wad for word in hub.prices(asked, Level.TIGHT)]
    assert answers == [(BTC + feed) * 10**10 for feed in asked]
    assert hub.prices([3, 3], Level.TIGHT)[0] == hub.prices([3, 3], Level.TIGHT)[1]


def test_price__each_feed_ages_by_its_own_limit(
    evm: Evm, hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    slow = hub.add_feed(
        config(max_age_seconds=86_400, max_age_recent_seconds=86_400), sender=governor
    )
    for feed in (FEED, slow):
        reporters.post(feed, T0, T0 - 2, [BTC] * 3, sender=keeper)
    evm.warp(3_600)
    assert hub.price(slow, Level.TIGHT)
    with refused("oracle: stale price"):
        hub.price(FEED, Level.RECENT)


@pytest.mark.parametrize("decimals", range(19))
def test_price__is_wad_whatever_the_decimals(
    hub: Contract, governor: str, keeper: str, decimals: int
) -> None:
    reporters = listed(hub, governor, 1, 1)
    feed = hub.add_feed(config(decimals=decimals), sender=governor)
    mantissas = [1, 12_345_678, 2**56 - 1]
    for i, mantissa in enumerate(mantissas):
        slot = T0 - 100 + 2 * i
        reporters.post(feed, slot, slot - 2, [mantissa], sender=keeper)
        expected = mantissa * WAD // 10**decimals
        assert expected * 10**decimals == mantissa * WAD  # exact
        assert quotes.decode_quote(hub.price(feed, Level.ANY)).price_wad == expected
        assert hub.slot_price(feed, slot)[:3] == (expected,) * 3


# -- governance -------------------------------------------------------------------------------


def test_authority__only_the_governor_and_only_these_functions_change_anything(
    evm: Evm, hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    governed: dict[str, tuple[Any, ...]] = {
        "add_feed": (config(),),
        "set_feed_limits": (FEED, 1, 1, 1, 1),
        "set_feed_source": (FEED, hub.address),
        "add_reporter": (keeper, 3),
        "remove_reporter": (reporters.addresses[0], 3),
        "set_quorum": (4,),
        "transfer_ownership": (keeper,),
    }
    for name, arguments in governed.items():
        with refused("ownable: caller is not the owner"):
            getattr(hub, name)(*arguments, sender=keeper)
    changing = {
        entry["name"]
        for entry in hub.abi
        if entry["type"] == "function" and entry["stateMutability"] != "view"
    }
    assert changing == {*governed, "post", "post_many", "pull"}
    assert hub.owner() == governor


def test_deploy__the_owner_is_who_the_deployer_names(evm: Evm, governor: str, keeper: str) -> None:
    hub = evm.deploy(build.artifact("OracleHub", "cancun"), governor, sender=keeper)
    assert hub.owner() == governor
    assert (hub.feed_count(), hub.quorum(), hub.all_reporters()) == (0, 0, ())


def test_add_feed__numbers_them_and_tells(evm: Evm, hub: Contract, governor: str) -> None:
    for number in (1, 2, 3):
        changed = config(decimals=number, ring_length=100 * number)
        assert hub.add_feed(changed, sender=governor) == number
        (event,) = evm.events()
        assert event.name == "FeedChanged"
        assert event.args.feed == number
        assert tuple(event.args.config) == changed
        assert tuple(hub.feed_config(number)) == changed
    assert hub.feed_count() == 3


LOWEST = {
    "decimals": 0,
    "grid_seconds": 1,
    "ring_length": 16,
    "max_age_seconds": 1,
    "max_age_recent_seconds": 1,
    "conf_max_ppm": 1,
    "width_ppm": 1,
}
HIGHEST = {
    "decimals": 18,
    "grid_seconds": 3_600,
    "ring_length": 65_535,
    "max_age_seconds": 604_800,
    "max_age_recent_seconds": 604_800,
    "conf_max_ppm": 100_000,
    "width_ppm": 100_000,
}


@pytest.mark.parametrize("bounds", [LOWEST, HIGHEST])
def test_add_feed__at_its_bounds(hub: Contract, governor: str, bounds: dict[str, int]) -> None:
    feed = hub.add_feed(config(**bounds), sender=governor)
    assert tuple(hub.feed_config(feed)) == config(**bounds)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"decimals": 19}, "decimals above 18"),
        ({"decimals": 2**256 - 1}, "decimals above 18"),
        ({"grid_seconds": 0}, "grid out of range"),
        ({"grid_seconds": 3_601}, "grid out of range"),
        ({"ring_length": 15}, "ring out of range"),
        ({"ring_length": 65_536}, "ring out of range"),
        ({"max_age_seconds": 0}, "age out of range"),
        ({"max_age_seconds": 901}, "age out of range"),  # fresh longer than recent
        ({"max_age_recent_seconds": 604_801}, "age out of range"),
        ({"conf_max_ppm": 0}, "conf out of range"),
        ({"conf_max_ppm": 100_001}, "conf out of range"),
        ({"width_ppm": 0}, "width out of range"),
        ({"width_ppm": 100_001}, "width out of range"),
        ({"source": "0x" + "11" * 20}, "source has no code"),
    ],
)
def test_add_feed__refuses(
    hub: Contract, governor: str, changes: dict[str, Any], reason: str
) -> None:
    with refused(f"oracle: {reason}"):
        hub.add_feed(config(**changes), sender=governor)
    assert hub.feed_count() == 0


def test_set_feed_limits__keeps_the_price_and_the_rest(
    evm: Evm, hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    reporters.post(FEED, T0, T0 - 2, [BTC] * 3, 400, sender=keeper)
    before = hub.price(FEED, Level.ANY)
    hub.set_feed_limits(FEED, 60, 70, 399, 1, sender=governor)
    (event,) = evm.events("FeedChanged")
    changed = config(max_age_seconds=60, max_age_recent_seconds=70, conf_max_ppm=399, width_ppm=1)
    assert tuple(event.args.config) == tuple(hub.feed_config(FEED)) == changed
    assert hub.price(FEED, Level.ANY) == before
    with refused("oracle: wide confidence"):
        hub.price(FEED, Level.TIGHT)
    evm.warp(T0 + 70 - evm.timestamp)
    with refused("oracle: stale price"):
        hub.price(FEED, Level.FRESH)
    assert hub.price(FEED, Level.RECENT) == before
    # a newer price comes under the same limits
    reporters.post(FEED, T0 + 2, T0, [BTC] * 3, sender=keeper)
    assert tuple(hub.feed_config(FEED)) == changed


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ((0, 900, 1, 1), "age out of range"),
        ((901, 900, 1, 1), "age out of range"),
        ((1, 604_801, 1, 1), "age out of range"),
        ((1, 1, 0, 1), "conf out of range"),
        ((1, 1, 100_001, 1), "conf out of range"),
        ((1, 1, 1, 0), "width out of range"),
        ((1, 1, 1, 100_001), "width out of range"),
    ],
)
def test_set_feed_limits__refuses(
    hub: Contract, reporters: Reporters, governor: str, limits: tuple[int, ...], reason: str
) -> None:
    with refused(f"oracle: {reason}"):
        hub.set_feed_limits(FEED, *limits, sender=governor)
    with refused("oracle: unknown feed"):
        hub.set_feed_limits(FEED + 1, 1, 1, 1, 1, sender=governor)
    assert tuple(hub.feed_config(FEED)) == config()


def test_reports__a_feed_that_lives_from_them_has_no_source(
    hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    with refused("oracle: feed has no source"):
        hub.pull(FEED, 0, sender=keeper)
    with refused("oracle: unknown feed"):
        hub.pull(FEED + 1, 0, sender=keeper)
    with refused("oracle: feed has no source"):
        hub.set_feed_source(FEED, hub.address, sender=governor)
    with refused("oracle: unknown feed"):
        hub.set_feed_source(FEED + 1, hub.address, sender=governor)


def test_reporters__come_and_go_with_their_quorum(
    evm: Evm, hub: Contract, governor: str, keeper: str
) -> None:
    feed = hub.add_feed(config(), sender=governor)
    keys = Reporters(hub, 5)
    a, b, c, d, e = keys.addresses
    with refused("oracle: too few reports"):
        hub.post(feed, T0, T0 - 2, [], sender=keeper)  # without a quorum nothing is one

    hub.add_reporter(a, 1, sender=governor)
    assert [event.name for event in evm.events()] == ["ReporterChanged", "QuorumChanged"]
    assert evm.events("ReporterChanged")[0].args == (a, True)
    assert evm.events("QuorumChanged")[0].args == (1, 1)
    for reporter, quorum in ((b, 2), (c, 2), (d, 3), (e, 3)):
        hub.add_reporter(reporter, quorum, sender=governor)
    assert hub.all_reporters() == (a, b, c, d, e)
    assert [hub.reporter_number(one) for one in (a, e, keeper)] == [1, 5, 0]
    assert keys.post(feed, T0, T0 - 2, [BTC] * 3, sender=keeper)

    hub.remove_reporter(b, 3, sender=governor)
    assert evm.events("ReporterChanged")[0].args == (b, False)
    assert hub.all_reporters() == (a, e, c, d)
    assert [hub.reporter_number(one) for one in (a, e, c, d, b)] == [1, 2, 3, 4, 0]
    evm.warp(4)
    with refused("oracle: not a reporter"):
        keys.post(feed, T0 + 2, T0, [BTC] * 3, sender=keeper)  # b is among the first three
    report = PriceReport(FeedId(feed), T0 + 2, T0, BTC, 0)
    three = [as_argument(keys.report(i, report)) for i in (0, 4, 3)]
    assert hub.post(feed, T0 + 2, T0, three, sender=keeper)

    hub.remove_reporter(d, 2, sender=governor)  # the last in the list
    assert hub.all_reporters() == (a, e, c)
    for reporter, quorum in ((e, 2), (c, 1), (a, 0)):
        hub.remove_reporter(reporter, quorum, sender=governor)
    assert (hub.all_reporters(), hub.quorum()) == ((), 0)
    with refused("oracle: too few reports"):
        hub.post(feed, T0 + 4, T0 + 2, [], sender=keeper)


def test_reporters__each_fault_has_its_refusal(
    hub: Contract, reporters: Reporters, governor: str, keeper: str
) -> None:
    a = reporters.addresses[0]
    refusals: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
        (hub.add_reporter, (NOBODY, 4), "reporter is empty"),
        (hub.add_reporter, (a, 4), "already a reporter"),
        (hub.add_reporter, (keeper, 3), "quorum out of range"),  # 3 of 6: no majority
        (hub.add_reporter, (keeper, 7), "quorum out of range"),
        (hub.remove_reporter, (keeper, 3), "not a reporter"),
        (hub.remove_reporter, (NOBODY, 3), "not a reporter"),
        (hub.remove_reporter, (a, 2), "quorum out of range"),  # 2 of 4
        (hub.remove_reporter, (a, 5), "quorum out of range"),
        (hub.set_quorum, (0,), "quorum out of range"),
        (hub.set_quorum, (2,), "quorum out of range"),
        (hub.set_quorum, (6,), "quorum out of range"),
    ]
    for function, arguments, reason in refusals:
        with refused(f"oracle: {reason}"):
            function(*arguments, sender=governor)
    assert hub.all_reporters() == tuple(reporters.addresses)
    assert hub.quorum() == 3


def test_reporters__seventeen_at_most_and_nine_fix_a_slot(
    hub: Contract, governor: str, keeper: str
) -> None:
    feed = hub.add_feed(config(), sender=governor)
    keys = listed(hub, governor, 17, 9)
    with refused("oracle: too many reporters"):
        hub.add_reporter(keeper, 9, sender=governor)
    with refused("oracle: quorum out of range"):
        hub.set_quorum(10, sender=governor)
    report = PriceReport(FeedId(feed), T0, T0 - 2, BTC, 0)
    last_nine = [as_argument(keys.report(i, report)) for i in range(8, 17)]
    assert hub.post(feed, T0, T0 - 2, last_nine, sender=keeper)


# -- the choice of a quorum, off the chain ----------------------------------------------------


def signed_by(number: int, price: int, slot: int = T0) -> SignedReport:
    reporter = Address(number.to_bytes(20, "big"))
    return SignedReport(PriceReport(FeedId(FEED), slot, slot - 2, price, 0), reporter, 27, 1, 1)


@pytest.mark.parametrize(
    ("prices", "size", "width", "chosen"),
    [
        ([100_000, 100_100, 100_020, 100_010], 3, 2_000, [100_000, 100_010, 100_020]),
        ([100_000, 100_300, 100_310, 100_320], 3, 2_000, [100_300, 100_310, 100_320]),
        ([100_000, 100_010, 100_020, 100_030], 3, 2_000, [100_000, 100_010, 100_020]),  # a tie
        ([100_000, 100_200], 2, 2_000, [100_000, 100_200]),
        ([100_000, 100_201], 2, 2_000, None),
        ([100_000, 100_001], 3, 2_000, None),
        ([], 1, 2_000, None),
        ([100_000], 0, 2_000, None),
    ],
)
def test_choose_quorum__the_closest_together(
    prices: list[int], size: int, width: int, chosen: list[int] | None
) -> None:
    found = choose_quorum([signed_by(i, p) for i, p in enumerate(prices, 1)], size, width)
    assert (found and [one.report.price for one in found]) == chosen


def test_choose_quorum__counts_a_reporter_once_and_a_slot_alone() -> None:
    twice = [signed_by(1, 100_000), signed_by(1, 100_001)]
    assert choose_quorum(twice, 2, 2_000) is None
    with pytest.raises(ValueError, match="more than one feed, slot or previous slot"):
        choose_quorum([signed_by(1, 100_000), signed_by(2, 100_000, T0 + 2)], 2, 2_000)


def test_post_call__refuses_what_the_hub_would() -> None:
    with pytest.raises(ValueError, match="ascending order of price"):
        post_call([signed_by(1, 2), signed_by(2, 1)])
    with pytest.raises(ValueError, match="one feed, slot and previous slot, got 2"):
        post_call([signed_by(1, 1), signed_by(2, 1, T0 + 2)])
    with pytest.raises(ValueError, match="got 0"):
        post_many_call([[]])


@pytest.mark.parametrize(
    ("price", "confidence", "previous", "says"),
    [
        (0, 0, T0 - 2, "price 0: expected 1 to"),
        (2**56, 0, T0 - 2, "price 72057594037927936"),
        (1, -1, T0 - 2, "confidence -1"),
        (1, 2**24, T0 - 2, "confidence 16777216"),
        (1, 0, T0, "previous slot"),
        (1, 0, -1, "previous slot -1"),
    ],
)
def test_report__figures_that_no_hub_accepts(
    price: int, confidence: int, previous: int, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        PriceReport(FeedId(FEED), T0, previous, price, confidence)


def test_domain__differs_by_chain_and_hub() -> None:
    hubs = [Address(bytes(19) + bytes([i])) for i in (1, 2)]
    assert len({domain_separator(chain, hub) for chain in (1, 2) for hub in hubs}) == 4


def test_reporters__signatures_recover_to_their_addresses(
    hub: Contract, reporters: Reporters
) -> None:
    report = PriceReport(FeedId(FEED), T0, T0 - 2, BTC, 1)
    signed = reporters.report(2, report)
    recovered = Account._recover_hash(
        digest(report, reporters.domain), vrs=(signed.v, signed.r, signed.s)
    )
    assert recovered.lower() == reporters.addresses[2]
