"""A token that calls back in the middle of its transfer finds every book closed.

One hostile token is the settlement token, another a collateral. Each is an owner of accounts,
orders and shares itself. Every act that moves it is done with a call to every other act inside
its transfer: the same contract refuses, the others do what they would do before or after.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.evm import Contract, Revert
from tests.support.world import BTC, ETH, USD, WAD, Order, World


@dataclass(frozen=True, slots=True)
class Act:
    """A call that its owner could make at any time."""

    contract: str
    function: str
    arguments: tuple[Any, ...]

    @property
    def name(self) -> str:
        return f"{self.contract}.{self.function}"


class Stage:
    """A world with hostile tokens, each of them rich in every way."""

    def __init__(self) -> None:
        self.world = World(settlement="HostileToken")
        self.world.endow()
        self.collateral = self._list_collateral()
        self.accounts: list[bytes] = []
        self.pending: dict[str, Order] = {}
        self.due: dict[str, tuple[Order, int]] = {}
        for owner in self.owners:
            self._enrich(owner)
        self._promise()

    @property
    def owners(self) -> list[Contract]:
        return [self.world.usdc, self.collateral]

    def _list_collateral(self) -> Contract:
        world = self.world
        artifact = world.artifacts["HostileToken"]
        token = world.evm.deploy(artifact, "Evil", "EVIL", 18, sender=world.governor)
        token.mint(world.governor, 1_000, sender=world.governor)
        token.approve(world.vault.address, 1_000, sender=world.governor)
        world.vault.list_token(token.address, ETH, 100_000, 10**24, 1_000, sender=world.governor)
        return token

    def does(self, owner: Contract, act: Act) -> None:
        """The owner acts, by a transaction of its own."""
        data = getattr(self.contract(act.contract), act.function).encode(*act.arguments)
        target = self.contract(act.contract).address
        owner.act(target, data, sender=self.world.keeper)

    def contract(self, name: str) -> Contract:
        tokens = {"settlement": self.world.usdc, "collateral": self.collateral}
        return tokens.get(name) or self.world.contracts[name]

    def _enrich(self, owner: Contract) -> None:
        world, me = self.world, owner.address
        account, other = world.account(me), world.account(me, 1)
        self.accounts += [account, other]
        for token, spender in (
            ("settlement", "Clearinghouse"),
            ("settlement", "LiquidityPool"),
            ("collateral", "Vault"),
        ):
            self.contract(token).mint(me, 10**24, sender=world.keeper)
            grant = Act(token, "approve", (self.contract(spender).address, 2**255))
            self.does(owner, grant)
        self.does(owner, Act("Clearinghouse", "deposit", (account, 200_000 * USD)))
        self.does(owner, Act("Vault", "deposit", (account, self.collateral.address, 10 * WAD)))
        self.does(owner, Act("LiquidityPool", "requestDeposit", (9 * USD, me, me)))
        world.wait(world.terms.pool.request_delay_seconds)
        world.pool.execute([me], [], sender=world.keeper)
        self.does(owner, Act("LiquidityPool", "deposit", (6 * USD, me)))
        self.does(owner, Act("LiquidityPool", "requestRedeem", (2 * WAD, me, me)))
        world.wait(world.terms.pool.request_delay_seconds)
        world.pool.execute([], [me], sender=world.keeper)
        self.does(owner, Act("LiquidityPool", "requestRedeem", (WAD, me, me)))
        self.does(owner, Act("LiquidityPool", "requestDeposit", (5 * USD, me, me)))
        world.wait(world.terms.pool.request_delay_seconds)
        opening = world.order(account, BTC, "0.1")
        self.does(owner, Act("Orders", "commit", (opening.as_argument(),)))
        assert world.execute(opening, world.due_slot(opening)) == 0

    def _promise(self) -> None:
        """Each has an order that is due, and one that is not yet."""
        world = self.world
        for owner in self.owners:
            order = world.order(world.account(owner.address), BTC, "0.2", execution_fee=WAD)
            self.does(owner, Act("Orders", "commit", (order.as_argument(),)))
            self.due[owner.address] = order, 0
        slot = world.due_slot(order)
        for owner in self.owners:
            self.due[owner.address] = self.due[owner.address][0], slot
            order = world.order(world.account(owner.address), ETH, "0.3", execution_fee=WAD)
            self.does(owner, Act("Orders", "commit", (order.as_argument(),)))
            self.pending[owner.address] = order

    def debt(self) -> bytes:
        """Somebody's debt against the hostile collateral, for sale."""
        world = self.world
        account = world.account("debtor")
        debtor = world.owner(account)
        world.mint(self.collateral, debtor, 10 * WAD, world.vault)
        world.vault.deposit(account, self.collateral.address, 10 * WAD, sender=debtor)
        world.clearinghouse.withdraw(account, 20_000 * USD, debtor, sender=debtor)
        world.liquidator.set_debt_threshold(0, sender=world.governor)
        world.debts.set_curve(
            0, 800_000, 0, 0, 0, sender=world.governor
        )  # cash is then stored cash
        world.liquidator.set_debt_timing(0, 60, sender=world.governor)
        world.liquidator.mark_debt(account, sender=world.keeper)
        return account

    def acts(self, owner: Contract) -> list[Act]:
        """Every act of an owner of anything; each would succeed by itself."""
        me, world = owner.address, self.world
        account, other = world.account(me), world.account(me, 1)
        waiting, slot = self.due[me]
        fresh = world.order(account, BTC, "0.01", salt=99)
        return [
            Act("Clearinghouse", "deposit", (account, USD)),
            Act("Clearinghouse", "withdraw", (account, USD, me)),
            Act("Clearinghouse", "move_cash", (account, other, USD)),
            Act("Clearinghouse", "set_mode", (account, 2)),
            Act("Clearinghouse", "fund_insurance", (USD,)),
            Act("Orders", "commit", (fresh.as_argument(),)),
            Act("Orders", "execute", (waiting.as_argument(), slot)),
            Act("Orders", "cancel", (self.pending[me].as_argument(),)),
            Act("Vault", "deposit", (account, self.collateral.address, WAD)),
            Act("Vault", "withdraw", (account, self.collateral.address, WAD, me)),
            Act("Vault", "move", (account, other, self.collateral.address, WAD)),
            Act("LiquidityPool", "deposit", (USD, me)),
            Act("LiquidityPool", "redeem", (WAD, me)),
            Act("LiquidityPool", "execute", ([me], [me])),
            Act("LiquidityPool", "transfer", (world.keeper, 1)),
            Act("Markets", "accrue", ([BTC, ETH],)),
            Act("Markets", "mark_all", (0,)),
            Act("Liquidator", "absorb", (world.account("debtor"),)),
            Act(
                "Liquidator",
                "repay_with_collateral",
                (world.account("debtor"), self.collateral.address, USD, 0),
            ),
        ]

    def holds(self) -> None:
        """Tokens are where the books say, to the unit."""
        world = self.world
        known = {*self.accounts, world.account("debtor"), world.account(world.keeper)}
        cash = sum(world.cash(account) for account in known)
        pool, insurance, protocol, _, _ = world.markets.ledger()
        live = [order for order, _ in self.due.values()] + list(self.pending.values())
        escrowed = sum(order.execution_fee for order in live if self._is_live(order))
        held = world.usdc.balanceOf(world.clearinghouse.address) * (WAD // USD)
        assert held == cash + pool + insurance + protocol * 10**12 + escrowed
        assert world.usdc.balanceOf(world.pool.address) == world.pool.escrow()
        token = self.collateral
        in_vault = token.balanceOf(world.vault.address)
        assert in_vault == world.vault.listing(token.address).total
        assert in_vault == sum(world.vault.held(one, token.address) for one in known)
        debts = sum(max(0, -world.cash(account)) for account in known)
        assert world.debts.total() == debts

    def _is_live(self, order: Order) -> bool:
        return bool(
            self.world.orders.commitment(self.world.orders.order_id(order.as_argument())).due
        )


@functools.cache
def _staged() -> Stage:
    stage = Stage()
    stage.debt()
    return stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    built = _staged()
    with built.world.evm.trial():
        yield built


OWNERS = ["settlement", "collateral"]


@pytest.mark.parametrize("owner", OWNERS)
def test_r01_every_act_is_one_that_would_succeed(stage: Stage, owner: str) -> None:
    """Else the matrix below proves nothing."""
    me = stage.contract(owner)
    for act in stage.acts(me):
        with stage.world.evm.trial():
            stage.does(me, act)
            stage.holds()


@pytest.mark.parametrize("owner", OWNERS)
def test_r01_reenter_every_external(stage: Stage, owner: str) -> None:
    token, world = stage.contract(owner), stage.world
    acts = stage.acts(token)
    entered = refused = passed = 0
    for outer in acts:
        for inner in acts:
            with world.evm.trial():
                target = stage.contract(inner.contract)
                data = getattr(target, inner.function).encode(*inner.arguments)
                token.set_hook(target.address, data, sender=world.keeper)
                try:
                    stage.does(token, outer)
                except Revert:  # the inner act took what the outer one needed: all is undone
                    entered += 1
                    continue
                if token.hook_runs() == 0:
                    continue  # this act moves none of this token
                entered += 1
                if outer.contract == inner.contract and inner.function != "transfer":
                    assert not token.hook_passed(), f"{inner.name} inside {outer.name}"
                    refused += 1
                else:
                    passed += token.hook_passed()
                stage.holds()
    assert entered > 50
    assert refused > 5
    assert passed > 20


def test_r02_collateral_on_its_way_out_counts_for_nothing(stage: Stage) -> None:
    """Inside its transfer the account tries to take cash, and to promise it, against it."""
    world, token = stage.world, stage.collateral
    me = token.address
    account = world.account(me, 7)
    stage.does(token, Act("Vault", "deposit", (account, me, 10 * WAD)))
    everything = Act("Vault", "withdraw", (account, me, 10 * WAD, me))
    order = world.order(account, BTC, "0.05", execution_fee=10_000 * WAD)
    for greedy in (
        Act("Clearinghouse", "withdraw", (account, 10_000 * USD, me)),
        Act("Clearinghouse", "move_cash", (account, world.account(me, 8), 10_000 * USD)),
        Act("Orders", "commit", (order.as_argument(),)),
    ):
        with world.evm.trial():  # alone it may
            stage.does(token, greedy)
        with world.evm.trial():
            target = stage.contract(greedy.contract)
            data = getattr(target, greedy.function).encode(*greedy.arguments)
            token.set_hook(target.address, data, sender=world.keeper)
            stage.does(token, everything)
            assert token.hook_runs() == 1
            assert not token.hook_passed(), greedy.name
            assert world.assess(account).equity == 0


def test_r02_cash_on_its_way_out_is_gone(stage: Stage) -> None:
    """Inside the transfer of borrowed cash the account tries to take the collateral."""
    world, token = stage.world, stage.world.usdc
    me, evil = token.address, stage.collateral.address
    account = world.account(me, 7)
    stage.does(token, Act("Vault", "deposit", (account, evil, 10 * WAD)))
    borrow = Act("Clearinghouse", "withdraw", (account, 10_000 * USD, me))
    data = world.vault.withdraw.encode(account, evil, 10 * WAD, me)
    token.set_hook(world.vault.address, data, sender=world.keeper)
    stage.does(token, borrow)
    assert token.hook_runs() == 1
    assert not token.hook_passed()
    assert world.vault.held(account, evil) == 10 * WAD
