"""Lens: reports, liquidation prices and previews equal the contracts, the model and the acts.

Refusals are compared by doing what a preview says, and one unit more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from keeper.core import exposure, margin, market, terms
from keeper.core.margin import Held
from keeper.core.quotes import Quote, decode_quote
from keeper.core.types import FeedId, InstrumentId, Level, Mode
from keeper.core.units import PPM, WAD, ceil_div, mul_floor
from tests.support.evm import GAS_LIMIT, Revert
from tests.support.refusals import refused
from tests.support.staffed import market_of, usd
from tests.support.world import BTC, ETH, INSTRUMENTS, SOL, USD, World

TICK = 10**10  # WAD of the feeds' 8 decimals
SCALE = 10**12  # WAD of a native unit of the settlement token
LAST_TICK = 2**56 - 1
DAY = 86_400


@pytest.fixture
def trader(world: World) -> bytes:
    """A cross bucket with 10,000 in cash."""
    account = world.account("trader")
    world.deposit(account, 10_000)
    return account


# -- the model, fed with what is stored ---------------------------------------------------------


def terms_of(world: World) -> Callable[[InstrumentId], terms.Terms]:
    return lambda instrument: terms.decode(*world.instruments.terms(instrument))


def model_buffer(world: World, account: bytes, feed: int) -> Callable[[int], int]:
    """Equity less maintenance of an account by the model, as a function of one feed's tick."""
    assessed = world.assess(account)
    book = [
        Held(InstrumentId(instrument), size, notional)
        for instrument, size, notional, _ in world.clearinghouse.positions(account)
    ]
    collateral = []
    for token in world.vault.tokens():
        listing = world.vault.listing(token)
        collateral.append((listing, world.vault.held(account, token)))
    quotes = {
        each: decode_quote(world.hub.price(each, Level.ANY))
        for each in range(1, world.hub.feed_count() + 1)
        if world.hub.latest_slot(each)
    }
    weights = world.risk_engine.margin_terms()
    decoded = {held.instrument: terms_of(world)(held.instrument) for held in book}

    def buffer(tick: int) -> int:
        def price_of(each: FeedId) -> Quote:
            found = quotes[each]
            if each != feed:
                return found
            return Quote(tick * TICK, found.conf_ppm, found.slot, found.gap)

        asked = margin.requirement(
            Mode(assessed.mode), book, decoded.__getitem__, price_of, weights.upnl_ppm
        )
        maintenance = asked.maintenance
        if not book and assessed.cash < 0:
            maintenance, _ = margin.debt_requirement(
                -assessed.cash, weights.debt_maintenance_ppm, weights.debt_initial_ppm
            )
        worth = sum(
            margin.collateral_value(
                amount, price_of(one.feed).price_wad, one.haircut_ppm, one.decimals
            )
            for one, amount in collateral
            if one.feed in quotes
        )
        return int(assessed.cash + worth + asked.upnl - assessed.owed - maintenance)

    return buffer


def model_prices(world: World, account: bytes, feed: int) -> tuple[int, int]:
    """Both liquidation prices of the model in WAD, 0 for none."""
    present = world.hub.state(feed).price_wad // TICK
    found = exposure.liquidation_prices(
        model_buffer(world, account, feed), present, highest=min(1_000 * present, LAST_TICK)
    )
    return (found.below or 0) * TICK, (found.above or 0) * TICK


def price_is(world: World, feed: int, price_wad: int) -> None:
    """The feed's newest slot of now has this price; no time passes."""
    world.post_price(feed, Decimal(price_wad) / WAD, world.evm.timestamp)


# -- report -------------------------------------------------------------------------------------


def test_report__of_nobody__is_empty_and_healthy(world: World) -> None:
    report = world.lens.report(world.account("nobody", 3))
    assert report.health_ppm == 2**255 - 1
    assert (report.equity, report.maintenance, report.free, report.positions) == (0, 0, 0, ())
    assert (report.mode, report.level, report.liquidatable) == (Mode.ISOLATED, Level.TIGHT, False)


