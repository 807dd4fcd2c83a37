"""Vault: every act, its event, every refusal, tokens that misbehave; SPEC 1.3, 2.6, 7.9, 8.7."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.evm import Contract
from tests.support.refusals import refused
from tests.support.world import BTC, ETH, USD, World

PPM = 10**6
WAD = 10**18
DAY = 86_400
NOBODY = "0x" + "00" * 20
MAX_CAP = 2**112 - 1

WETH_BIT, WBTC_BIT = 1, 2  # in the order of the parameter file


@pytest.fixture
def trader(world: World) -> bytes:
    return world.account("trader")


def hostile(world: World, decimals: int = 18) -> Contract:
    """A token that misbehaves when told to; on the chain, not listed."""
    artifact = world.artifacts["HostileToken"]
    return world.evm.deploy(artifact, "Hostile", "BAD", decimals, sender=world.governor)


def listed(world: World, token: Contract, cap: int = 10**24) -> Contract:
    """The token after its listing as collateral, priced like ETH, 10 % off."""
    world.mint(token, world.governor, 100, world.vault)
    world.vault.list_token(token.address, ETH, 100_000, cap, 100, sender=world.governor)
    return token


def books(world: World, *accounts: bytes) -> Any:
    """All that the Vault and the tokens know, to compare before and after."""
    tokens = world.vault.tokens()
    listings = [world.vault.listing(token) for token in tokens]
    held = [[world.vault.held(account, token) for token in tokens] for account in accounts]
    flags = [world.clearinghouse.account_word(account) for account in accounts]
    contracts = [world.evm.at(token, world.weth.abi) for token in tokens]
    balances = [token.balanceOf(world.vault.address) for token in contracts]
    return listings, held, flags, balances


@contextmanager
def unchanged(world: World, *accounts: bytes) -> Iterator[None]:
    before = books(world, *accounts)
    yield
    assert books(world, *accounts) == before


def mask(world: World, account: bytes) -> int:
    """The collateral mask of an account's word."""
    return int(world.clearinghouse.account_word(account)[0]) >> 245 & 0xFF


# -- deposit


def test_deposit__credits_what_was_sent_and_sets_the_bit(world: World, trader: bytes) -> None:
    units = world.add_collateral(trader, world.weth, 3)
    assert units == 3 * WAD
    (changed,) = world.evm.events("CollateralChanged")
    assert tuple(changed.args) == (trader, world.weth.address, 1, units, units, units)
    (flags,) = world.evm.events("BookFlagsChanged")
    assert flags.args.collateral == WETH_BIT
    assert world.vault.held(trader, world.weth.address) == units
    assert world.vault.listing(world.weth.address).total == units
    assert world.weth.balanceOf(world.vault.address) == units
    assert mask(world, trader) == WETH_BIT


def test_deposit__more_of_a_token_leaves_the_account_word_alone(
    world: World, trader: bytes
) -> None:
    world.add_collateral(trader, world.weth, 3)
    world.add_collateral(trader, world.weth, 2)
    assert world.evm.events("BookFlagsChanged") == []
    world.add_collateral(trader, world.wbtc, 1)
    assert mask(world, trader) == WETH_BIT | WBTC_BIT
    assert world.vault.held(trader, world.weth.address) == 5 * WAD
    assert world.vault.held(trader, world.wbtc.address) == 10**8


def test_deposit__anyone_may_for_anyone_and_pays_himself(world: World, trader: bytes) -> None:
    friend = world.wallet("friend")
    world.mint(world.weth, friend, 5, world.vault)
    world.vault.deposit(trader, world.weth.address, 5, sender=friend)
    assert world.vault.held(trader, world.weth.address) == 5
    assert world.weth.balanceOf(friend) == 0


