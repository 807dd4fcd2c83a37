"""Packed words and stated divisions at their bounds, on the bytecode, against the layouts of
SPEC 1.3, 4.6 and 5.1 and against exact fractions."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import pytest

from keeper.core import accounts, market
from keeper.core.words import Layout
from scripts import build
from tests.support.evm import Contract, Evm
from tests.support.refusals import refused

WAD = 10**18
MIN, MAX = -(2**255), 2**255 - 1
TOO_LARGE = "word: value too large"


@pytest.fixture(scope="module")
def bench() -> Contract:
    evm = Evm()
    return evm.deploy(build.artifact("WordBench", "cancun"), sender=evm.account("governor"))


def drawn(layout: Layout, rng: random.Random) -> dict[str, int]:
    """Any value for each field of a layout."""
    return {name: rng.randint(*layout.bounds(name)) for name in layout.names}


# -- fields


@pytest.mark.parametrize(
    ("offset", "bits"), [(0, 1), (0, 112), (112, 96), (255, 1), (128, 128), (0, 255), (200, 56)]
)
def test_unsigned_field(bench: Contract, offset: int, bits: int) -> None:
    most = 2**bits - 1
    for value in {0, 1, most // 2, most}:
        word = bench.put_unsigned(value, offset, bits)
        assert word == value << offset
        neighbours = (2**256 - 1) ^ (most << offset)
        assert bench.unsigned(word | neighbours, offset, bits) == value
        assert bench.unsigned(word, offset, bits) == value
    for value in (most + 1, 2**256 - 1):
        with refused(TOO_LARGE):
            bench.put_unsigned(value, offset, bits)


@pytest.mark.parametrize(
    ("offset", "bits"), [(0, 8), (0, 112), (104, 104), (248, 8), (128, 128), (168, 88), (0, 255)]
)
def test_signed_field(bench: Contract, offset: int, bits: int) -> None:
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    for value in {least, -1, 0, 1, most}:
        word = bench.put_signed(value, offset, bits)
        assert word == (value % 2**bits) << offset
        neighbours = (2**256 - 1) ^ ((2**bits - 1) << offset)
        assert bench.signed(word | neighbours, offset, bits) == value
        assert bench.signed(word, offset, bits) == value
    for value in (least - 1, most + 1, MIN, MAX):
        with refused(TOO_LARGE):
            bench.put_signed(value, offset, bits)


# -- the words of an account


def account_struct(fields: dict[str, int]) -> tuple[Any, ...]:
    """The fields of the first word as the contract's struct has them."""
    return (
        fields["cash"],
        fields["reserved"],
        fields["id0"] | fields["id1"] << 16,
        fields["count"],
        fields["collateral"],
        fields["mode"],
        bool(fields["called"]),
    )


@pytest.mark.parametrize("name", accounts.HEAD.names)
def test_account_word__a_field_at_its_bounds_among_any_others(
    bench: Contract, name: str, seed: int
) -> None:
    rng = random.Random(f"{seed} {name}")
    for value in (*accounts.HEAD.bounds(name), 0):
        fields = drawn(accounts.HEAD, rng) | {name: value}
        word = accounts.HEAD.pack(fields)
        assert bench.pack_account(account_struct(fields)) == word
        assert bench.unpack_account(word) == account_struct(fields)


@pytest.mark.parametrize(
    ("name", "value"),
    [("cash", 2**111), ("cash", -(2**111) - 1), ("reserved", 2**96), ("reserved", 2**256 - 1)],
)
def test_account_word__money_that_does_not_fit_is_refused(
    bench: Contract, name: str, value: int
) -> None:
    fields = dict.fromkeys(accounts.HEAD.names, 0) | {name: value}
    with refused(TOO_LARGE):
        bench.pack_account(account_struct(fields))