def test_report__says_what_the_clearinghouse_assesses_and_each_position(
    world: World, trader: bytes
) -> None:
    world.add_collateral(trader, world.weth, 2)
    world.open_position(trader, BTC, "0.5")
    world.open_position(trader, SOL, -100)
    world.post({BTC: 48_000, SOL: 103})
    world.evm.warp(30)
    report, assessed = world.lens.report(trader), world.assess(trader)

    for figure in (
        *("equity", "equity_initial", "maintenance", "plain_initial", "initial", "cash"),
        *("collateral", "owed", "reserved", "mode", "called", "deadline"),
    ):
        assert getattr(report, figure) == getattr(assessed, figure), figure
    assert report.call_line == assessed.maintenance + ceil_div(
        (assessed.plain_initial - assessed.maintenance) * 400_000, PPM
    )
    assert report.health_ppm == assessed.equity * PPM // assessed.maintenance
    assert report.free == assessed.equity_initial - assessed.initial - assessed.reserved
    assert (report.level, report.unpriced) == (Level.TIGHT, 0)

    stored = world.clearinghouse.positions(trader)
    assert [line.instrument for line in report.positions] == [BTC, SOL]
    for line, held in zip(report.positions, stored, strict=True):
        price = world.hub.state(line.instrument).price_wad
        assert (line.size, line.notional) == (held.size, held.notional)
        assert line.value == mul_floor(held.size, price)
        assert line.upnl == line.value - line.notional
        found = world.lens.liquidation_price(trader, line.instrument)
        assert (line.below, line.above) == found
    assert sum(line.upnl for line in report.positions) == (
        report.equity - report.cash - report.collateral + report.owed
    )
    assert sum(line.owed for line in report.positions) == report.owed != 0


