"""Packed words: what goes in comes out, and what does not fit is named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core import accounts, market, quotes
from keeper.core import terms as instrument_terms
from keeper.core.accounts import Account, listed, mode_of, unlisted
from keeper.core.terms import Terms
from keeper.core.types import (
    AccountId,
    Address,
    InstrumentId,
    Level,
    Mode,
    Refused,
    account_id,
    bucket_of,
    owner_of,
)
from keeper.core.units import WAD
from keeper.core.words import Layout
from tests.property.strategies import plain_terms, terms

MANY = settings(max_examples=200)
books = st.lists(
    st.integers(1, 65_535).map(InstrumentId), min_size=0, max_size=16, unique=True
).map(tuple)


def fields(layout: Layout) -> st.SearchStrategy[dict[str, int]]:
    return st.fixed_dictionaries({name: st.integers(*layout.bounds(name)) for name in layout.names})


@MANY
@given(st.data())
def test_every_value_in_bounds_survives_its_word(data: st.DataObject) -> None:
    layout = Layout(a=-112, b=96, c=16, d=-24, e=8)
    values = data.draw(fields(layout))
    word = layout.pack(values)
    assert 0 <= word < 1 << 256
    assert layout.unpack(word) == values


@pytest.mark.parametrize(
    ("value", "fits"), [(127, True), (128, False), (-128, True), (-129, False)]
)
def test_bounds_of_a_signed_field(value: int, fits: bool) -> None:
    layout = Layout(small=-8)
    if fits:
        assert layout.unpack(layout.pack({"small": value})) == {"small": value}
    else:
        with pytest.raises(ValueError, match=f"small = {value} does not fit in 8 bits"):
            layout.pack({"small": value})


def test_a_word_has_256_bits() -> None:
    with pytest.raises(ValueError, match="these fields need 257"):
        Layout(a=-128, b=129)


@MANY
@given(
    st.builds(
        Account,
        cash=st.integers(-(2**111), 2**111 - 1),
        reserved=st.integers(0, 2**96 - 1),
        book=books,
        collateral=st.integers(0, 255),
        mode=st.sampled_from((Mode.DEFAULT, Mode.ISOLATED, Mode.CROSS)),
        called=st.booleans(),
        call_deadline=st.integers(0, 2**32 - 1),
    )
)
def test_account_words(record: Account) -> None:
    assert accounts.decode(*accounts.encode(record)) == record


@MANY
@given(terms())
def test_terms_words(about: Terms) -> None:
    assert instrument_terms.decode(*instrument_terms.encode(about)) == about


def test_terms_setter_rule_at_its_edge() -> None:
    """(1.3 − 1) · 15 % = 4.5 % covers 3 % of costs and a band of 1.5 %, and not a ppm more."""
    figures = {"penalty_ppm": 20_000, "lambda_ppm": 9_500, "taker_ppm": 500}
    most = 19_500 * WAD  # units: 1.95 % of the depth, for 0.95 % and half of 2 %
    about = plain_terms(**figures, oi_cap_wad=most)
    assert instrument_terms.weighable(about, band_ppm=15_000, tail_ppm=120_000)
    assert not instrument_terms.weighable(about, band_ppm=15_001, tail_ppm=120_000)
    assert not instrument_terms.weighable(about, band_ppm=15_000, tail_ppm=120_001)
    wider = plain_terms(**figures, oi_cap_wad=most + 1)
    assert not instrument_terms.weighable(wider, band_ppm=15_000, tail_ppm=120_000)


@MANY
@given(st.data())
def test_market_words(data: st.DataObject) -> None:
    values: dict[str, int] = {}
    for layout in market.LAYOUTS:
        values.update(data.draw(fields(layout)))
    state = market.Market(**values)
    assert market.decode(market.encode(state)) == state


@MANY
@given(books, st.data())
def test_a_closed_instrument_gives_its_place_to_the_last(
    book: tuple[InstrumentId, ...], data: st.DataObject
) -> None:
    """I-11."""
    if not book:
        assert listed(book, InstrumentId(7)) == (7,)
        return
    gone = data.draw(st.sampled_from(book))
    left = unlisted(book, gone)
    assert sorted((*left, gone)) == sorted(book)
    kept = [place for place, one in enumerate(book[:-1]) if one != gone]
    assert all(left[place] == book[place] for place in kept)


def test_account_identity_and_default_modes() -> None:
    owner = Address(bytes(range(20)))
    account = account_id(owner, 2**96 - 1)
    assert len(account) == 32
    assert (owner_of(account), bucket_of(account)) == (owner, 2**96 - 1)
    assert mode_of(account_id(owner, 0), Account()) is Mode.CROSS
    assert mode_of(account, Account()) is Mode.ISOLATED
    assert mode_of(AccountId(bytes(32)), Account(mode=Mode.ISOLATED)) is Mode.ISOLATED


REPORTERS = [Address(bytes([place]) * 20) for place in range(9)]


@MANY
@given(st.lists(st.integers(1, 2**56 - 1), min_size=1, max_size=7), st.integers(1, 2**40 - 1))
def test_quorum_word(prices: list[int], slot: int) -> None:
    reports = [
        quotes.Report(REPORTERS[place], price, place) for place, price in enumerate(sorted(prices))
    ]
    stored = quotes.quorum(reports, slot, slot - 1, 2**256, len(prices), REPORTERS)
    assert quotes.decode_stored(stored.word()) == stored
    assert stored.low <= stored.median <= stored.high
    below = sum(price < stored.median for price in prices)
    above = sum(price > stored.median for price in prices)
    assert below <= (len(prices) - 1) // 2
    assert above <= len(prices) // 2
    assert stored.conf_ppm == len(prices) - 1


def test_what_is_no_quorum() -> None:
    def refuse(reports: list[quotes.Report], reason: str) -> None:
        with pytest.raises(Refused, match=f"^oracle: {reason}$"):
            quotes.quorum(reports, 10, 8, 1_000, 2, REPORTERS[:3])

    first, second, third, stranger = REPORTERS[:4]
    one, other = quotes.Report(first, 1_000, 5), quotes.Report(second, 1_001, 5)
    assert quotes.quorum([one, other], 10, 8, 1_000, 2, REPORTERS[:3]).median == 1_000
    refuse([one], "too few reports")
    refuse([one, other, quotes.Report(third, 1_001, 5)], "too many reports")
    refuse([quotes.Report(first, 0, 5), other], "price is zero")
    refuse([other, one], "reports not sorted")
    refuse([one, quotes.Report(None, 1_001, 5)], "bad signature")
    refuse([one, quotes.Report(stranger, 1_001, 5)], "not a reporter")
    refuse([one, quotes.Report(first, 1_001, 5)], "reporter twice")
    refuse([one, quotes.Report(second, 1_002, 5)], "reports too wide")


def test_levels_of_a_price() -> None:
    feed = quotes.Feed(
        decimals=8,
        grid_seconds=2,
        ring_length=64,
        width_ppm=1_000,
        max_age_seconds=60,
        max_age_recent_seconds=300,
        conf_max_ppm=500,
    )
    report = quotes.Report(REPORTERS[0], 3_000 * 10**8, 501)
    stored = quotes.quorum([report], 1_000, 998, 0, 1, REPORTERS)
    ages = {Level.ANY: 10**6, Level.RECENT: 300, Level.FRESH: 60}
    for level, age in ages.items():
        quote = quotes.quote(feed, stored, level, 1_000 + age)
        assert quotes.decode_quote(quote.word()) == quote
        assert quote.price_wad == 3_000 * 10**18
    for level in (Level.RECENT, Level.FRESH):
        with pytest.raises(Refused, match="oracle: stale price"):
            quotes.quote(feed, stored, level, 1_001 + ages[level])
    with pytest.raises(Refused, match="oracle: wide confidence"):
        quotes.quote(feed, stored, Level.TIGHT, 1_000)
    with pytest.raises(Refused, match="oracle: no price"):
        quotes.quote(feed, None, Level.ANY, 1_000)
