"""Losses: who pays a deficit, out of which limit, and who had caused it; SPEC 8.6. The figures of
worked.toml: insurance 250,000 for BTC and ETH, slices 2, 3 and 5 % of a pool of 10,000,000."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.evm import Contract
from tests.support.refusals import refused
from tests.support.staffed import Holder, House, event, retune, usd
from tests.support.world import BTC, ETH, SOL, World

VICTIM, OTHER = b"\x01" * 32, b"\x02" * 32
DAY = 86_400
TERMS = (20_000, 30_000, 50_000, DAY, usd(10_000))


def absorb(
    house: House,
    short: str | int,
    instrument: int = BTC,
    *,
    lost: str | int | None = None,
    account: bytes = VICTIM,
    bare: bool = True,
) -> list[Any]:
    """What DeficitPaid said, of each cause; the loss is the shortfall of a long unless told."""
    caused = usd(short) if lost is None else usd(lost)
    if instrument == 0:
        caused = 0
    paid = house.markets.absorb(account, instrument, caused, usd(short), bare, sender=house.sender)
    told = [one.args for one in house.world.evm.events("DeficitPaid")]
    assert paid == sum(one.deficit for one in told) == (usd(short) if bare else 0)
    for one in told:
        assert one.account == account
        parts = one.insured + one.own + one.sliced + one.shared + one.lost
        assert parts == one.deficit, "who paid adds up to what was paid"
    return told


def paid_by(told: Any) -> tuple[int, ...]:
    return told.insured, told.own, told.sliced, told.shared, told.lost


def limits(house: House, **changed: int) -> None:
    names = ("instrument", "underlying", "total", "window", "floor")
    figures = dict(zip(names, TERMS, strict=True)) | changed
    house.losses.set_terms(tuple(figures.values()), sender=house.world.governor)


def uninsured(house: House) -> None:
    for one in (0, BTC, ETH, SOL):
        house.losses.set_insurance_cap(one, 0, sender=house.world.governor)


# -- insurance


def test_insurance__pays_first_and_alone(house: House) -> None:
    before = house.lines
    (told,) = absorb(house, "1000.5")
    assert paid_by(told) == (usd("1000.5"), 0, 0, 0, 0)
    assert (told.instrument, told.settles) == (BTC, False)
    assert house.lines.insurance == before.insurance - usd("1000.5")
    assert house.lines.pool == before.pool


def test_insurance__no_more_than_it_has(house: House) -> None:
    house.markets.change_lines(0, usd(40) - house.lines.insurance, sender=house.sender)
    (told,) = absorb(house, 100)
    assert paid_by(told) == (usd(40), 0, usd(60), 0, 0)
    assert house.lines.insurance == 0


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_insurance__the_cap_counts_all_accounts_of_an_instrument(house: House, parts: int) -> None:
    """L-04: splitting over accounts brings no more of it."""
    insured = 0
    for number in range(parts):
        account = bytes([number + 1]) * 32
        (told,) = absorb(house, 350_000 // parts, account=account)
        insured += told.insured
    assert insured == usd(250_000)
    assert absorb(house, 1, ETH)[0].insured == usd(1)


def test_insurance__the_cap_is_free_again_within_the_window(house: House) -> None:
    absorb(house, 250_000)
    assert absorb(house, 1)[0].insured == 0
    house.world.wait(DAY // 4)
    # a second passes with each report: a four times 86,400th of the cap, and a little
    insured = absorb(house, 100_000)[0].insured
    assert usd(62_500) <= insured < usd(62_510)
    house.world.wait(DAY + 1)
    house.markets.change_lines(0, usd(250_000), sender=house.sender)
    assert absorb(house, 250_001)[0].insured == usd(250_000)


# -- the pool


def test_pool__pays_of_what_it_has_won_on_the_instrument(house: House) -> None:
    """Eight longs have lost 16,000 to it: what one of them cannot pay was never collected."""
    uninsured(house)
    long = Holder(house, BTC)
    long.trade(8)
    house.world.post({BTC: 48_000})
    before = house.lines
    (told,) = absorb(house, 15_000)
    assert paid_by(told) == (0, usd(15_000), 0, 0, 0)
    assert house.lines.pool == before.pool - usd(15_000) - (
        house.lines.insurance - before.insurance
    )
    (told,) = absorb(house, 2_000)  # 16,000 of price and the premium that they paid
    assert usd(1_200) < told.own < usd(1_210)
    assert told.sliced == usd(2_000) - told.own
    assert absorb(house, 1)[0].own == 0


def test_pool__what_it_realised_counts_for_an_hour(house: House) -> None:
    uninsured(house)
    long = Holder(house, BTC)
    long.trade(8)
    house.world.post({BTC: 48_000})
    done = long.force(-8, 0)
    won = house.market(BTC).won
    # fees and the spread are none of it; the second between is a 3,600th
    assert abs(won * 10**12 - (-done.cash - usd("1344"))) < usd(1)
    with house.world.evm.trial():
        assert absorb(house, 16_000)[0].own == usd(16_000)
    house.world.wait(3_600)
    own = absorb(house, 16_000)[0].own
    assert 0.39 < own / (won * 10**12) < 0.41
    house.world.wait(DAY)
    assert absorb(house, 16_000)[0].own < usd(30)


def test_pool__a_gain_that_others_have_taken_is_none(house: House) -> None:
    """Two equal sides: what the longs lose the shorts win."""
    uninsured(house)
    Holder(house, BTC).trade(8)
    Holder(house, BTC).trade(-8)
    house.world.post({BTC: 48_000})
    (told,) = absorb(house, 10_000)
    assert told.own < usd(410)  # the premium that the first paid
    assert told.sliced == usd(10_000) - told.own


def test_pool__slices_of_an_instrument_an_underlying_and_all(house: House) -> None:
    """2 % of 10,000,000 for each, 5 % for all; nobody has won, so the rest is the pool's too."""
    uninsured(house)
    assert [paid_by(absorb(house, 300_000, one)[0])[2:] for one in (BTC, ETH, SOL)] == [
        (usd(200_000), 0, usd(100_000)),
        (usd(200_000), 0, usd(100_000)),
        (usd(100_000), 0, usd(200_000)),
    ]
    assert absorb(house, 1, 0)[0].lost == usd(1)