def test_deposit__cap_binds_the_total_of_all_accounts_to_the_unit(
    world: World, trader: bytes
) -> None:
    world.vault.set_cap(world.weth.address, 10, sender=world.governor)
    other = world.account("other")
    for account, amount in ((other, 7), (trader, 3)):
        owner = world.owner(account)
        world.mint(world.weth, owner, amount + 1, world.vault)
        with unchanged(world, trader, other), refused("vault: cap reached"):
            world.vault.deposit(account, world.weth.address, 11, sender=owner)
        world.vault.deposit(account, world.weth.address, amount, sender=owner)
    with unchanged(world, trader, other), refused("vault: cap reached"):
        world.vault.deposit(trader, world.weth.address, 1, sender=world.owner(trader))
    with refused("vault: cap reached"):
        world.vault.deposit(trader, world.weth.address, 2**256 - 1, sender=world.owner(trader))
    assert world.vault.listing(world.weth.address).total == 10


def test_deposit__refusals_change_nothing(world: World, trader: bytes) -> None:
    owner = world.owner(trader)
    world.mint(world.weth, owner, 10, world.vault)
    token = world.weth.address
    with unchanged(world, trader):
        with refused("vault: token not listed"):
            world.vault.deposit(trader, world.usdc.address, 1, sender=owner)
        with refused("vault: amount is zero"):
            world.vault.deposit(trader, token, 0, sender=owner)
        with refused("account: no owner"):
            world.vault.deposit(world.account(NOBODY, 7), token, 1, sender=owner)
        with refused(f"ERC20InsufficientBalance({owner}, 10, 11)"):
            world.vault.deposit(trader, token, 11, sender=owner)


def test_deposit__needs_no_price(world: World, trader: bytes) -> None:
    world.evm.warp(10 * DAY)
    world.add_collateral(trader, world.weth, 1)
    assert world.vault.held(trader, world.weth.address) == WAD


def test_tokens_sent_without_a_call_belong_to_nobody(world: World, trader: bytes) -> None:
    world.add_collateral(trader, world.weth, 1)
    before = world.vault.listing(world.weth.address), world.assess(trader)
    world.weth.mint(world.vault.address, 50 * WAD, sender=world.governor)
    assert (world.vault.listing(world.weth.address), world.assess(trader)) == before
    with refused("vault: balance too small"):
        world.vault.withdraw(
            trader, world.weth.address, WAD + 1, world.owner(trader), sender=world.owner(trader)
        )


# -- withdraw


def test_withdraw__sends_to_the_receiver_and_clears_the_bit_at_zero(
    world: World, trader: bytes
) -> None:
    owner, friend = world.owner(trader), world.wallet("friend")
    units = world.add_collateral(trader, world.weth, 3)
    world.add_collateral(trader, world.wbtc, 1)
    world.vault.withdraw(trader, world.weth.address, 1, friend, sender=owner)
    (changed,) = world.evm.events("CollateralChanged")
    assert tuple(changed.args) == (trader, world.weth.address, 2, -1, units - 1, units - 1)
    assert world.evm.events("BookFlagsChanged") == []
    world.vault.withdraw(trader, world.weth.address, units - 1, owner, sender=owner)
    assert mask(world, trader) == WBTC_BIT
    assert world.weth.balanceOf(friend) == 1
    assert world.weth.balanceOf(owner) == units - 1
    assert world.vault.listing(world.weth.address).total == 0
    assert world.vault.held(trader, world.weth.address) == 0


def test_withdraw__refusals_change_nothing(world: World, trader: bytes) -> None:
    owner, thief = world.owner(trader), world.wallet("thief")
    world.add_collateral(trader, world.weth, 3)
    world.add_collateral(world.account("other"), world.weth, 5)
    token = world.weth.address
    with unchanged(world, trader):
        with refused("account: not the owner"):
            world.vault.withdraw(trader, token, 1, thief, sender=thief)
        with refused("vault: token not listed"):
            world.vault.withdraw(trader, world.usdc.address, 1, owner, sender=owner)
        with refused("vault: amount is zero"):
            world.vault.withdraw(trader, token, 0, owner, sender=owner)
        with refused("vault: balance too small"):
            world.vault.withdraw(trader, token, 3 * WAD + 1, owner, sender=owner)
        with refused("vault: balance too small"):
            world.vault.withdraw(trader, token, 2**256 - 1, owner, sender=owner)


def test_withdraw__without_position_or_debt_asks_for_no_price(world: World, trader: bytes) -> None:
    world.add_collateral(trader, world.weth, 3)
    world.evm.warp(30 * DAY)
    world.vault.withdraw(
        trader, world.weth.address, 3 * WAD, world.owner(trader), sender=world.owner(trader)
    )
    assert mask(world, trader) == 0


