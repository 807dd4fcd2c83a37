"""Instruments: what may be listed, every bound, the rules that tie margin to penalty and fees."""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import astuple, replace
from decimal import Decimal
from typing import Any

import pytest

from keeper.core.ramps import Ramp
from keeper.core.terms import (
    FillTerms,
    LimitTerms,
    RiskTerms,
    Terms,
    UnderlyingTerms,
    decode,
    encode,
    in_force,
    weighable,
)
from keeper.core.types import FeedId, Status
from scripts import build, parameters
from scripts.parameters import units
from tests.support.evm import Contract, Evm, Revert
from tests.support.refusals import refused

PPM = 10**6
NOBODY = "0x" + "00" * 20
HUGE = 2**256 - 1
WAD = 10**18

# A future whose margin is so wide that every single figure may go to its bound
WIDE = Terms(
    risk=RiskTerms(0, 1, 0, 28_800, 10_000, 2_000, 7_500, 0),
    fill=FillTerms(10**36, 1, 200, 500, 10_000, 500, 0),
    limit=LimitTerms(800 * WAD, 40_000_000, 100, 3_500, 7_500, 4_000, 2_000, 1_000),
    underlying=UnderlyingTerms(FeedId(1), 500_000, 5_000_000, 10**7, 50_000, 1, 550_000),
)
# and one with shock 5 %, factor 1.5 and 1 % of cost
TIGHT = replace(
    WIDE,
    fill=replace(WIDE.fill, taker_ppm=500),
    limit=replace(WIDE.limit, lambda_ppm=2_000, penalty_ppm=7_500),
    underlying=replace(WIDE.underlying, shock_ppm=50_000, factor_ppm=1_500_000),
)
GAPS = (15_000, 40_000)  # band and tail of TIGHT: both rules hold with nothing to spare


@pytest.fixture
def evm() -> Evm:
    return Evm()


@pytest.fixture
def governor(evm: Evm) -> str:
    return evm.account("governor")


@pytest.fixture
def instruments(evm: Evm, governor: str) -> Contract:
    """A registry over a hub with two feeds; a wallet stands in for the Volatility contract."""
    hub = evm.deploy(build.artifact("OracleHub", "cancun"), governor, sender=governor)
    for _ in range(2):
        hub.add_feed((8, 2, 64, 120, 900, 5_000, 2_000, NOBODY), sender=governor)
    artifact = build.artifact("Instruments", "cancun")
    companions = evm.account("markets"), evm.account("volatility")
    return evm.deploy(artifact, governor, hub.address, *companions, sender=governor)


def fill(terms: FillTerms) -> tuple[int, ...]:
    """As the setters take it: without the status, which has a setter of its own."""
    return astuple(terms)[:-1]


def add_underlying(
    instruments: Contract, governor: str, terms: Terms, gaps: tuple[int, int] = (1, 1)
) -> int:
    return int(instruments.add_underlying(astuple(terms.underlying), gaps, sender=governor))


def add_instrument(instruments: Contract, governor: str, terms: Terms) -> int:
    arguments = astuple(terms.risk), fill(terms.fill), astuple(terms.limit)
    return int(instruments.add_instrument(*arguments, sender=governor))


@pytest.fixture
def wide(instruments: Contract, governor: str) -> Contract:
    """The registry with the instrument WIDE."""
    add_underlying(instruments, governor, WIDE)
    add_instrument(instruments, governor, WIDE)
    return instruments


@pytest.fixture
def tight(instruments: Contract, governor: str) -> Contract:
    """The registry with the instrument TIGHT."""
    add_underlying(instruments, governor, TIGHT, GAPS)
    add_instrument(instruments, governor, TIGHT)
    return instruments


# -- listing and reading ----------------------------------------------------------------------