def test_report__below_initial__says_how_much_is_missing(world: World) -> None:
    account = world.account("trader", 1)
    world.deposit(account, 5_000)
    world.open_position(account, BTC, 1)
    world.post({BTC: 48_000})
    report = world.lens.report(account)
    assert report.free < 0
    assert not report.liquidatable
    world.deposit(account, Decimal(-report.free // SCALE + 1) / USD)
    assert 0 <= world.lens.report(account).free < SCALE


def test_report__called_and_past_its_grace__is_liquidatable(world: World, trader: bytes) -> None:
    world.open_position(trader, BTC, "2.3")
    price = world.lens.liquidation_price(trader, BTC)[0]
    world.post({BTC: Decimal(price) / WAD})
    assert not world.lens.report(trader).liquidatable
    world.liquidator.call(trader, sender=world.keeper)
    report = world.lens.report(trader)
    assert report.called
    assert report.deadline == world.evm.timestamp + 120
    assert not report.liquidatable
    world.wait(120)
    assert world.lens.report(trader).liquidatable


def test_report__stale_prices__answers_and_says_so(world: World, trader: bytes) -> None:
    world.open_position(trader, BTC, 1)
    world.open_position(trader, ETH, 1)
    fresh = world.lens.report(trader)
    for age, level in ((121, Level.RECENT), (901, Level.ANY), (30 * DAY, Level.ANY)):
        with world.evm.trial():
            world.evm.warp(age)
            stale = world.lens.report(trader)
            assert (stale.level, stale.liquidatable) == (level, False)
            assert stale.maintenance == fresh.maintenance
    world.post({BTC: 50_000}, confidence=6_000)
    assert world.lens.report(trader).level == Level.FRESH


def test_report__collateral_without_any_price__counts_for_nothing_and_is_flagged(
    world: World, trader: bytes
) -> None:
    config = world.hub.feed_config(ETH)
    feed = world.hub.add_feed(tuple(config), sender=world.governor)
    token = world.evm.deploy(world.artifacts["TestToken"], "New", "NEW", 18, sender=world.governor)
    world.mint(token, world.governor, 100, world.vault)
    world.vault.list_token(token.address, feed, 30_000, 10**24, 100, sender=world.governor)
    world.open_position(trader, BTC, 1)
    before = world.lens.report(trader)
    world.add_collateral(trader, token, 5)

    report = world.lens.report(trader)
    assert (report.unpriced, report.level, report.collateral) == (4, Level.ANY, 0)
    assert report.equity == before.equity
    assert world.lens.liquidation_price(trader, BTC) == model_prices(world, trader, BTC)
    # no risk check passes while a price is missing, and the previews know it
    assert world.lens.preview_withdraw(trader) == 0
    with refused("oracle: no price"):
        world.clearinghouse.withdraw(trader, 1, world.owner(trader), sender=world.owner(trader))
    order = world.order(trader, BTC, 1)
    assert world.lens.preview_order(order.as_argument()).refusal == "oracle: no price"


def test_report__full_book__fits_a_call(world: World) -> None:
    """Sixteen positions over three underlyings, mixed sides, two collateral tokens."""
    account = world.account("whale")
    world.deposit(account, 50_000)
    world.add_collateral(account, world.weth, 3)
    world.add_collateral(account, world.wbtc, "0.2")
    for extra in range(13):
        add_twin(world, INSTRUMENTS[extra % 3])
    sizes = {BTC: Decimal("0.1"), ETH: Decimal(2), SOL: Decimal(50)}
    for instrument in range(1, 17):
        like = INSTRUMENTS[(instrument - 1) % 3]
        sign = -1 if instrument % 5 == 0 else 1
        world.open_position(account, instrument, sizes[like] * sign)
    world.evm.transact(world.lens.address, world.lens.report.encode(account), sender=world.keeper)
    assert world.evm.gas_used < GAS_LIMIT // 2
    report = world.lens.report(account)
    assert len(report.positions) == 16
    for feed in INSTRUMENTS:
        expected = model_prices(world, account, feed)
        for line in report.positions:
            if terms_of(world)(line.instrument).underlying.feed == feed:
                assert (line.below, line.above) == expected


def add_twin(world: World, instrument: int, underlying: int | None = None) -> int:
    """A second instrument with the same terms, on the same underlying unless another is named."""
    known = terms_of(world)(InstrumentId(instrument))
    risk, fill, limit = known.risk, known.fill, known.limit
    return int(
        world.instruments.add_instrument(
            (
                *(risk.kind, underlying or risk.underlying, 0, risk.period_seconds),
                *(risk.oi_rate_ppm, risk.reserve_milli, risk.funding_cap_ppm_per_day, 0),
            ),
            (
                *(fill.depth_wad, fill.premium_max_ppm, fill.maker_ppm, fill.taker_ppm),
                *(fill.gap_ppm_per_year, fill.lapse_ppm),
            ),
            (
                *(limit.oi_cap_wad, limit.oi_cap_usd, limit.min_notional_usd, limit.lambda_ppm),
                *(limit.penalty_ppm, limit.liquidator_bps, limit.fee_insurance_bps),
                limit.fee_protocol_bps,
            ),
            sender=world.governor,
        )
    )


# -- liquidation prices -------------------------------------------------------------------------


def test_liquidation_price__worked(world: World) -> None:
    """Long 1 BTC from 50,000.244140625, with the premium, and c in cash: liquidated where
    c + S − 50,000.244140625 = S(5.2 % + 0.25 %) + 2, and not one tick above it."""
    account = world.account("trader", 1)
    world.deposit(account, 10_000)
    world.open_position(account, BTC, 1)
    exact = (Decimal("50002.244140625") - Decimal(world.cash(account)) / WAD) / Decimal("0.9455")
    below, above = world.lens.liquidation_price(account, BTC)
    assert below == int(exact * 10**8) * TICK
    assert above == 0
    assert world.lens.liquidation_price(account, ETH) == (0, 0)


@pytest.mark.parametrize("size", ["1.5", "-1.5"])
def test_liquidation_price__is_where_liquidation_begins(world: World, size: str) -> None:
    """An isolated account has no grace: at the price it goes, one tick nearer it stays."""
    account = world.account("trader", 1)
    world.deposit(account, 9_000)
    world.open_position(account, BTC, size)
    world.evm.warp(45)  # with funding that is owed
    found = world.lens.liquidation_price(account, BTC)
    price, nearer = (found[0], TICK) if Decimal(size) > 0 else (found[1], -TICK)
    assert price != 0
    assert found == model_prices(world, account, BTC)

    with world.evm.trial():
        price_is(world, BTC, price + nearer)
        assert not world.liquidator.liquidatable(account)
        with refused("liquidation: not liquidatable"):
            world.liquidator.liquidate(account, BTC, 2**255, sender=world.keeper)
    price_is(world, BTC, price)
    assert world.lens.liquidation_price(account, BTC) == (price, price)
    assert world.lens.report(account).liquidatable
    world.liquidator.liquidate(account, BTC, 2**255, sender=world.keeper)


def test_liquidation_price__concentrated__lies_on_both_sides_of_a_quadratic(world: World) -> None:
    """14 million of a market that takes 10 without a surcharge, against another's shorts."""
    account, other = world.account("whale", 1), world.account("other", 1)
    world.deposit(account, 5_000_000)
    world.deposit(other, 5_000_000)
    for size in (-60, 110, -110, 110, -60, 60):  # the pool carries no more than the difference
        world.open_position(account if size > 0 else other, BTC, size)
    assert world.assess(account).maintenance > 14_000_000 * WAD * 545 // 10_000 + 200_000 * WAD
    below, above = world.lens.liquidation_price(account, BTC)
    assert (below, above) == model_prices(world, account, BTC)
    assert 0 < below < 50_000 * WAD < above


def test_liquidation_price__two_instruments_of_one_underlying_move_together(
    world: World, trader: bytes
) -> None:
    twin = add_twin(world, BTC)
    world.open_position(trader, BTC, 1)
    alone = world.lens.liquidation_price(trader, BTC)[0]
    world.open_position(trader, twin, "-0.6")
    assert 0 < world.lens.liquidation_price(trader, BTC)[0] < alone * 8 // 10
    assert world.lens.liquidation_price(trader, BTC) == model_prices(world, trader, BTC)
    assert world.lens.liquidation_price(trader, twin) == model_prices(world, trader, BTC)
    lines = world.lens.report(trader).positions
    assert (lines[0].below, lines[0].above) == (lines[1].below, lines[1].above)


def test_liquidation_price__debt_against_collateral_alone(world: World, trader: bytes) -> None:
    """No position: the price of the collateral decides."""
    owner = world.owner(trader)
    world.add_collateral(trader, world.weth, 20)
    world.clearinghouse.withdraw(trader, 30_000 * USD, owner, sender=owner)
    found = world.lens.liquidation_price(trader, ETH)
    assert found == model_prices(world, trader, ETH)
    # 20 · 0.88 · S = 20,000 · 1.05
    assert found == (21_000 * 10**9 // 176 * TICK, 0)
    assert world.lens.liquidation_price(trader, BTC) == (0, 0)


def test_liquidation_price__unpriced_and_unknown_instruments(world: World, trader: bytes) -> None:
    feed = world.hub.add_feed(tuple(world.hub.feed_config(ETH)), sender=world.governor)
    known = terms_of(world)(InstrumentId(ETH)).underlying
    world.instruments.add_underlying(
        (feed, known.shock_ppm, known.factor_ppm, known.liquidity_usd, 0, 0, 0),
        tuple(world.instruments.underlying_gaps(ETH)),
        sender=world.governor,
    )
    listed = add_twin(world, ETH, underlying=4)
    assert world.lens.liquidation_price(trader, listed) == (0, 0)
    order = world.order(trader, listed, 1)
    assert world.lens.preview_order(order.as_argument()).refusal == "oracle: no price"
    with refused("oracle: no price"):
        world.commit(order)
    with refused("instruments: unknown instrument"):
        world.lens.liquidation_price(trader, 17)


@pytest.mark.parametrize("number", range(6))
def test_liquidation_price__random_books__equal_the_model(
    world: World, seed: int, number: int
) -> None:
    rng = random.Random(seed * 100 + number)
    account = world.account("trader", rng.choice((0, 7)))
    world.deposit(account, rng.randrange(20_000, 60_000))
    if rng.random() < 0.7:
        world.add_collateral(account, world.weth, rng.randrange(1, 20))
    if rng.random() < 0.5:
        world.add_collateral(account, world.wbtc, Decimal(rng.randrange(1, 200)) / 100)
    worth = {BTC: 50_000, ETH: 2_500, SOL: 100}
    count = 1 if account[31] else rng.randrange(1, 4)
    for instrument in rng.sample(INSTRUMENTS, count):
        usd = rng.randrange(1_000, 90_000) * rng.choice((1, -1))
        with suppress(AssertionError, Revert):  # what margin does not allow is not opened
            world.open_position(account, instrument, Decimal(usd) / worth[instrument])
    world.evm.warp(rng.randrange(1, 5 * DAY))
    world.post({feed: worth[feed] * Decimal(rng.randrange(900, 1_101)) / 1000 for feed in worth})
    for instrument in INSTRUMENTS:
        expected = model_prices(world, account, instrument)
        assert world.lens.liquidation_price(account, instrument) == expected


# -- orders -------------------------------------------------------------------------------------


def test_preview_order__equals_commit_and_fill(world: World, trader: bytes) -> None:
    order = world.order(trader, BTC, "-1.25", execution_fee=3 * WAD)
    preview = world.lens.preview_order(order.as_argument())
    assert (preview.refusal, preview.missing) == ("", 0)
    order_id = world.commit(order)
    stored = world.orders.commitment(order_id)
    assert (preview.reserve, preview.lapse) == (stored.reserved, stored.lapse)

    assert world.execute(order, world.due_slot(order)) == 0
    (filled,) = world.evm.events("PositionChanged")
    assert (preview.size, preview.cost) == (filled.args.size_delta, filled.args.fill_notional)
    assert preview.fee == filled.args.fee
    assert preview.price == preview.cost * WAD // preview.size
    assert preview.premium == preview.cost - preview.size * 50_000


@pytest.mark.parametrize("held", ["0.8", "-0.8"])
@pytest.mark.parametrize("size", ["0.3", "-0.3", "-0.7991", "-0.8001", "1.5", "-1.5"])
@pytest.mark.parametrize("reduce_only", [True, False])
def test_preview_order__on_a_position__equals_the_fill(
    world: World, trader: bytes, held: str, size: str, reduce_only: bool
) -> None:
    """Increases, reductions, turns, and what would leave too little on either side of nothing."""
    world.open_position(trader, BTC, held)
    order = world.order(trader, BTC, size, reduce_only=reduce_only)
    preview = world.lens.preview_order(order.as_argument())
    if reduce_only and (Decimal(held) > 0) == (Decimal(size) > 0):
        assert preview.refusal == "order: nothing to reduce"
        assert (preview.size, preview.cost, preview.fee) == (0, 0, 0)
        with refused(preview.refusal):
            world.commit(order)
        return
    stored = world.orders.commitment(world.commit(order))
    assert (preview.reserve, preview.lapse) == (stored.reserved, stored.lapse)
    assert world.execute(order, world.due_slot(order)) == 0
    (filled,) = world.evm.events("PositionChanged")
    assert (preview.size, preview.cost, preview.fee) == (
        filled.args.size_delta,
        filled.args.fill_notional,
        filled.args.fee,
    )


@pytest.mark.parametrize("fee", [0, 25 * WAD])
def test_preview_order__says_how_much_is_missing_to_the_unit(
    world: World, trader: bytes, fee: int
) -> None:
    world.open_position(trader, ETH, 4)
    order = world.order(trader, BTC, 4, execution_fee=fee)
    preview = world.lens.preview_order(order.as_argument())
    assert preview.refusal == "account: not enough margin"
    missing = ceil_div(preview.missing, SCALE)
    assert missing > 1
    with world.evm.trial():
        world.deposit(trader, Decimal(missing - 1) / USD)
        assert 0 < world.lens.preview_order(order.as_argument()).missing <= SCALE
        with refused("account: not enough margin"):
            world.commit(order)
    world.deposit(trader, Decimal(missing) / USD)
    assert world.lens.preview_order(order.as_argument()).refusal == ""
    world.commit(order)


def test_preview_order__fee_of_a_reduction_leaves_like_a_withdrawal(
    world: World, trader: bytes
) -> None:
    world.open_position(trader, BTC, 2)
    world.post({BTC: 49_500})
    fee = 2_000 * WAD
    order = world.order(trader, BTC, -2, reduce_only=True, execution_fee=fee)
    missing = world.lens.preview_order(order.as_argument()).missing
    assert missing > 0
    most = fee - missing
    fits = world.order(trader, BTC, -2, reduce_only=True, execution_fee=most)
    over = world.order(trader, BTC, -2, reduce_only=True, execution_fee=most + 1)
    assert world.lens.preview_order(over.as_argument()).missing == 1
    with refused("account: not enough margin"):
        world.commit(over)
    assert world.lens.preview_order(fits.as_argument()).refusal == ""
    world.commit(fits)


def halt(world: World, _: bytes) -> None:
    world.instruments.set_status(BTC, 2, sender=world.governor)


def age(world: World, _: bytes) -> None:
    world.evm.warp(121)


def widen(world: World, _: bytes) -> None:
    world.post({BTC: 50_000}, confidence=5_001)


@pytest.mark.parametrize(
    ("prepare", "size", "reason"),
    [
        (halt, 1, "market: not open"),
        (age, 1, "oracle: stale price"),
        (widen, 1, "oracle: wide confidence"),
        (None, "0.0019", "market: size below minimum"),
        (None, 0, "orders: figure out of range"),
        (None, Decimal(2**92) / WAD, "orders: figure out of range"),
    ],
)
def test_preview_order__refused__for_the_reason_of_commit(
    world: World,
    trader: bytes,
    prepare: Callable[[World, bytes], None] | None,
    size: Any,
    reason: str,
) -> None:
    if prepare is not None:
        prepare(world, trader)
    order = world.order(trader, BTC, size)
    preview = world.lens.preview_order(order.as_argument())
    assert (preview.refusal, preview.missing, preview.reserve) == (reason, 0, 0)
    with refused(reason):
        world.commit(order)


def test_preview_order__unknown_committed_and_no_policy(world: World, trader: bytes) -> None:
    unknown = world.order(trader, 9, 1)
    reason = "instruments: unknown instrument"
    assert world.lens.preview_order(unknown.as_argument()).refusal == reason
    with refused(reason):
        world.commit(unknown)

    order = world.order(trader, BTC, "0.1")
    world.commit(order)
    assert world.lens.preview_order(order.as_argument()).refusal == "orders: already committed"
    with refused("orders: already committed"):
        world.commit(order)


# -- withdrawals --------------------------------------------------------------------------------


def flat(world: World, account: bytes) -> None:
    """Cash and nothing else."""


def losing(world: World, account: bytes) -> None:
    world.open_position(account, BTC, "1.5")
    world.post({BTC: 48_700})


def winning(world: World, account: bytes) -> None:
    """The gain stays: only cash may leave."""
    world.open_position(account, BTC, "0.2")
    world.post({BTC: 70_000})


def winning_big(world: World, account: bytes) -> None:
    world.open_position(account, BTC, 2)
    world.post({BTC: 50_500})


def ordered(world: World, account: bytes) -> None:
    world.commit(world.order(account, BTC, 1))


def ordered_and_held(world: World, account: bytes) -> None:
    world.open_position(account, ETH, -8)
    world.commit(world.order(account, BTC, 1))
    world.repost()


def collateralised(world: World, account: bytes) -> None:
    """Debt without positions asks margin of its own."""
    world.add_collateral(account, world.weth, 5)
    world.repost()


def rich(world: World, account: bytes) -> None:
    """Collateral for more than an account may owe."""
    world.add_collateral(account, world.wbtc, 9)
    world.repost()


def rich_with_a_position(world: World, account: bytes) -> None:
    world.add_collateral(account, world.wbtc, 9)
    world.open_position(account, SOL, 300)
    world.repost()


def indebted(world: World, account: bytes) -> None:
    world.add_collateral(account, world.wbtc, 3)
    owner = world.owner(account)
    world.repost()
    world.clearinghouse.withdraw(account, 60_000 * USD, owner, sender=owner)


def stale(world: World, account: bytes) -> None:
    world.open_position(account, BTC, "0.5")
    world.evm.warp(200)


def stale_without_position(world: World, account: bytes) -> None:
    """Its cash leaves without a look at prices, its collateral's worth does not."""
    world.add_collateral(account, world.weth, 5)
    world.evm.warp(200)


def all_may_owe_little(world: World, account: bytes) -> None:
    """The ceiling of all debt, mostly used by another."""
    other = world.account("other")
    world.add_collateral(other, world.wbtc, 3)
    world.add_collateral(account, world.wbtc, 3)
    world.debts.set_ceilings(10**23, 8_000, sender=world.governor)
    world.repost()
    owner = world.owner(other)
    world.clearinghouse.withdraw(other, 70_000 * USD, owner, sender=owner)


@pytest.mark.parametrize(
    "prepare",
    [
        *(flat, losing, winning, winning_big, ordered, ordered_and_held, collateralised, rich),
        *(rich_with_a_position, indebted, stale, stale_without_position, all_may_owe_little),
    ],
)
def test_preview_withdraw__is_the_most_that_leaves(
    world: World, trader: bytes, prepare: Callable[[World, bytes], None]
) -> None:
    prepare(world, trader)
    most = world.lens.preview_withdraw(trader)
    assert (most == 0) == (prepare is stale)
    owner = world.owner(trader)
    with world.evm.trial(), pytest.raises(Revert, match=r"^(account|oracle): "):
        world.clearinghouse.withdraw(trader, most + 1, owner, sender=owner)
    if most:
        world.clearinghouse.withdraw(trader, most, owner, sender=owner)
        assert world.lens.preview_withdraw(trader) == 0


def test_preview_withdraw__of_nobody(world: World) -> None:
    assert world.lens.preview_withdraw(world.account("nobody")) == 0


# -- liquidations -------------------------------------------------------------------------------


@pytest.mark.parametrize("fall", [0, 1, 4, 12])
def test_preview_liquidation__equals_the_act(world: World, fall: int) -> None:
    """A little below maintenance, deeper, and beyond what the equity pays."""
    account = world.account("trader", 1)
    world.deposit(account, 9_000)
    world.open_position(account, BTC, "1.5")
    price = world.lens.liquidation_price(account, BTC)[0] * (100 - fall) // 100 // TICK * TICK
    world.evm.warp(1)
    price_is(world, BTC, price)
    preview = world.lens.preview_liquidation(account, BTC)
    assert preview.refusal == ""

    world.liquidator.liquidate(account, BTC, 2**255, sender=world.keeper)
    (done,) = world.evm.events("Liquidated")
    (filled,) = world.evm.events("PositionChanged")
    assert preview.size == done.args.size == filled.args.size_delta < 0
    assert preview.reward == done.args.reward
    assert preview.fee + preview.penalty == done.args.charged
    value = mul_floor(-preview.size, price)
    assert preview.spread == value + filled.args.fill_notional
    if fall == 12:
        assert (preview.fee, preview.penalty, preview.reward) == (0, 0, 0)


def test_preview_liquidation__refused__for_the_reason_of_the_act(
    world: World, trader: bytes
) -> None:
    world.open_position(trader, BTC, "2.3")
    preview = world.lens.preview_liquidation(trader, BTC)
    assert (preview.size, preview.refusal) == (0, "liquidation: not liquidatable")
    world.post({BTC: 40_000})
    preview = world.lens.preview_liquidation(trader, ETH)
    assert (preview.size, preview.refusal) == (0, "account: no such position")
    with refused(preview.refusal):
        world.liquidator.liquidate(trader, ETH, 2**255, sender=world.keeper)
    world.evm.warp(121)
    preview = world.lens.preview_liquidation(trader, BTC)
    assert (preview.size, preview.refusal) == (0, "oracle: stale price")
    with refused(preview.refusal):
        world.liquidator.liquidate(trader, BTC, 2**255, sender=world.keeper)


def test_preview_order__premium_sees_forced_size_only_in_time(world: World) -> None:
    """After a liquidation the fill price follows the residual, in the preview as in the fill."""
    account, other = world.account("trader", 1), world.account("other", 1)
    world.deposit(account, 90_000)
    world.deposit(other, 90_000)
    world.open_position(account, BTC, 15)
    price = world.lens.liquidation_price(account, BTC)[0]
    world.post({BTC: Decimal(price) / WAD * 95 / 100})
    world.liquidator.liquidate(account, BTC, 2**255, sender=world.keeper)
    assert market.decode(world.markets.market(BTC)).forced != 0
    world.wait(600)
    order = world.order(other, BTC, 2)
    world.commit(order)
    slot = world.due_slot(order)
    preview = world.lens.preview_order(world.order(other, BTC, 2).as_argument())
    assert world.execute(order, slot) == 0
    (filled,) = world.evm.events("PositionChanged")
    assert (preview.cost, preview.fee) == (filled.args.fill_notional, filled.args.fee)


def test_preview_order__largest_size__is_refused_for_margin(world: World, trader: bytes) -> None:
    order = world.order(trader, BTC, Decimal(2**92 - 1) / WAD)
    preview = world.lens.preview_order(order.as_argument())
    assert preview.refusal == "account: not enough margin"
    with refused(preview.refusal):
        world.commit(order)


# -- the life of an instrument


def test_life__from_open_to_closed(world: World, trader: bytes) -> None:
    lens, day = world.lens, 86_400
    world.open_position(trader, BTC, "0.1")
    world.open_position(trader, ETH, 1)
    longs = market_of(world, BTC).long_interest
    assert tuple(lens.life(BTC)) == (0, 0, 0, longs, 0)
    world.instruments.halt([BTC], sender=world.guardian)
    assert tuple(lens.life(BTC))[:2] == (2, world.evm.timestamp + 3 * day)
    at = world.evm.timestamp + day
    world.instruments.delist(BTC, at, sender=world.governor)
    assert tuple(lens.life(BTC))[:3] == (3, at, 0)
    world.evm.warp(at - 1 - world.evm.timestamp)
    slot = world.post({BTC: 51_000, ETH: 2_500})
    assert lens.life(BTC).status == 4
    world.markets.settle_instrument(BTC, slot, sender=world.keeper)
    assert tuple(lens.life(BTC)) == (5, world.evm.timestamp, usd(51_000), longs, 0)

    # no feed moves it: it has no price to be liquidated at, and none can be stale
    (line,) = [one for one in lens.report(trader).positions if one.instrument == BTC]
    assert (line.status, line.below, line.above) == (5, 0, 0)
    assert line.value == line.size * 51_000
    world.evm.warp(100 * day)
    world.post({ETH: 2_500})
    assert lens.report(trader).level == 3

    world.liquidator.settle_positions([trader], BTC, sender=world.keeper)
    assert lens.life(BTC).status == 6
    with refused("instruments: unknown instrument"):
        lens.life(99)