@pytest.mark.parametrize("place", range(16))
def test_account_ids__every_place_of_both_words(bench: Contract, place: int, seed: int) -> None:
    rng = random.Random(f"{seed} {place}")
    ids = [rng.randint(1, 65_535) for _ in range(16)]
    heads = ids[0] | ids[1] << 16
    deadline = rng.getrandbits(32) << 224
    tail = sum(one << 16 * i for i, one in enumerate(ids[2:])) | deadline
    assert bench.id_at(heads, tail, place) == ids[place]
    for value in (0, 1, 65_535):
        changed = [*ids[:place], value, *ids[place + 1 :]]
        found = bench.with_id(heads, tail, place, value)
        assert found[0] == changed[0] | changed[1] << 16
        assert found[1] == sum(one << 16 * i for i, one in enumerate(changed[2:])) | deadline
        assert [bench.id_at(*found, i) for i in range(16)] == changed


def test_account_id__owner_bucket_and_mode(bench: Contract) -> None:
    owner = "0x" + bytes(range(1, 21)).hex()
    for bucket in (0, 1, 2**96 - 1):
        account = bytes(range(1, 21)) + bucket.to_bytes(12, "big")
        assert bench.owner(account) == owner
        assert bench.mode(account, 0) == (2 if bucket == 0 else 1)
        assert [bench.mode(account, chosen) for chosen in (1, 2)] == [1, 2]
    assert bench.cross_bucket(owner) == bytes(range(1, 21)) + bytes(12)


# -- the words of a market

MARKET_FIELDS = [
    (place, name) for place, layout in enumerate(market.LAYOUTS) for name in layout.names
]
ORDER = [
    "long_index",
    "short_index",
    "accrued_at",
    "stopped",
    "easing",
    "rate",
    "gap",
    "notional_sum",
    "long_interest",
    "short_interest",
    "requirement",
    "index_sum",
    "mark",
    "won",
    "forced",
    "forced_at",
]


def market_struct(fields: dict[str, int]) -> tuple[int, ...]:
    """The fields of the five words as the contract's struct has them; the last is not stored."""
    return (*(fields[name] for name in ORDER), 0)


def drawn_market(rng: random.Random) -> dict[str, int]:
    fields: dict[str, int] = {}
    for layout in market.LAYOUTS:
        fields |= drawn(layout, rng)
    return fields


@pytest.mark.parametrize(("place", "name"), MARKET_FIELDS)
def test_market_words__a_field_at_its_bounds_among_any_others(
    bench: Contract, place: int, name: str, seed: int
) -> None:
    rng = random.Random(f"{seed} {name}")
    for value in (*market.LAYOUTS[place].bounds(name), 0):
        fields = drawn_market(rng) | {name: value}
        words = tuple(layout.pack(fields) for layout in market.LAYOUTS)
        assert bench.pack_market(market_struct(fields)) == words
        assert bench.unpack_market(words) == market_struct(fields)


@pytest.mark.parametrize(("place", "name"), MARKET_FIELDS)
def test_market_words__what_does_not_fit_is_refused(bench: Contract, place: int, name: str) -> None:
    least, most = market.LAYOUTS[place].bounds(name)
    nothing = dict.fromkeys(ORDER, 0)
    with refused(TOO_LARGE):
        bench.pack_market(market_struct(nothing | {name: most + 1}))
    if least < 0:
        with refused(TOO_LARGE):
            bench.pack_market(market_struct(nothing | {name: least - 1}))
    elif name in ("gap", "long_interest", "short_interest"):  # signed until they are stored
        with refused(""):
            bench.pack_market(market_struct(nothing | {name: -1}))


# -- what the words are for


@pytest.mark.parametrize(
    ("forced", "elapsed", "left"),
    [
        (7_200, 0, 7_200),
        (7_200, 1, 7_199),
        (-7_200, 1, -7_199),
        (1, 7_199, 1),  # the part that has entered is cut
        (-1, 7_199, -1),
        (1, 7_200, 0),
        (-(2**87), 3_600, -(2**86)),
        (2**87 - 1, 3_600, 2**86),
        (5, 10**9, 0),
        (0, 3_600, 0),
    ],
)
def test_residual(bench: Contract, forced: int, elapsed: int, left: int) -> None:
    assert bench.residual(forced, 1_700_000_000, 1_700_000_000 + elapsed, 7_200) == left