def test_add__numbers_them_tells_and_packs_as_the_model_does(
    evm: Evm, instruments: Contract, governor: str
) -> None:
    assert (instruments.count(), instruments.underlying_count()) == (0, 0)
    assert add_underlying(instruments, governor, TIGHT, GAPS) == 1
    event, moved = evm.events()
    assert event.name == "UnderlyingChanged"
    assert event.args == (1, astuple(TIGHT.underlying), GAPS)
    assert moved.name == "UnderlyingMoved"
    assert moved.args == (1, (50_000, 0, evm.timestamp, 0, 0, 0, 0))
    assert instruments.underlying_gaps(1) == GAPS

    assert add_instrument(instruments, governor, TIGHT) == 1
    assert [event.name for event in evm.events()] == [
        "RiskTermsChanged",
        "FillTermsChanged",
        "LimitTermsChanged",
    ]
    risk, filled, limit = (event.args for event in evm.events())
    assert risk == (1, astuple(TIGHT.risk))
    assert filled == (1, fill(TIGHT.fill), 0)
    assert limit == (1, astuple(TIGHT.limit))
    assert instruments.terms(1) == encode(TIGHT)
    assert (instruments.count(), instruments.underlying_count()) == (1, 1)


def test_terms__equal_the_model_for_any_that_are_accepted(
    instruments: Contract, governor: str, seed: int
) -> None:
    chance = random.Random(seed)
    for number in range(1, 61):
        terms = within_bounds(chance, number)
        gaps = 1, 1
        assert weighable(terms, *gaps)
        assert add_underlying(instruments, governor, terms, gaps) == number
        assert add_instrument(instruments, governor, terms) == number
        assert instruments.terms(number) == encode(terms)
        assert decode(*instruments.terms(number)) == terms


