"""Where a walk begins: a fresh deployment with figures drawn from its seed, and its actors."""

from __future__ import annotations

import random
from dataclasses import dataclass

from keeper.core.quotes import Report
from keeper.core.types import AccountId, Address, account_id
from scripts.parameters.units import WAD
from tests.stateful.twin import Act, Signer, Twin, address, hexed
from tests.support.world import USD, World

OWNERS, PROVIDERS, BUCKETS = 8, 3, 3
UNLIMITED = 2**256 - 1
RICH = 10**9  # whole tokens that every actor is given

ETH_UNDERLYING = 2


@dataclass(frozen=True, slots=True)
class Scene:
    """The twin and who acts in it."""

    twin: Twin
    owners: list[Address]
    providers: list[Address]
    keeper: Address
    accounts: list[AccountId]

    @property
    def actors(self) -> list[Address]:
        return [*self.owners, *self.providers, self.keeper]


def build(rng: random.Random) -> Scene:
    """A new world of this seed."""
    world = World()
    _list_second_future(world)
    _draw_figures(world, rng)
    signer = Signer(world)
    owners = [signer.wallet(f"owner {i}") for i in range(OWNERS)]
    providers = [address(world.wallet(f"provider {i}")) for i in range(PROVIDERS)]
    keeper = address(world.keeper)
    for actor in (*owners, *providers, keeper):
        _equip(world, hexed(actor))
    actors = [*owners, *providers, keeper]
    twin = Twin(world, [*actors, address(world.governor)], signer)
    accounts = [account_id(owner, bucket) for owner in owners for bucket in range(BUCKETS)]
    twin.accounts = [*accounts, *(account_id(one, 0) for one in (*providers, keeper))]
    return Scene(twin, owners, providers, keeper, accounts)


def opening(scene: Scene, rng: random.Random) -> list[Act]:
    """The acts that bring the first money: the pool's, insurance's, some accounts'."""
    pool, insurance = rng.choice(((10**7, 5 * 10**5), (3 * 10**6, 10**4), (5 * 10**5, 100)))
    state = scene.twin.state
    acts: list[Act] = []
    share = pool * USD // len(scene.providers)
    for provider in scene.providers:
        acts.append(Act("request_deposit", (provider, share, provider, provider, 0)))
    delay = state.parameters.request_delay_seconds
    acts.append(Act("pass_time", (delay,)))
    for feed, stored in state.prices.items():
        assert stored is not None
        reports = tuple(
            Report(who, stored.median, stored.conf_ppm)
            for who in scene.twin.signer.reporters[: state.parameters.quorum]
        )
        acts.append(Act("post", (feed, state.now + delay, stored.slot, reports)))
    acts.append(Act("execute_requests", (tuple(scene.providers), ())))
    for provider in scene.providers:
        acts.append(Act("claim_deposit", (provider, share, provider, provider)))
    acts.append(Act("fund_insurance", (scene.keeper, insurance * USD)))
    for account in scene.accounts:
        cash = int(10 ** rng.uniform(2.5, 5.5)) * USD
        acts.append(Act("deposit", (Address(account[:20]), account, cash)))
    return acts


def _equip(world: World, who: str) -> None:
    """Tokens, and an allowance for every contract that pulls them."""
    pulls = {
        world.usdc: (world.clearinghouse, world.pool),
        world.weth: (world.vault,),
        world.wbtc: (world.vault,),
    }
    for token, spenders in pulls.items():
        token.mint(who, RICH * 10 ** token.decimals(), sender=who)
        for spender in spenders:
            token.approve(spender.address, UNLIMITED, sender=who)


def _list_second_future(world: World) -> None:
    """A second future on ETH, with terms of its own: a book may hold both."""
    world.instruments.add_instrument(
        (0, ETH_UNDERLYING, 0, 3_600, 50_000, 500, 30_000, 0),
        (400_000 * WAD, 800, 100, 800, 40_000, 2_000),
        (3_000 * WAD, 5_000_000, 50, 4_000, 8_000, 5_000, 3_000, 2_000),
        sender=world.governor,
    )
    world.losses.set_insurance_cap(4, 1_000 * WAD, sender=world.governor)


def _draw_figures(world: World, rng: random.Random) -> None:
    """Tight and generous figures in every mixture, so that every limit is met somewhere."""
    governor = world.governor
    world.risk_engine.set_margin_terms(
        rng.choice((500_000, 800_000, 1_000_000)), 50_000, 100_000, sender=governor
    )
    world.markets.set_safety(
        rng.choice((1_000_000, 2_000_000, 10_000_000)),
        rng.choice((0, 500_000, 1_000_000)),
        rng.choice((600, 7_200)),
        sender=governor,
    )
    shares = rng.choice(((0, 0, 0), (2_000, 3_000, 4_000), (100_000, 200_000, 500_000)))
    floor = rng.choice((0, 1_000, 10**6, 10**6, 10**6)) * WAD
    world.losses.set_terms((*shares, rng.choice((3_600, 86_400)), floor), sender=governor)
    world.debts.set_ceilings(
        rng.choice((2_000, 100_000)) * WAD, rng.choice((2_000, 200_000)), sender=governor
    )
    curve = rng.choice(((0, 800_000, 0, 0), (20_000, 800_000, 60_000, 600_000), (500_000,) * 4))
    world.debts.set_curve(*curve, rng.choice((0, 100_000, 500_000)), sender=governor)
    world.liquidator.set_call_terms(
        400_000,
        rng.choice((500_000, 800_000, 950_000)),
        rng.choice((0, 60)),
        rng.choice((0, 120)),
        sender=governor,
    )
    world.vault.set_sale_discount(rng.choice((0, 30_000)), sender=governor)
    world.liquidator.set_debt_timing(rng.choice((0, 60)), rng.choice((60, 900)), sender=governor)
    world.liquidator.set_debt_threshold(rng.choice((100, 75_000)) * WAD, sender=governor)
    for token, haircut in ((world.weth, 300_000), (world.wbtc, 40_000)):
        world.vault.set_slope(token.address, rng.choice((0, 200_000, 1_000_000)), sender=governor)
        world.vault.set_cap(token.address, 100 * 10 ** token.decimals(), sender=governor)
        if rng.random() < 0.5:  # on its way up or down during the walk
            world.vault.set_haircut(token.address, haircut, sender=governor)
    for underlying in (1, 2, 3):
        world.volatility.set_terms(
            underlying,
            (
                rng.choice((100_000, 500_000)),
                1_600_000,
                rng.choice((6_000, 20_000)),
                rng.choice((3_600, 43_200)),
                rng.choice((150_000, 500_000)),
            ),
            sender=governor,
        )
    congestion = rng.choice(((0, 0, 0, 0), (900, 60, 1_800, 0), (120, 6, 600, 1)))
    world.volatility.set_congestion(congestion, sender=governor)
    world.orders.set_timing(2, rng.choice((20, 120)), sender=governor)
    world.pool.set_exit_terms(rng.choice((1_000_000, 2_500_000)), 1_000, sender=governor)
    if rng.random() < 0.4:
        for instrument in (1, 2, 3, 4):
            world.losses.set_insurance_cap(instrument, 50 * WAD, sender=governor)