def test_withdraw__only_what_margin_leaves_free(world: World, trader: bytes) -> None:
    owner = world.owner(trader)
    world.vault.set_slope(world.weth.address, 0, sender=world.governor)
    world.deposit(trader, 500)
    world.add_collateral(trader, world.weth, 2)  # counts 4,400 of 5,000
    world.open_position(trader, BTC, 0.5)  # initial about 2,000
    free = world.assess(trader)
    slack = free.equity_initial - free.initial
    worth = 2_200  # USD of one WETH
    most = slack // worth
    with unchanged(world, trader), refused("account: below initial margin"):
        world.vault.withdraw(trader, world.weth.address, most + 1, owner, sender=owner)
    world.vault.withdraw(trader, world.weth.address, most, owner, sender=owner)
    after = world.assess(trader)
    assert 0 <= after.equity_initial - after.initial < worth


def test_withdraw__with_a_position_needs_a_fresh_and_tight_price(
    world: World, trader: bytes
) -> None:
    owner = world.owner(trader)
    world.deposit(trader, 5_000)
    world.add_collateral(trader, world.weth, 2)
    world.open_position(trader, BTC, 0.1)
    world.evm.warp(121)
    with unchanged(world, trader), refused("oracle: stale price"):
        world.vault.withdraw(trader, world.weth.address, 1, owner, sender=owner)
    world.post({BTC: 50_000, ETH: 2_500}, confidence=5_001)
    with unchanged(world, trader), refused("oracle: wide confidence"):
        world.vault.withdraw(trader, world.weth.address, 1, owner, sender=owner)
    world.repost()
    world.vault.withdraw(trader, world.weth.address, 1, owner, sender=owner)


def test_withdraw__a_lower_cap_never_stops_it(world: World, trader: bytes) -> None:
    owner = world.owner(trader)
    world.add_collateral(trader, world.weth, 3)
    world.vault.set_cap(world.weth.address, 0, sender=world.governor)
    world.vault.withdraw(trader, world.weth.address, WAD, owner, sender=owner)
    world.vault.move(trader, world.account("trader", 1), world.weth.address, WAD, sender=owner)
    assert world.vault.listing(world.weth.address).total == 2 * WAD


# -- move


def test_move__between_buckets_keeps_the_total(world: World, trader: bytes) -> None:
    owner, bucket = world.owner(trader), world.account("trader", 5)
    world.add_collateral(trader, world.weth, 3)
    world.vault.move(trader, bucket, world.weth.address, 3 * WAD, sender=owner)
    out, into = world.evm.events("CollateralChanged")
    token = world.weth.address
    assert tuple(out.args) == (trader, token, 3, -3 * WAD, 0, 3 * WAD)
    assert tuple(into.args) == (bucket, token, 3, 3 * WAD, 3 * WAD, 3 * WAD)
    assert (mask(world, trader), mask(world, bucket)) == (0, WETH_BIT)
    assert world.weth.balanceOf(world.vault.address) == 3 * WAD


def test_move__refusals_change_nothing(world: World, trader: bytes) -> None:
    owner, bucket = world.owner(trader), world.account("trader", 5)
    thief = world.account("thief")
    world.add_collateral(trader, world.weth, 3)
    token = world.weth.address
    with unchanged(world, trader, bucket, thief):
        with refused("account: not the owner"):
            world.vault.move(trader, thief, token, 1, sender=owner)
        with refused("account: not the owner"):
            world.vault.move(trader, thief, token, 1, sender=world.owner(thief))
        with refused("account: same bucket"):
            world.vault.move(trader, trader, token, 1, sender=owner)
        with refused("vault: amount is zero"):
            world.vault.move(trader, bucket, token, 0, sender=owner)
        with refused("vault: balance too small"):
            world.vault.move(trader, bucket, token, 3 * WAD + 1, sender=owner)
        with refused("vault: token not listed"):
            world.vault.move(trader, bucket, world.usdc.address, 1, sender=owner)