def test_pool__the_slice_is_of_its_worth_when_the_first_was_taken(house: House) -> None:
    uninsured(house)
    absorb(house, 100)
    house.markets.change_lines(usd(90_000_000), 0, sender=house.sender)
    assert absorb(house, 300_000)[0].sliced == usd(199_900)
    house.world.wait(DAY)
    assert absorb(house, 3_000_000)[0].sliced > usd(1_980_000)


def test_pool__that_is_worth_nothing_still_loses_what_nobody_pays(house: House) -> None:
    uninsured(house)
    house.markets.change_lines(-house.lines.pool, 0, sender=house.sender)
    (told,) = absorb(house, 1)
    assert paid_by(told) == (0, 0, 0, 0, usd(1))
    assert house.lines.pool == -usd(1)


def test_pool__slices_are_free_again_within_the_window(house: House) -> None:
    uninsured(house)
    limits(house, instrument=20_000, underlying=20_000, total=20_000)
    absorb(house, 200_000)
    house.world.wait(DAY // 2)
    sliced = absorb(house, 200_000)[0].sliced
    assert usd(100_000) <= sliced < usd(100_010)


# -- who won


@pytest.fixture
def sides(house: House) -> tuple[Holder, Holder]:
    """Eight BTC against eight, the pool flat and paying no slice."""
    uninsured(house)
    limits(house, instrument=0, underlying=0, total=0)
    retune(house.world, BTC, gap_ppm_per_year=0)  # what it has advanced would count as a gain
    long, short = Holder(house, BTC), Holder(house, BTC)
    long.trade(8)
    short.trade(-8)
    house.world.post({BTC: 50_000})
    house.accrue(BTC)
    return long, short


def test_winners__pay_pro_rata_to_size_through_their_index(
    house: House, sides: tuple[Holder, Holder]
) -> None:
    """Eight shorts share 4,000: 500 each; the longs none."""
    _, short = sides
    before, cash = house.market(BTC), house.lines
    (told,) = absorb(house, 4_000)
    after = house.market(BTC)
    assert after.short_index == before.short_index + usd(500)
    assert after.long_index == before.long_index
    assert paid_by(told) == (0, 0, 0, usd(4_000), 0)
    # advanced by the pool, which is owed it: its worth stays
    assert house.lines.pool == cash.pool - usd(4_000)
    assert house.lines.nav == cash.nav
    half = Holder(house, BTC)
    half.size, half.notional, half.settled = -usd(4), short.notional // 2, short.settled
    assert half.settle() == usd(2_000)
    assert house.lines.nav == cash.nav


def test_winners__what_does_not_divide_is_the_pools(
    house: House, sides: tuple[Holder, Holder]
) -> None:
    """Per unit rounded down, at each position rounded up: nothing over a unit of each is off."""
    _, short = sides
    (told,) = absorb(house, "1000.000000000000000007")
    assert told.shared + told.lost == told.deficit
    assert told.lost == 7
    assert house.market(BTC).short_index == told.shared // 8
    owed = short.settle()
    assert told.shared <= owed <= told.shared + 1


def test_winners__of_a_short_that_lost_are_the_longs(
    house: House, sides: tuple[Holder, Holder]
) -> None:
    before = house.market(BTC)
    absorb(house, 4_000, lost=-4_000)
    after = house.market(BTC)
    assert after.long_index > before.long_index
    assert after.short_index == before.short_index


def test_winners__pay_at_most_half_the_gap_at_once_and_the_rest_over_the_day(
    house: House, sides: tuple[Holder, Holder]
) -> None:
    """50,000 · 5.2 % · 0.5 / 2 = 650 a unit, 5,200 for eight."""
    limits(house, instrument=0, underlying=0, total=0, floor=usd(10**6))
    (told,) = absorb(house, 20_000)
    assert told.shared == usd(5_200)
    assert told.lost == usd(20_000) - told.own - usd(5_200)
    assert absorb(house, 20_000)[0].shared == 0
    house.world.wait(DAY // 2)
    assert usd(2_600) <= absorb(house, 20_000)[0].shared < usd(2_601)
    total = usd(5_200)
    for _ in range(24):  # a whole day, however it is asked
        house.world.wait(DAY // 24)
        total += absorb(house, 20_000)[0].shared
    assert total < usd(10_600)


@pytest.fixture
def alone(worked: World) -> Contract:
    """Losses that a wallet asks in the place of Markets, with nothing but a floor of 10,000."""
    world = worked
    made = world.evm.deploy(
        world.artifacts["Losses"], world.governor, world.keeper, sender=world.governor
    )
    made.set_terms((0, 0, 0, DAY, usd(10_000)), sender=world.governor)
    return made


def claimed(world: World, losses: Contract, deficit: str | int, **changed: Any) -> Any:
    """Who pays a deficit of the longs of BTC at 50,000, against eight short."""
    claim = {
        "instrument": BTC,
        "long": True,
        "deficit": usd(deficit),
        "insurance": 0,
        "gain": 0,
        "nav": 0,
        "winners": usd(8),
        "index": usd(50_000),
        "underlying": BTC,
        "shock": world.instruments.terms(BTC)[3],
    } | changed
    arguments = tuple(claim.values())
    told = losses.share.simulate(arguments, sender=world.keeper)
    losses.share(arguments, sender=world.keeper)
    return told


def test_winners__rests_above_the_floor_end_the_instrument(worked: World, alone: Contract) -> None:
    """The pool bears 10,000; 350 a unit beyond the 650 of a day correct the winners' price."""
    told = claimed(worked, alone, 18_000)
    assert told.settles
    assert (told.shared, told.lost) == (usd(8_000), usd(10_000))
    assert told.per_unit == usd(1_000)
    # what comes after it is shared alike: the same whether one account left it or several
    assert claimed(worked, alone, 4_000).shared == usd(4_000)


def test_winners__the_floor_counts_all_accounts(worked: World, alone: Contract) -> None:
    """L-04: many rests below it are not many times what the pool bears."""
    told = [claimed(worked, alone, 4_000) for _ in range(5)]
    assert sum(one.lost for one in told) == usd(10_000)
    assert sum(one.shared for one in told) == usd(10_000)
    assert [one.settles for one in told] == [False] * 3 + [True] * 2


def test_winners__the_floor_is_free_again_within_the_window(worked: World, alone: Contract) -> None:
    claimed(worked, alone, 5_200 + 10_000)
    worked.evm.warp(DAY)
    told = claimed(worked, alone, 5_200 + 10_000)
    assert (told.shared, told.lost, told.settles) == (usd(5_200), usd(10_000), False)


def test_winners__never_more_than_the_price_itself(worked: World, alone: Contract) -> None:
    told = claimed(worked, alone, 10**6)
    assert told.shared == usd(50_000) * 8
    assert told.lost == usd(10**6) - told.shared


def test_winners__an_empty_side_carries_nothing(house: House) -> None:
    uninsured(house)
    limits(house, instrument=0, underlying=0, total=0, floor=0)
    (told,) = absorb(house, 5_000)
    assert paid_by(told) == (0, 0, 0, 0, usd(5_000))
    assert not told.settles


# -- causes


def remembered(house: House, account: bytes = VICTIM) -> list[tuple[int, bool, int]]:
    words, _ = house.losses.remembered(account)
    return [(word & 0xFFFF, bool(word >> 16 & 1), word >> 32) for word in words]


def test_causes__a_deficit_is_split_by_the_losses_since_entry(house: House) -> None:
    assert absorb(house, 0, BTC, lost=6_000, bare=False) == []
    assert absorb(house, 0, ETH, lost=-3_000, bare=False) == []
    assert remembered(house) == [(BTC, True, usd(6_000)), (ETH, False, usd(3_000))]
    told = absorb(house, 1_200, SOL, lost=3_000)
    assert [(one.instrument, one.deficit) for one in told] == [
        (BTC, usd(600)),
        (ETH, usd(300)),
        (SOL, usd(300)),
    ]
    assert remembered(house) == []


def test_causes__parts_of_one_position_are_one_loss(house: House) -> None:
    for lost in (1_000, 2_000):
        absorb(house, 0, BTC, lost=lost, bare=False)
    absorb(house, 0, BTC, lost=-5, bare=False)  # it has flipped since
    assert remembered(house) == [(BTC, True, usd(3_000)), (BTC, False, usd(5))]


def test_causes__what_positions_did_not_lose_is_debt(house: House) -> None:
    """A debt of 5,000 beside a loss of 1,000."""
    house.losses.set_insurance_cap(0, usd(50_000), sender=house.world.governor)
    told = absorb(house, 6_000, BTC, lost=1_000)
    assert [(one.instrument, one.deficit) for one in told] == [(BTC, usd(1_000)), (0, usd(5_000))]


def test_causes__collateral_that_falls_afterwards_is_nobodys_position(house: House) -> None:
    """Short by 200 beside its collateral when the last position was closed, by 900 once sold."""
    absorb(house, 200, BTC, lost=90_000, bare=False)
    told = absorb(house, 900, 0)
    assert [(one.instrument, one.deficit) for one in told] == [(BTC, usd(200)), (0, usd(700))]


def test_causes__a_gain_causes_nothing(house: House) -> None:
    told = absorb(house, 100, BTC, lost=0)
    assert [(one.instrument, one.deficit) for one in told] == [(0, usd(100))]


def test_causes__are_forgotten_after_a_day_or_when_all_is_paid(house: House) -> None:
    absorb(house, 0, ETH, lost=1_000, bare=False)
    house.world.wait(DAY + 1)
    told = absorb(house, 100, BTC)
    assert [(one.instrument, one.deficit) for one in told] == [(BTC, usd(100))]

    absorb(house, 0, ETH, lost=1_000, bare=False)
    assert absorb(house, 0, 0) == []  # somebody has paid it into the account
    assert remembered(house) == []


def test_causes__sixteen_and_no_more(house: House) -> None:
    for number in range(1, 19):
        absorb(house, 0, number, lost=1, bare=False)
    assert len(remembered(house)) == 16


# -- who may, and the governor


def test_losses__only_markets_may(world: World) -> None:
    claim = (0, False, 1, 0, 0, 0, 0, 0, 0, 0)
    for stranger in (world.governor, world.keeper):
        with refused("losses: only markets"):
            world.losses.share(claim, sender=stranger)
        with refused("losses: only markets"):
            world.losses.attribute(VICTIM, 0, 0, 0, True, sender=stranger)


def test_set_terms__at_its_bounds(house: House) -> None:
    for figures in (
        (0, 0, 0, 3_600, 0),
        (500_000, 500_000, 500_000, 2_592_000, 10**27),
        TERMS,
    ):
        house.losses.set_terms(figures, sender=house.world.governor)
        assert tuple(house.losses.terms_in_force()) == figures
        assert event(house.world, "LossTermsChanged").args == figures


@pytest.mark.parametrize(
    ("place", "figure"),
    [
        (0, 30_001),
        (1, 50_001),
        (1, 19_999),
        (2, 500_001),
        (2, 29_999),
        (3, 3_599),
        (3, 2_592_001),
        (4, 10**27 + 1),
        (4, 2**256 - 1),
    ],
)
def test_set_terms__refuses_a_figure_out_of_range(house: House, place: int, figure: int) -> None:
    figures = list(TERMS)
    figures[place] = figure
    with refused("losses: figure out of range"):
        house.losses.set_terms(tuple(figures), sender=house.world.governor)
    assert tuple(house.losses.terms_in_force()) == TERMS


def test_set_insurance_cap__at_its_bounds(house: House) -> None:
    governor = house.world.governor
    for instrument, cap in ((BTC, 10**27), (BTC, 0), (0, usd(5))):
        house.losses.set_insurance_cap(instrument, cap, sender=governor)
        assert event(house.world, "InsuranceCapChanged").args == (instrument, cap)
        assert house.losses.insurance_cap(instrument) == cap
    with refused("losses: figure out of range"):
        house.losses.set_insurance_cap(BTC, 10**27 + 1, sender=governor)
    assert house.losses.insurance_cap(BTC) == 0


def test_governor__nobody_else_sets_a_limit(house: House) -> None:
    for stranger in (house.sender, house.world.keeper):
        with refused("ownable: caller is not the owner"):
            house.losses.set_terms(TERMS, sender=stranger)
        with refused("ownable: caller is not the owner"):
            house.losses.set_insurance_cap(BTC, 0, sender=stranger)