def within_bounds(chance: random.Random, underlying: int) -> Terms:
    """Any figures between the bounds, with margin wide enough for the rules."""

    def of(group: str) -> dict[str, int]:
        return {
            name: chance.choice((low, high, chance.randint(low, high)))
            for name, low, high, _ in BOUNDS[group]
        }

    filling = of("fill")
    filling["maker_ppm"] = chance.randint(0, filling["taker_ppm"])
    under = {**of("underlying"), "shock_ppm": chance.randint(250_000, 500_000)}
    under["factor_ppm"] = chance.randint(2_500_000, 5_000_000)
    limits = of("limit") | {"lambda_ppm": chance.randint(1_000, 100_000)}
    limits["oi_cap_wad"] = min(limits["oi_cap_wad"], filling["depth_wad"] // 1_000)
    limits["fee_protocol_bps"] = chance.randint(0, 10_000 - limits["fee_insurance_bps"])
    return Terms(
        risk=RiskTerms(kind=0, underlying=underlying, strike_wad=0, margin_class=0, **of("risk")),
        fill=FillTerms(status=0, **filling),
        limit=LimitTerms(**limits),
        underlying=UnderlyingTerms(feed=FeedId(chance.choice((1, 2))), **under),
    )


def shares(evm: Evm, instruments: Contract, number: int) -> bool:
    """Whether what acts ask of an instrument is its words, without what only options and
    portfolios need, and its underlying's as the model has it in force."""
    known = decode(*instruments.terms(number))
    ramp = Ramp(*instruments.ramp(known.risk.underlying))
    now = in_force(known, ramp, evm.timestamp)
    moving = (
        now.initial_shock_ppm << 168
        | now.scan.sigma_ppm << 192
        | ramp.target(known.underlying.shock_ppm) << 216
    )
    whole = encode(now)[3] | moving
    assert instruments.underlying_terms(known.risk.underlying) == whole
    alone = replace(now, underlying=replace(now.underlying, cluster=0, rho_ppm=0))
    risk, filled, limit, underlying = encode(alone)
    underlying |= moving & ~(0xFFFFFF << 192)  # a future needs no volatility
    return bool(
        instruments.risk_terms(number) == (risk, underlying)
        and instruments.mark_terms(number) == (risk, filled, underlying)
        and instruments.trade_terms(number) == (risk, filled, limit, underlying)
    )


def test_terms_of_acts__follow_every_change(
    evm: Evm, instruments: Contract, governor: str, seed: int
) -> None:
    chance = random.Random(seed)
    for number in (1, 2):
        add_underlying(instruments, governor, within_bounds(chance, number), (1, 1))
    for _ in range(6):
        terms = within_bounds(chance, chance.choice((1, 2)))
        risk = replace(terms.risk, underlying=chance.choice((1, 2)))
        add_instrument(instruments, governor, replace(terms, risk=risk))
    for number in range(1, 7):
        assert shares(evm, instruments, number)
    for _ in range(10):
        place, number = chance.choice((1, 2)), chance.randint(1, 6)
        terms = within_bounds(chance, place)
        feed = decode(*instruments.terms(number)).underlying.feed
        under = decode(*instruments.terms(number)).risk.underlying
        changed = replace(terms.underlying, feed=feed)
        instruments.set_underlying(under, astuple(changed), (1, 1), sender=governor)
        instruments.set_risk_terms(number, *astuple(terms.risk)[3:7], sender=governor)
        assert decode(*instruments.terms(number)).underlying == changed
        assert all(shares(evm, instruments, one) for one in range(1, 7))
        evm.warp(chance.choice((1, 300, 7_200, 86_400)))
        goals = chance.randint(0, 500_000), chance.randint(0, 500_000), chance.randint(1, 4 * PPM)
        instruments.move(under, *goals, sender=evm.account("volatility"))
        assert all(shares(evm, instruments, one) for one in range(1, 7))
        evm.warp(chance.choice((1, 300, 7_200, 86_400)))
        assert all(shares(evm, instruments, one) for one in range(1, 7))


def test_risk_terms__are_the_words_of_margin(
    evm: Evm, instruments: Contract, governor: str
) -> None:
    for feed in (1, 2):
        terms = replace(WIDE, underlying=replace(WIDE.underlying, feed=FeedId(feed)))
        add_underlying(instruments, governor, terms)
    for underlying, period in ((1, 3_600), (2, 7_200), (1, 10_800)):
        risk = replace(WIDE.risk, underlying=underlying, period_seconds=period)
        add_instrument(instruments, governor, replace(WIDE, risk=risk))
    words = {one: instruments.terms(one) for one in (1, 2, 3)}
    for one in (3, 1, 2):
        assert shares(evm, instruments, one)
    assert words[1][3] == words[3][3] != words[2][3]


def test_unknown__instruments_and_underlyings_are_refused(wide: Contract, governor: str) -> None:
    for one in (0, 2, HUGE):
        views = (wide.terms, wide.trade_terms, wide.mark_terms, wide.risk_terms)
        for view in (*views, wide.max_leverage_ppm):
            with refused("instruments: unknown instrument"):
                view(one)
        for setter, arguments in (
            (wide.set_risk_terms, astuple(WIDE.risk)[3:7]),
            (wide.set_fill_terms, (fill(WIDE.fill),)),
            (wide.set_limits, (astuple(WIDE.limit),)),
            (wide.set_status, (0,)),
        ):
            with refused("instruments: unknown instrument"):
                setter(one, *arguments, sender=governor)
        with refused("instruments: unknown underlying"):
            wide.set_underlying(one, astuple(WIDE.underlying), (1, 1), sender=governor)
        with refused("instruments: unknown underlying"):
            add_instrument(wide, governor, replace(WIDE, risk=replace(WIDE.risk, underlying=one)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": 1}, "instruments: kind not priced yet"),
        ({"kind": 255}, "instruments: kind not priced yet"),
        ({"kind": 256}, "instruments: kind not priced yet"),
        ({"kind": 1, "strike_wad": WAD}, "instruments: kind not priced yet"),
        ({"strike_wad": 1}, "instruments: future has no strike"),
        ({"margin_class": 1}, "instruments: future has no class"),
    ],
)
def test_add_instrument__only_futures_have_a_price_yet(
    wide: Contract, governor: str, changes: dict[str, int], reason: str
) -> None:
    with refused(reason):
        add_instrument(wide, governor, replace(WIDE, risk=replace(WIDE.risk, **changes)))
    assert wide.count() == 1


@pytest.mark.parametrize("feed", [0, 3, 2**16, HUGE])
def test_add_underlying__over_a_feed_that_is_listed(
    instruments: Contract, governor: str, feed: int
) -> None:
    with refused("instruments: unknown feed"):
        instruments.add_underlying((feed, *astuple(WIDE.underlying)[1:]), (1, 1), sender=governor)
    assert instruments.underlying_count() == 0


def test_add__sixty_four_of_each_at_most(instruments: Contract, governor: str) -> None:
    for _ in range(64):
        add_underlying(instruments, governor, WIDE)
        add_instrument(instruments, governor, WIDE)
    with refused("instruments: too many"):
        add_underlying(instruments, governor, WIDE)
    with refused("instruments: too many"):
        add_instrument(instruments, governor, WIDE)
    # the setter that looks at all of them still works
    instruments.set_underlying(1, astuple(WIDE.underlying), (2, 2), sender=governor)


# -- bounds -----------------------------------------------------------------------------------

BOUNDS: dict[str, list[tuple[str, int, int, str]]] = {
    "underlying": [
        ("shock_ppm", 1_000, 500_000, "shock out of range"),
        ("factor_ppm", 1_000_001, 5_000_000, "factor out of range"),
        ("liquidity_usd", 1_000, 10**12, "liquidity out of range"),
        ("concentration_ppm", 0, 10**7, "concentration too large"),
        ("cluster", 0, 255, "cluster too large"),
        ("rho_ppm", 0, 10**6, "rho above 1"),
    ],
    "risk": [
        ("period_seconds", 3_600, 2_592_000, "period out of range"),
        ("oi_rate_ppm", 0, 500_000, "oi rate too large"),
        ("reserve_milli", 0, 10**6, "reserve too large"),
        ("funding_cap_ppm_per_day", 1, 300_000, "funding cap out of range"),
    ],
    "fill": [
        ("depth_wad", 10**15, 10**36, "depth out of range"),
        ("premium_max_ppm", 1, 200_000, "premium out of range"),
        ("taker_ppm", 1, 20_000, "taker fee out of range"),
        ("maker_ppm", 0, 1, "maker above taker"),
        ("gap_ppm_per_year", 0, 10**6, "gap fee too large"),
        ("lapse_ppm", 0, 50_000, "lapse charge too large"),
    ],
    "limit": [
        ("oi_cap_wad", 1, 10**28, "oi cap out of range"),
        ("oi_cap_usd", 1, 10**12, "usd cap out of range"),
        ("min_notional_usd", 1, 10**6, "min notional out of range"),
        ("lambda_ppm", 0, 100_000, "lambda too large"),
        ("penalty_ppm", 1, 100_000, "penalty out of range"),
        ("liquidator_bps", 0, 10_000, "liquidator above 100 %"),
        ("fee_insurance_bps", 0, 9_000, "fee shares above 100 %"),
        ("fee_protocol_bps", 0, 8_000, "fee shares above 100 %"),
    ],
}


@pytest.mark.parametrize(
    ("group", "name", "low", "high", "reason"),
    [(group, *bound) for group, bounds in BOUNDS.items() for bound in bounds],
    ids=[name for bounds in BOUNDS.values() for name, *_ in bounds],
)
def test_bounds__at_them_accepted_beyond_refused(
    wide: Contract, governor: str, group: str, name: str, low: int, high: int, reason: str
) -> None:
    figures = getattr(WIDE, group)
    if name == "maker_ppm":
        figures = replace(figures, taker_ppm=1)
    if name == "taker_ppm":
        figures = replace(figures, maker_ppm=0)
    # the rules ask more of an underlying with instruments than its bounds do
    target = add_underlying(wide, governor, WIDE) if group == "underlying" else 1
    if name == "depth_wad":  # as low as only the least open interest allows
        wide.set_limits(1, astuple(replace(WIDE.limit, oi_cap_wad=1)), sender=governor)
    for edge in (low, high):
        changed = replace(figures, **{name: edge})
        set_group(wide, governor, target, group, changed)
        if group != "underlying":
            assert getattr(decode(*wide.terms(1)), group) == changed
    before = wide.terms(1)
    for beyond in (low - 1, high + 1, HUGE):
        if beyond >= 0:
            with refused(f"terms: {reason}"):
                set_group(wide, governor, target, group, replace(figures, **{name: beyond}))
    assert wide.terms(1) == before


def set_group(instruments: Contract, governor: str, target: int, group: str, figures: Any) -> None:
    if group == "underlying":
        instruments.set_underlying(target, astuple(figures), (1, 1), sender=governor)
    elif group == "risk":
        instruments.set_risk_terms(target, *astuple(figures)[3:7], sender=governor)
    elif group == "fill":
        instruments.set_fill_terms(target, fill(figures), sender=governor)
    else:
        instruments.set_limits(target, astuple(figures), sender=governor)


@pytest.mark.parametrize(
    ("gaps", "reason"),
    [
        ((0, 1), "band out of range"),
        ((200_001, 1), "band out of range"),
        ((1, 0), "tail out of range"),
        ((1, 500_001), "tail out of range"),
        ((200_000, 500_000), None),
    ],
)
def test_bounds__of_band_and_tail(
    instruments: Contract, governor: str, gaps: tuple[int, int], reason: str | None
) -> None:
    if reason is None:
        assert add_underlying(instruments, governor, WIDE, gaps) == 1
        assert instruments.underlying_gaps(1) == gaps
    else:
        with refused(f"terms: {reason}"):
            add_underlying(instruments, governor, WIDE, gaps)


def test_bounds__hold_at_listing_too(wide: Contract, governor: str) -> None:
    for group, bounds in BOUNDS.items():
        for name, _, _, reason in bounds:
            figures = replace(getattr(WIDE, group), **{name: HUGE})
            terms = replace(WIDE, **{group: figures})
            with refused(f"terms: {reason}"):
                if group == "underlying":
                    add_underlying(wide, governor, terms)
                else:
                    add_instrument(wide, governor, terms)
    assert (wide.count(), wide.underlying_count()) == (1, 1)


# -- margin covers what a liquidation costs (SPEC 7.10) ---------------------------------------


def test_fit__to_the_ppm_in_every_setter(tight: Contract, governor: str) -> None:
    """TIGHT has nothing to spare: one ppm more of anything is refused by its setter."""
    with refused("terms: factor too small"):
        tight.set_fill_terms(1, fill(replace(TIGHT.fill, taker_ppm=501)), sender=governor)
    for name in ("lambda_ppm", "penalty_ppm"):
        dearer = replace(TIGHT.limit, **{name: getattr(TIGHT.limit, name) + 1})
        with refused("terms: factor too small"):
            tight.set_limits(1, astuple(dearer), sender=governor)
    under = TIGHT.underlying
    for figures, gaps, reason in (
        (under, (15_001, 40_000), "factor too small"),
        (under, (15_000, 40_001), "shock too small"),
        (replace(under, factor_ppm=1_499_999), GAPS, "factor too small"),
        (replace(under, shock_ppm=49_999), GAPS, "factor too small"),
        (replace(under, shock_ppm=49_999, factor_ppm=1_600_000), GAPS, "shock too small"),
    ):
        with refused(f"terms: {reason}"):
            tight.set_underlying(1, astuple(figures), gaps, sender=governor)
    with refused("terms: factor too small"):
        add_instrument(tight, governor, replace(TIGHT, fill=replace(TIGHT.fill, taker_ppm=501)))
    assert tight.terms(1) == encode(TIGHT)
    assert (tight.underlying_gaps(1), tight.count()) == (GAPS, 1)
    # less of one makes room for the other
    tight.set_limits(1, astuple(replace(TIGHT.limit, lambda_ppm=1_999)), sender=governor)
    tight.set_fill_terms(1, fill(replace(TIGHT.fill, taker_ppm=501)), sender=governor)


def test_fit__the_premium_at_full_open_interest(tight: Contract, governor: str) -> None:
    """SPEC 7.11: 2,000 ppm of lambda and 60 % of 7,500 ppm of penalty carry 6,500 ppm."""
    limit = replace(TIGHT.limit, oi_cap_wad=6_500 * WAD)
    tight.set_limits(1, astuple(limit), sender=governor)
    deep = replace(TIGHT.fill, depth_wad=10**6 * WAD)
    tight.set_fill_terms(1, fill(deep), sender=governor)
    for figures in (
        replace(limit, oi_cap_wad=6_500 * WAD + 1),
        replace(limit, liquidator_bps=4_001),
        replace(limit, lambda_ppm=1_999),
    ):
        with refused("terms: premium too large"):
            tight.set_limits(1, astuple(figures), sender=governor)
    with refused("terms: premium too large"):
        tight.set_fill_terms(1, fill(replace(deep, depth_wad=10**6 * WAD - 1)), sender=governor)


def test_fit__every_instrument_of_the_underlying_is_asked(tight: Contract, governor: str) -> None:
    cheap = replace(TIGHT, limit=replace(TIGHT.limit, penalty_ppm=1_000))
    add_instrument(tight, governor, cheap)
    elsewhere = replace(WIDE, risk=replace(WIDE.risk, underlying=2))
    add_underlying(tight, governor, WIDE)
    add_instrument(tight, governor, elsewhere)
    wider = (15_001, 40_000)
    with refused("terms: factor too small"):  # because of the first
        tight.set_underlying(1, astuple(TIGHT.underlying), wider, sender=governor)
    tight.set_limits(1, astuple(cheap.limit), sender=governor)
    tight.set_underlying(1, astuple(TIGHT.underlying), wider, sender=governor)
    assert tight.underlying_gaps(1) == wider
    # the figures of one underlying are no matter of another's instruments
    tight.set_underlying(2, astuple(WIDE.underlying), (200_000, 400_000), sender=governor)


def test_fit__is_the_rule_of_the_model(wide: Contract, governor: str, seed: int) -> None:
    chance = random.Random(seed)
    accepted = 0
    for _ in range(400):
        # around the edge: margin that may or may not carry the cost
        cost = chance.randint(5, 60_000)
        penalty = chance.randint(1, cost - 3)
        lam = chance.randint(1, max(1, cost - penalty - 1))
        taker = min(cost - penalty - lam, 20_000)
        gaps = chance.randint(1, 30_000), chance.randint(10_000, 60_000)
        shock = cost + gaps[1] + chance.randint(-2, 2)
        factor = 10**6 + max(1, (cost + gaps[0]) * 10**6 // shock + chance.randint(-1, 2))
        terms = Terms(
            risk=WIDE.risk,
            fill=replace(WIDE.fill, taker_ppm=taker, maker_ppm=0),
            limit=replace(WIDE.limit, penalty_ppm=penalty, lambda_ppm=lam),
            underlying=replace(WIDE.underlying, shock_ppm=shock, factor_ppm=factor),
        )
        with wide.evm.trial():
            wide.set_fill_terms(1, fill(terms.fill), sender=governor)
            wide.set_limits(1, astuple(terms.limit), sender=governor)
            fits = weighable(terms, *gaps)
            with nullcontext() if fits else pytest.raises(Revert, match=r"^terms: .* too small$"):
                wide.set_underlying(1, astuple(terms.underlying), gaps, sender=governor)
        accepted += fits
    assert 40 < accepted < 360  # both answers were seen


# -- setters ----------------------------------------------------------------------------------


def test_set_underlying__keeps_its_feed(evm: Evm, wide: Contract, governor: str) -> None:
    with refused("instruments: feed is fixed"):
        wide.set_underlying(1, (2, *astuple(WIDE.underlying)[1:]), (1, 1), sender=governor)
    changed = replace(WIDE.underlying, shock_ppm=400_000, cluster=7, rho_ppm=1)
    wide.set_underlying(1, astuple(changed), (2, 3), sender=governor)
    moved, event = evm.events()
    assert (event.name, event.args) == ("UnderlyingChanged", (1, astuple(changed), (2, 3)))
    assert (moved.name, moved.args) == (
        "UnderlyingMoved",
        (1, (500_000, 0, evm.timestamp, 0, 0, 0, 0)),
    )
    ramped = wide.underlying_terms(1)
    assert ramped >> 16 & 0xFFFFFF == 500_000  # as it was, and 5 % a day down from there
    assert ramped >> 216 == 400_000
    assert decode(*wide.terms(1)) == replace(WIDE, underlying=changed)


def test_move__refuses_what_no_ramp_may_reach(evm: Evm, wide: Contract) -> None:
    mover = evm.account("volatility")
    for goals in ((500_001, 0, 1), (1, 500_001, 1)):
        with refused("terms: shock out of range"):
            wide.move(1, *goals, sender=mover)
    with refused("word: value too large"):
        wide.move(1, 1, 1, 2**24, sender=mover)
    for unknown in (0, 2):
        with refused("instruments: unknown underlying"):
            wide.move(unknown, 1, 1, 1, sender=mover)
        with refused("instruments: unknown underlying"):
            wide.underlying_terms(unknown)


def test_set_risk_terms__leaves_what_the_instrument_is(
    evm: Evm, wide: Contract, governor: str
) -> None:
    wide.set_risk_terms(1, 3_600, 1, 2, 3, sender=governor)
    changed = replace(
        WIDE.risk,
        period_seconds=3_600,
        oi_rate_ppm=1,
        reserve_milli=2,
        funding_cap_ppm_per_day=3,
    )
    (event,) = evm.events()
    assert (event.name, event.args) == ("RiskTermsChanged", (1, astuple(changed)))
    assert decode(*wide.terms(1)) == replace(WIDE, risk=changed)


def test_set_limits__changes_that_word_alone(evm: Evm, wide: Contract, governor: str) -> None:
    changed = LimitTerms(1, 2, 3, 4, 5, 6, 4_000, 6_000)  # shares that use the whole fee
    wide.set_limits(1, astuple(changed), sender=governor)
    (event,) = evm.events()
    assert (event.name, event.args) == ("LimitTermsChanged", (1, astuple(changed)))
    assert decode(*wide.terms(1)) == replace(WIDE, limit=changed)
    with refused("terms: fee shares above 100 %"):
        wide.set_limits(1, astuple(replace(changed, fee_protocol_bps=6_001)), sender=governor)


@pytest.mark.parametrize("status", [0, 1, 2])
def test_set_status__and_new_fill_terms_keep_each_other(
    evm: Evm, wide: Contract, governor: str, status: int
) -> None:
    wide.set_status(1, status, sender=governor)
    (event,) = evm.events()
    assert (event.name, event.args) == ("FillTermsChanged", (1, fill(WIDE.fill), status))
    assert decode(*wide.terms(1)) == replace(WIDE, fill=replace(WIDE.fill, status=status))
    changed = replace(WIDE.fill, taker_ppm=700, depth_wad=10**35, status=status)
    wide.set_fill_terms(1, fill(changed), sender=governor)
    assert decode(*wide.terms(1)).fill == changed
    wide.set_status(1, 0, sender=governor)
    assert decode(*wide.terms(1)).fill == replace(changed, status=0)


@pytest.mark.parametrize("status", [3, 255, 256, HUGE])
def test_set_status__knows_three(wide: Contract, governor: str, status: int) -> None:
    with refused("instruments: unknown status"):
        wide.set_status(1, status, sender=governor)
    assert decode(*wide.terms(1)) == WIDE


def test_set_status__needs_no_fit(tight: Contract, governor: str) -> None:
    """A halt must always work, also when the terms stand at the edge of the rules."""
    tight.set_status(1, 2, sender=governor)
    assert decode(*tight.terms(1)).fill.status == 2


def test_settle__by_markets_from_any_state_and_once(
    evm: Evm, wide: Contract, governor: str
) -> None:
    """Also without notice: a deficit that nobody can carry ends an instrument at once."""
    markets = evm.account("markets")
    for status in (0, 1, 2, Status.DELISTING):
        with evm.trial():
            if status == Status.DELISTING:
                wide.delist(1, evm.timestamp + 86_400, sender=governor)
            else:
                wide.set_status(1, status, sender=governor)
            wide.settle(1, 123 * WAD, sender=markets)
            assert wide.status(1) == Status.SETTLING
            assert wide.settlement(1) == (evm.timestamp, 123 * WAD)
            risk, _ = wide.risk_terms(1)
            assert risk & 255 == 255
    wide.settle(1, 0, sender=markets)
    with refused("instruments: instrument is over"):
        wide.settle(1, 0, sender=markets)
    with refused("word: value too large"):
        add_underlying(wide, governor, WIDE)
        add_instrument(wide, governor, WIDE)
        wide.settle(2, 2**128, sender=markets)


def test_authority__only_the_governor_and_only_these_functions_change_anything(
    evm: Evm, wide: Contract, governor: str
) -> None:
    stranger = evm.account("stranger")
    governed: dict[str, tuple[Any, ...]] = {
        "add_underlying": (astuple(WIDE.underlying), (1, 1)),
        "set_underlying": (1, astuple(WIDE.underlying), (1, 1)),
        "add_instrument": (astuple(WIDE.risk), fill(WIDE.fill), astuple(WIDE.limit)),
        "set_risk_terms": (1, *astuple(WIDE.risk)[3:7]),
        "set_fill_terms": (1, fill(WIDE.fill)),
        "set_limits": (1, astuple(WIDE.limit)),
        "set_status": (1, 2),
        "set_caps": (1, 2 * WAD, 2),
        "set_guardian": (stranger,),
        "set_steward": (stranger,),
        "delist": (1, evm.timestamp + 86_400),
        "transfer_ownership": (stranger,),
    }
    with refused("instruments: only volatility"):
        wide.move(1, 50_000, 0, 500_000, sender=governor)
    for name, arguments in governed.items():
        with refused("ownable: caller is not the owner"):
            getattr(wide, name)(*arguments, sender=stranger)
    with refused("instruments: only markets"):
        wide.settle(1, WAD, sender=governor)
    changing = {
        entry["name"]
        for entry in wide.abi
        if entry["type"] == "function" and entry["stateMutability"] != "view"
    }
    for name in ("halt", "resume"):
        with refused("instruments: only guardian"):
            getattr(wide, name)([1], sender=governor)
    assert changing == {*governed, "settle", "move", "halt", "resume"}
    wide.transfer_ownership(stranger, sender=governor)
    wide.set_status(1, 2, sender=stranger)


# -- the highest leverage follows -------------------------------------------------------------


@pytest.mark.parametrize(
    ("shock", "factor", "cap", "leverage"),
    [
        (50_000, 1_500_000, 7_500, 12_903_225),  # 1 / (7.5 % + 0.25 %)
        (50_000, 1_500_000, 7_501, 12_903_059),  # provision rounds up
        (100_000, 2_000_000, 3, 4_999_975),
        (500_000, 5_000_000, 300_000, 384_615),  # below 1x: margin above the notional
        (33_333, 1_000_003 + 10**6, 1, 14_999_700),
    ],
)
def test_max_leverage__of_small_positions(
    wide: Contract, governor: str, shock: int, factor: int, cap: int, leverage: int
) -> None:
    cheap = replace(WIDE.limit, lambda_ppm=1, penalty_ppm=1)
    wide.set_limits(1, astuple(cheap), sender=governor)
    under = replace(WIDE.underlying, shock_ppm=shock, factor_ppm=factor)
    wide.set_underlying(1, astuple(under), (1, 1), sender=governor)
    wide.set_risk_terms(1, 28_800, 0, 0, cap, sender=governor)
    assert wide.max_leverage_ppm(1) == leverage
    initial_ppm = -(-factor * shock // 10**6) - (-cap // 3)
    assert leverage == 10**12 // initial_ppm


def test_devnet__parameters_pass_the_setters(instruments: Contract, governor: str) -> None:
    """The figures of the development chain, as a deployment hands them over."""
    figures = parameters.load("devnet")
    numbers = {}
    for name, under in figures.underlyings.items():
        terms = UnderlyingTerms(
            feed=FeedId(1),
            shock_ppm=units.ppm(under.shock_percent),
            factor_ppm=units.factor_ppm(under.factor),
            liquidity_usd=int(under.liquidity_usd),
            concentration_ppm=units.ppm(under.concentration_percent),
            cluster=under.cluster,
            rho_ppm=units.ppm(under.correlation_percent),
        )
        gaps = units.ppm(under.band_percent), units.ppm(under.tail_percent)
        numbers[name] = instruments.add_underlying(astuple(terms), gaps, sender=governor)
    for one in figures.instruments.values():
        risk = RiskTerms(
            kind=0,
            underlying=numbers[one.underlying],
            strike_wad=0,
            period_seconds=one.funding_period_seconds,
            oi_rate_ppm=units.ppm(one.open_interest_rate_percent),
            reserve_milli=int(one.flat_reserve_usd * 1_000),
            funding_cap_ppm_per_day=units.ppm(one.funding_cap_percent_per_day),
            margin_class=0,
        )
        # sizes follow from a price that the deployment reads; here a unit costs 1,000 USD
        filling = FillTerms(
            depth_wad=units.wad(Decimal(one.depth_usd) / 1_000),
            premium_max_ppm=units.ppm(one.premium_max_percent),
            maker_ppm=units.ppm(one.maker_fee_percent),
            taker_ppm=units.ppm(one.taker_fee_percent),
            gap_ppm_per_year=units.ppm(one.gap_fee_percent_per_year),
            lapse_ppm=units.ppm(one.lapse_charge_percent),
            status=0,
        )
        limit = LimitTerms(
            oi_cap_wad=units.wad(Decimal(one.open_interest_cap_usd) / 1_000),
            oi_cap_usd=int(one.open_interest_cap_usd),
            min_notional_usd=int(one.minimum_position_usd),
            lambda_ppm=units.ppm(one.forced_discount_percent),
            penalty_ppm=units.ppm(one.penalty_percent),
            liquidator_bps=units.bps(one.liquidator_share_percent),
            fee_insurance_bps=units.bps(one.insurance_fee_share_percent),
            fee_protocol_bps=units.bps(one.protocol_fee_share_percent),
        )
        number = instruments.add_instrument(
            astuple(risk), fill(filling), astuple(limit), sender=governor
        )
        assert instruments.max_leverage_ppm(number) > 5 * 10**6