def test_move__the_source_stays_above_initial_margin(world: World, trader: bytes) -> None:
    owner, bucket = world.owner(trader), world.account("trader", 5)
    world.add_collateral(trader, world.weth, 2)
    world.open_position(trader, BTC, 0.5)
    with unchanged(world, trader, bucket), refused("account: below initial margin"):
        world.vault.move(trader, bucket, world.weth.address, 2 * WAD - 1, sender=owner)
    world.vault.move(trader, bucket, world.weth.address, WAD // 10, sender=owner)


# -- seize


def debtor(world: World, token: Contract, amount: int) -> bytes:
    """An account that owes 80,000 USD against collateral, above what anyone may repay."""
    account = world.account("debtor")
    world.add_collateral(account, token, amount)
    world.clearinghouse.withdraw(
        account, 80_000 * USD, world.owner(account), sender=world.owner(account)
    )
    world.ripen_debt(account)
    return account


def buy(world: World, account: bytes, token: Contract, usd: int) -> int:
    """Pay some of the debt as a buyer does; returns the units of the token received."""
    buyer = world.wallet("buyer")
    world.mint(world.usdc, buyer, usd * USD, world.clearinghouse)
    return int(
        world.liquidator.repay_with_collateral(account, token.address, usd * USD, 0, sender=buyer)
    )


def test_seize__sends_collateral_to_the_buyer_of_debt(world: World) -> None:
    account = debtor(world, world.weth, 50)
    bought = buy(world, account, world.weth, 1_000)
    (changed,) = world.evm.events("CollateralChanged")
    left = 50 * WAD - bought
    assert tuple(changed.args) == (account, world.weth.address, 4, -bought, left, left)
    assert world.weth.balanceOf(world.wallet("buyer")) == bought > 0
    assert world.weth.balanceOf(world.vault.address) == left
    assert mask(world, account) == WETH_BIT


def test_seize__the_last_of_a_token_clears_its_bit(world: World) -> None:
    account = debtor(world, world.weth, 50)
    world.add_collateral(account, world.wbtc, "0.01")
    assert buy(world, account, world.wbtc, 485) == 10**6  # 500 USD at 3 % off
    assert mask(world, account) == WETH_BIT


def test_seize__never_more_than_the_account_has(world: World, trader: bytes) -> None:
    """On a vault whose liquidator is a wallet: the Liquidator itself never asks for that."""
    liquidator, governor = world.wallet("liquidator"), world.governor
    vault = world.evm.deploy(
        world.artifacts["Vault"],
        governor,
        world.clearinghouse.address,
        liquidator,
        world.hub.address,
        sender=governor,
    )
    world.mint(world.weth, governor, 1, vault)
    vault.list_token(world.weth.address, ETH, 0, 1, 1, sender=governor)
    token = world.weth.address
    with refused("vault: balance too small"):
        vault.seize(trader, token, 1, liquidator, sender=liquidator)
    with refused("vault: amount is zero"):
        vault.seize(trader, token, 0, liquidator, sender=liquidator)
    with refused("vault: token not listed"):
        vault.seize(trader, world.wbtc.address, 1, liquidator, sender=liquidator)


def test_seize__by_nobody_but_the_liquidator(world: World, trader: bytes) -> None:
    world.add_collateral(trader, world.weth, 3)
    with unchanged(world, trader):
        for caller in (world.owner(trader), world.governor, world.wallet("buyer")):
            with refused("vault: only liquidator"):
                world.vault.seize(trader, world.weth.address, 1, caller, sender=caller)


def test_seize__a_blocked_owner_cannot_stop_the_sale_of_his_collateral(world: World) -> None:
    token = listed(world, hostile(world))
    account = debtor(world, token, 50)
    token.set_blocked(world.owner(account), True, sender=world.governor)
    bought = buy(world, account, token, 1_000)
    assert token.balanceOf(world.wallet("buyer")) == bought > 0


# -- value


def test_value__each_token_at_its_price_less_its_haircut(world: World, trader: bytes) -> None:
    for token in (world.weth, world.wbtc):
        world.vault.set_slope(token.address, 0, sender=world.governor)
    world.add_collateral(trader, world.weth, "3.000000000000000001")
    world.add_collateral(trader, world.wbtc, "0.00000007")
    world.post({ETH: "2345.67890123", BTC: "51234.56789"})
    eth = world.hub.state(ETH).price_wad
    btc = world.hub.state(BTC).price_wad
    weth = (3 * WAD + 1) * eth * (PPM - 120_000) // (PPM * 10**18)
    wbtc = 7 * btc * (PPM - 90_000) // (PPM * 10**8)
    assert world.vault.value(trader, WETH_BIT, 3) == (weth, weth)
    assert world.vault.value(trader, WBTC_BIT, 3) == (wbtc, wbtc)
    assert world.vault.value(trader, WETH_BIT | WBTC_BIT, 3) == (weth + wbtc, weth + wbtc)
    found = world.assess(trader)
    assert (found.collateral, found.collateral_initial) == (weth + wbtc, weth + wbtc)


def test_value__an_empty_mask_asks_nothing(world: World, trader: bytes) -> None:
    world.evm.warp(30 * DAY)
    assert world.vault.value(trader, 0, 3) == (0, 0)


def test_value__prices_must_have_the_level(world: World, trader: bytes) -> None:
    world.add_collateral(trader, world.weth, 1)
    world.evm.warp(121)
    assert world.vault.value(trader, WETH_BIT, 1)[0] == 2_200 * WAD
    with refused("oracle: stale price"):
        world.vault.value(trader, WETH_BIT, 2)
    world.evm.warp(1_000)
    with refused("oracle: stale price"):
        world.vault.value(trader, WETH_BIT, 1)
    assert world.vault.value(trader, WETH_BIT, 0)[0] == 2_200 * WAD


def test_value__at_the_largest_cap_and_price_does_not_overflow(world: World, trader: bytes) -> None:
    config = (0, 1, 16, 120, 900, 5_000, 2_000, NOBODY)
    feed = world.hub.add_feed(config, sender=world.governor)
    token = hostile(world, 0)
    world.mint(token, world.governor, 1, world.vault)
    world.vault.list_token(token.address, feed, 30_000, MAX_CAP, 1, sender=world.governor)
    owner = world.owner(trader)
    world.mint(token, owner, MAX_CAP, world.vault)
    world.vault.deposit(trader, token.address, MAX_CAP, sender=owner)
    slot = world.evm.timestamp
    world.reporters.post(feed, slot, slot - 1, [2**56 - 1] * 3, sender=world.keeper)
    place = world.vault.listing(token.address).place
    worth = MAX_CAP * (2**56 - 1) * WAD * 97 // 100
    assert world.vault.value(trader, 1 << place, 3) == (worth, worth)


# -- list_token


def test_list_token__takes_the_next_bit(world: World) -> None:
    token = hostile(world, 8)
    world.mint(token, world.governor, 100, world.vault)
    world.vault.list_token(token.address, BTC, 70_000, 123, 100, sender=world.governor)
    (event,) = world.evm.events("TokenListed")
    assert tuple(event.args) == (token.address, 2, BTC, 8, 70_000, 123)
    listed_at = world.evm.timestamp
    assert tuple(world.vault.listing(token.address)) == (
        *(BTC, 8, 70_000, 2, 123, 0),
        *(70_000, 70_000, listed_at, 0),
    )
    assert world.vault.tokens() == (world.weth.address, world.wbtc.address, token.address)
    assert token.balanceOf(world.governor) == 100
    assert token.balanceOf(world.vault.address) == 0


def test_list_token__refusals_change_nothing(world: World, trader: bytes) -> None:
    token, governor = hostile(world), world.governor
    world.mint(token, governor, 100, world.vault)

    def attempt(
        address: str = token.address,
        feed: int = ETH,
        haircut: int = 30_000,
        cap: int = 1,
        probe: int = 1,
        sender: str = governor,
    ) -> None:
        world.vault.list_token(address, feed, haircut, cap, probe, sender=sender)

    with unchanged(world, trader):
        with refused("ownable: caller is not the owner"):
            attempt(sender=world.owner(trader))
        with refused("vault: token listed already"):
            attempt(world.weth.address)
        for feed in (0, 4):
            with refused("vault: no such feed"):
                attempt(feed=feed)
        with refused("vault: haircut out of range"):
            attempt(haircut=PPM + 1)
        with refused("vault: haircut below discount"):
            attempt(haircut=29_999)
        with refused("vault: cap out of range"):
            attempt(cap=MAX_CAP + 1)
        with refused("vault: probe is zero"):
            attempt(probe=0)
        with refused("vault: decimals above 18"):
            attempt(hostile(world, 19).address)
    attempt()


@pytest.mark.parametrize("fees", [(10_000, 0), (0, 10_000), (10_000, 10_000)])
def test_list_token__a_fee_either_way_shows_in_the_probe(
    world: World, fees: tuple[int, int]
) -> None:
    token = hostile(world)
    token.set_fees(*fees, sender=world.governor)
    world.mint(token, world.governor, 100, world.vault)
    with refused("vault: token keeps a fee"):
        world.vault.list_token(token.address, ETH, 30_000, 1, 100, sender=world.governor)
    assert world.vault.listing(token.address).feed == 0
    token.set_fees(0, 0, sender=world.governor)
    world.vault.list_token(token.address, ETH, 30_000, 1, 100, sender=world.governor)


def test_list_token__a_false_answer_is_a_refusal(world: World) -> None:
    token = hostile(world)
    world.mint(token, world.governor, 100, world.vault)
    token.set_manner(2, sender=world.governor)
    with refused("vault: transfer failed"):
        world.vault.list_token(token.address, ETH, 30_000, 1, 100, sender=world.governor)


def test_list_token__eight_at_most(world: World, trader: bytes) -> None:
    last = world.weth
    for _ in range(6):
        last = listed(world, hostile(world))
    assert len(world.vault.tokens()) == 8
    ninth = hostile(world)
    world.mint(ninth, world.governor, 100, world.vault)
    with refused("vault: too many tokens"):
        world.vault.list_token(ninth.address, ETH, 0, 1, 100, sender=world.governor)
    world.add_collateral(trader, last, 1)
    assert mask(world, trader) == 1 << 7
    assert world.vault.value(trader, 1 << 7, 3)[0] == 2_250 * WAD


# -- setters


def test_set_haircut__moves_five_points_a_day_either_way(world: World) -> None:
    token, governor = world.weth.address, world.governor
    world.vault.set_haircut(token, 220_000, sender=governor)
    (event,) = world.evm.events("HaircutChanged")
    assert tuple(event.args) == (token, 120_000, 220_000)
    assert world.vault.listing(token).haircut_ppm == 120_000
    world.evm.warp(DAY // 5)
    assert world.vault.listing(token).haircut_ppm == 130_000
    world.vault.set_haircut(token, 90_000, sender=governor)  # it turns where it is
    assert world.vault.listing(token).haircut_ppm == 130_000
    world.evm.warp(DAY // 2)
    assert world.vault.listing(token).haircut_ppm == 105_000
    world.evm.warp(10 * DAY)
    assert world.vault.listing(token).haircut_ppm == 90_000


def test_set_haircut__a_higher_one_counts_for_new_risk_at_once(world: World, trader: bytes) -> None:
    token, governor = world.weth.address, world.governor
    world.vault.set_slope(token, 0, sender=governor)
    world.add_collateral(trader, world.weth, 1)
    world.vault.set_haircut(token, 200_000, sender=governor)
    assert world.vault.value(trader, WETH_BIT, 3) == (2_200 * WAD, 2_000 * WAD)
    world.wait(DAY)
    assert world.vault.value(trader, WETH_BIT, 3) == (2_075 * WAD, 2_000 * WAD)
    world.vault.set_haircut(token, 100_000, sender=governor)
    assert world.vault.value(trader, WETH_BIT, 3) == (2_075 * WAD, 2_075 * WAD)


@pytest.mark.parametrize(
    ("cap", "extra"),
    [(100, 200_000), (50, 200_000), (0, 200_000), (200, 100_000), (301, 66_446), (MAX_CAP, 1)],
)
def test_set_slope__counts_for_new_risk_by_what_all_hold_of_the_cap(
    world: World, trader: bytes, cap: int, extra: int
) -> None:
    token, governor = hostile(world, 0), world.governor
    listed(world, token, 100)
    world.mint(token, world.owner(trader), 100, world.vault)
    world.vault.deposit(trader, token.address, 100, sender=world.owner(trader))
    world.vault.set_slope(token.address, 200_000, sender=governor)
    (event,) = world.evm.events("SlopeChanged")
    assert tuple(event.args) == (token.address, 200_000)
    world.vault.set_cap(token.address, cap, sender=governor)
    whole = 100 * 2_500 * WAD
    assert world.vault.value(trader, 4, 3) == (
        whole * 900_000 // PPM,
        whole * (900_000 - extra) // PPM,
    )


def test_set_slope__bounds_and_owner(world: World, trader: bytes) -> None:
    token = world.weth.address
    with refused("ownable: caller is not the owner"):
        world.vault.set_slope(token, 0, sender=world.owner(trader))
    with refused("vault: slope out of range"):
        world.vault.set_slope(token, PPM + 1, sender=world.governor)
    with refused("vault: token not listed"):
        world.vault.set_slope(world.usdc.address, 0, sender=world.governor)
    world.add_collateral(trader, world.weth, 1)
    world.vault.set_cap(token, 1, sender=world.governor)
    world.vault.set_slope(token, PPM, sender=world.governor)
    assert world.vault.value(trader, WETH_BIT, 3) == (2_200 * WAD, 0)


def test_set_sale_discount__never_above_a_haircut(world: World, trader: bytes) -> None:
    vault, governor = world.vault, world.governor
    with refused("ownable: caller is not the owner"):
        vault.set_sale_discount(0, sender=world.owner(trader))
    with refused("vault: discount out of range"):
        vault.set_sale_discount(200_001, sender=governor)
    with refused("vault: discount above haircut"):
        vault.set_sale_discount(90_001, sender=governor)
    vault.set_sale_discount(90_000, sender=governor)
    (event,) = world.evm.events("SaleDiscountChanged")
    assert tuple(event.args) == (90_000,)
    with refused("vault: haircut below discount"):
        vault.set_haircut(world.weth.address, 89_999, sender=governor)
    with refused("vault: haircut below discount"):
        token = hostile(world)
        world.mint(token, governor, 100, vault)
        vault.list_token(token.address, ETH, 89_999, 1, 100, sender=governor)
    vault.set_haircut(world.wbtc.address, 120_000, sender=governor)
    with refused("vault: discount above haircut"):  # it is on its way up, not yet there
        vault.set_sale_discount(120_000, sender=governor)
    world.evm.warp(DAY)
    vault.set_sale_discount(120_000, sender=governor)


def test_set_haircut__bounds_and_owner(world: World, trader: bytes) -> None:
    token = world.weth.address
    with refused("ownable: caller is not the owner"):
        world.vault.set_haircut(token, 0, sender=world.owner(trader))
    with refused("vault: haircut out of range"):
        world.vault.set_haircut(token, PPM + 1, sender=world.governor)
    with refused("vault: token not listed"):
        world.vault.set_haircut(world.usdc.address, PPM, sender=world.governor)
    world.vault.set_sale_discount(0, sender=world.governor)
    world.vault.set_haircut(token, 0, sender=world.governor)
    world.add_collateral(trader, world.weth, 1)
    world.wait(3 * DAY)
    assert world.assess(trader).collateral == 2_500 * WAD


def test_set_haircut__at_all_of_the_value_a_token_counts_for_nothing(
    world: World, trader: bytes
) -> None:
    token = hostile(world)
    world.mint(token, world.governor, 100, world.vault)
    world.vault.list_token(token.address, ETH, PPM, 10**24, 100, sender=world.governor)
    world.add_collateral(trader, token, 1)
    assert world.assess(trader).collateral == 0


def test_set_cap__bounds_and_owner(world: World, trader: bytes) -> None:
    token = world.weth.address
    with refused("ownable: caller is not the owner"):
        world.vault.set_cap(token, 1, sender=world.owner(trader))
    with refused("vault: cap out of range"):
        world.vault.set_cap(token, MAX_CAP + 1, sender=world.governor)
    with refused("vault: token not listed"):
        world.vault.set_cap(world.usdc.address, 1, sender=world.governor)
    world.add_collateral(trader, world.weth, 1)
    world.vault.set_cap(token, MAX_CAP, sender=world.governor)
    (event,) = world.evm.events("CapChanged")
    assert tuple(event.args) == (token, MAX_CAP)
    found = world.vault.listing(token)
    assert (found.cap, found.total) == (MAX_CAP, WAD)


# -- tokens that misbehave


def test_a_token_that_answers_nothing_works(world: World, trader: bytes) -> None:
    token = hostile(world)
    token.set_manner(1, sender=world.governor)
    listed(world, token)
    owner = world.owner(trader)
    world.add_collateral(trader, token, 2)
    world.vault.withdraw(trader, token.address, WAD, owner, sender=owner)
    assert token.balanceOf(owner) == WAD
    assert token.balanceOf(world.vault.address) == WAD


def test_a_token_that_answers_false_moves_no_collateral(world: World, trader: bytes) -> None:
    token = listed(world, hostile(world))
    owner = world.owner(trader)
    world.add_collateral(trader, token, 2)
    account = debtor(world, token, 50)
    token.set_manner(2, sender=world.governor)
    world.mint(token, owner, 10, world.vault)
    with unchanged(world, trader, account):
        with refused("vault: transfer failed"):
            world.vault.deposit(trader, token.address, 1, sender=owner)
        with refused("vault: transfer failed"):
            world.vault.withdraw(trader, token.address, 1, owner, sender=owner)
        with refused("vault: transfer failed"):
            buy(world, account, token, 1_000)


def test_an_address_without_code_cannot_be_listed(world: World) -> None:
    with refused(""):
        world.vault.list_token(world.wallet("no code"), ETH, 30_000, 1, 1, sender=world.governor)


@pytest.mark.parametrize("attack", ["deposit", "withdraw", "move"])
def test_a_token_that_calls_back_finds_the_vault_locked(world: World, attack: str) -> None:
    """The token itself owns the account, so that only the lock stands in its way."""
    token = listed(world, hostile(world))
    account, bucket = world.account(token.address), world.account(token.address, 1)
    vault, friend = world.vault, world.wallet("friend")
    world.mint(token, friend, 10 * WAD, vault)
    vault.deposit(account, token.address, 4 * WAD, sender=friend)
    again = {
        "deposit": vault.deposit.encode(account, token.address, 0),
        "withdraw": vault.withdraw.encode(account, token.address, WAD, token.address),
        "move": vault.move.encode(account, bucket, token.address, WAD),
    }[attack]
    token.set_hook(vault.address, again, sender=friend)
    token.act(
        vault.address, vault.withdraw.encode(account, token.address, WAD, friend), sender=friend
    )
    assert (token.hook_runs(), token.hook_passed()) == (1, False)
    vault.deposit(account, token.address, WAD, sender=friend)
    assert (token.hook_runs(), token.hook_passed()) == (2, False)
    assert vault.held(account, token.address) == 4 * WAD
    assert vault.held(bucket, token.address) == 0
    assert token.balanceOf(vault.address) == 4 * WAD
    if attack != "deposit":  # it was the lock: on its own the act is allowed
        token.set_hook(NOBODY, b"", sender=friend)
        token.act(vault.address, again, sender=friend)


def test_a_token_that_calls_back_sees_the_books_closed(world: World) -> None:
    """In the middle of a withdrawal the collateral that leaves no longer counts."""
    token = listed(world, hostile(world))
    account, friend = world.account(token.address), world.wallet("friend")
    world.mint(token, friend, 4 * WAD, world.vault)
    world.vault.deposit(account, token.address, 4 * WAD, sender=friend)
    order = world.order(account, BTC, 0.5)
    commit = world.orders.commit.encode(order.as_argument())
    with world.evm.trial():
        token.act(world.orders.address, commit, sender=friend)  # the collateral would do
    token.set_hook(world.orders.address, commit, sender=friend)
    token.act(
        world.vault.address,
        world.vault.withdraw.encode(account, token.address, 4 * WAD, friend),
        sender=friend,
    )
    assert (token.hook_runs(), token.hook_passed()) == (1, False)
    assert world.assess(account).reserved == 0