@pytest.mark.parametrize(
    ("size", "index", "settled", "owed"),
    [
        (WAD, 5, 2, 3),
        (-WAD, 5, 2, 3),
        (WAD, 2, 5, -3),
        (WAD // 2, 5, 2, 2),  # 1.5: the account pays no less
        (WAD // 2, 2, 5, -1),  # and gets no more
        (1, 1, 0, 1),
        (1, 0, 1, 0),
        (2**95, 2**103 - 1, -(2**103), -(-(2**95) * (2**104 - 1) // WAD)),
    ],
)
def test_owed(bench: Contract, size: int, index: int, settled: int, owed: int) -> None:
    assert bench.owed(size, index, settled) == owed


@pytest.mark.parametrize(
    ("size", "settled", "part"),
    [(WAD, 7, 7), (-WAD, 7, 7), (WAD // 2, 7, 3), (WAD // 2, -7, -4), (1, -1, -1), (0, 7, 0)],
)
def test_index_part(bench: Contract, size: int, settled: int, part: int) -> None:
    assert bench.index_part(size, settled) == part


@pytest.mark.parametrize(
    ("net", "premium_net", "reserve"),
    [
        (8 * WAD, 8 * WAD, 200 * WAD),  # 50,000 · 8 · 8 / 16,000
        (-8 * WAD, -8 * WAD, 200 * WAD),
        (6 * WAD, 8 * WAD, 187_500 * 10**15),  # two were closed by force
        (8 * WAD, 3 * WAD, -50 * WAD),
        (0, 8 * WAD, 0),
        (1, 1, 1),
        (-1, 1, 0),  # −3 · 10^-36, up
    ],
)
def test_reserve(bench: Contract, net: int, premium_net: int, reserve: int) -> None:
    assert bench.reserve(50_000 * WAD, 8_000 * WAD, net, premium_net) == reserve


# -- divisions


def test_divisions__take_their_direction_for_both_signs(bench: Contract, seed: int) -> None:
    rng = random.Random(seed)
    cases = [(a, b) for a in (MIN, MIN + 1, -3, -2, -1, 0, 1, 2, 3, MAX) for b in (1, 2, 3, MAX)]
    cases += [
        (rng.choice((1, -1)) * rng.getrandbits(rng.randint(1, 254)), rng.getrandbits(100) + 1)
        for _ in range(200)
    ]
    for a, b in cases:
        assert bench.floor_div(a, b) == math.floor(Fraction(a, b)), (a, b)
        assert bench.ceil_div(a, b) == math.ceil(Fraction(a, b)), (a, b)
        if 0 <= a < MAX:
            assert bench.ceil_div_unsigned(a, b) == math.ceil(Fraction(a, b)), (a, b)


# -- prices


def test_pricing__a_future_is_worth_its_index_and_no_other_kind_is_priced(bench: Contract) -> None:
    assert bench.fair_and_payoff(0, 50_000 * WAD) == (50_000 * WAD,) * 2
    for kind in (1, 255):
        with refused("pricing: kind not priced"):
            bench.fair_and_payoff(kind, WAD)
        with refused("pricing: kind not priced"):
            bench.payoff(kind, WAD)


@pytest.mark.parametrize("full", range(4))
def test_quote_word__a_full_field_leaves_the_others_alone(bench: Contract, full: int) -> None:
    most = (2**128 - 1, 2**32 - 1, 2**40 - 1, 2**24 - 1)
    fields = tuple(most[place] if place == full else 0 for place in range(4))
    assert tuple(bench.quote(*fields)) == fields
    others = tuple(0 if place == full else most[place] for place in range(4))
    assert tuple(bench.quote(*others)) == others
