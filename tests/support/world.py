"""The whole protocol on an in-process chain, with its actors: where tests begin.

    def test_story(world: World) -> None:              # the fixture of conftest.py
        long = world.account("trader")                 # bucket 0 of a wallet named "trader"
        world.deposit(long, 10_000)                    # USDC, minted for the occasion
        world.open_position(long, BTC, 0.5)            # commit, report, execute
        world.post({BTC: 49_000})                      # a quorum of reports on a new slot
        assert world.assess(long).equity < ...

It is built once, as scripts/plan.py says and with the figures of scripts/parameters/devnet.toml;
each test gets it in its first state. Feeds, underlyings and instruments have the ids 1, 2, 3 of
BTC, ETH, SOL alike. Prices and sizes may be given as int, float, str or Decimal: they are read as
decimals. What the helpers return and what contracts say is in whole units, as on chain.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from scripts import build, parameters, plan
from scripts.parameters.units import WAD, native, wad
from tests.support.evm import Contract, Evm
from tests.support.reporting import Reporters

BTC, ETH, SOL = 1, 2, 3
INSTRUMENTS = (BTC, ETH, SOL)
PRICES = {BTC: Decimal(50_000), ETH: Decimal(2_500), SOL: Decimal(100)}
POOL_USD = 10_000_000  # what liquidity providers have brought
INSURANCE_USD = 500_000
CONFIDENCE_PPM = 200

WORKED = Path(__file__).with_name("worked.toml")
USD = 10**6  # native units of the settlement token
FEED_DECIMALS = 8

Number = int | float | str | Decimal


@dataclass(frozen=True, slots=True)
class Order:
    """What is committed, in the fields and units of IOrders.Order."""

    account: bytes
    instrument: int
    size: int
    acceptable: int = 0
    reduce_only: bool = False
    execution_fee: int = 0
    salt: int = 0
    kind: int = 0
    trigger: int = 0
    expiry: int = 0
    bracket: int = 0

    def as_argument(self) -> tuple[Any, ...]:
        return astuple(self)


class World:
    """A deployed protocol. Contracts are attributes; `governor` owns them.

    `market` names its parameter file: WORKED for tests whose numbers were worked out by hand.
    `stand_ins` names contracts whose place a wallet takes: what they alone may do, a test does
    then itself, with arguments that they would never give (tests/support/staffed.py).
    """

    def __init__(
        self,
        evm_version: str = "cancun",
        settlement: str = "TestToken",
        market: str | Path = "devnet",
        stand_ins: Sequence[str] = (),
    ) -> None:
        self.evm = Evm()
        self.artifacts = build.artifacts(evm_version)
        self.terms = parameters.load(market)
        self.governor, self.keeper = self.evm.account("governor"), self.evm.account("keeper")
        self.guardian, self.steward = self.evm.account("guardian"), self.evm.account("steward")
        self.provider = self.evm.account("provider")
        self.stand_ins = {name: self.evm.account(f"in place of {name}") for name in stand_ins}
        self._salt = 0

        self.usdc = self._token(settlement, "USD Coin", "USDC", 6)
        self.weth = self._token("TestToken", "Wrapped Ether", "WETH", 18)
        self.wbtc = self._token("TestToken", "Wrapped Bitcoin", "WBTC", 8)
        self._deploy()
        self._configure()
        self.post(PRICES)

    # -- building

    def _token(self, contract: str, name: str, symbol: str, decimals: int) -> Contract:
        token = self.evm.deploy(
            self.artifacts[contract], name, symbol, decimals, sender=self.governor
        )
        token.mint(self.governor, plan.PROBE, sender=self.governor)
        return token

    def _deploy(self) -> None:
        deployer = self.evm.account("deployer")
        where = plan.addresses(deployer, 0)
        known = where | self.stand_ins
        known |= {"owner": self.governor, "settlement_token": self.usdc.address}
        contracts = {}
        for name in plan.CONTRACTS:
            artifact = self.artifacts[name]
            arguments = plan.constructor(artifact, known)
            contracts[name] = self.evm.deploy(artifact, *arguments, sender=deployer)
            assert contracts[name].address == where[name], name
        self.contracts = contracts
        self.hub = contracts["OracleHub"]
        self.instruments = contracts["Instruments"]
        self.volatility = contracts["Volatility"]
        self.risk_engine = contracts["RiskEngine"]
        self.markets = contracts["Markets"]
        self.losses = contracts["Losses"]
        self.clearinghouse = contracts["Clearinghouse"]
        self.orders = contracts["Orders"]
        self.liquidator = contracts["Liquidator"]
        self.vault = contracts["Vault"]
        self.pool = contracts["LiquidityPool"]
        self.debts = contracts["Debts"]
        self.top_ups = contracts["TopUps"]
        self.lens = contracts["Lens"]

    def _configure(self) -> None:
        self.reporters = Reporters(self.hub, self.terms.oracle.reporters)
        targets = self.contracts | {"WETH": self.weth, "WBTC": self.wbtc}
        known = {name: contract.address for name, contract in targets.items()}
        prices = dict(zip(self.terms.underlyings, PRICES.values(), strict=True))
        for call in plan.calls(self.terms, prices, self.reporters.addresses, known):
            getattr(targets[call.target], call.function)(*call.arguments, sender=self.governor)
        for call in plan.appointments(self.guardian, self.steward):
            getattr(targets[call.target], call.function)(*call.arguments, sender=self.governor)

    def endow(self) -> None:
        """Give the pool its first money, as a provider would, and insurance a gift."""
        self.enter_pool(self.provider, POOL_USD)
        self.mint(self.usdc, self.governor, INSURANCE_USD * USD, self.clearinghouse)
        self.clearinghouse.fund_insurance(INSURANCE_USD * USD, sender=self.governor)

    # -- prices

    def post(self, prices: Mapping[int, Number], confidence: int = CONFIDENCE_PPM) -> int:
        """A second passes, and a quorum fixes it as a slot for these feeds; returns the slot."""
        self.evm.warp(1)
        for feed, price in prices.items():
            self.post_price(feed, price, self.evm.timestamp, confidence=confidence)
        return self.evm.timestamp

    def post_price(
        self,
        feed: int,
        price: Number | Sequence[Number],
        slot: int,
        previous: int | None = None,
        confidence: int = CONFIDENCE_PPM,
    ) -> None:
        """A quorum's reports of one slot: all of one price in USD, or each of its own."""
        quorum: int = self.hub.quorum()
        each = [price] * quorum if isinstance(price, Number) else list(price)
        if previous is None:
            previous = self.hub.latest_slot(feed)
        mantissas = [native(_decimal(p), FEED_DECIMALS) for p in each]
        self.reporters.post(feed, slot, previous, mantissas, confidence, sender=self.keeper)

    def repost(self) -> int:
        """The prices as they are, on a new slot: nothing is stale after it."""
        return self.post({feed: self.price(feed) for feed in INSTRUMENTS})

    def price(self, feed: int) -> Decimal:
        """The stored price in USD."""
        return Decimal(self.hub.state(feed).price_wad) / WAD

    def wait(self, seconds: int) -> int:
        """Time passes and prices stay; they are posted again at its end. Returns the slot."""
        self.evm.warp(seconds - 1)
        return self.repost()

    # -- accounts

    def wallet(self, name: str) -> str:
        return self.evm.account(name)

    def account(self, owner: str, bucket: int = 0) -> bytes:
        """Account id of a wallet's bucket; the owner by name or by address."""
        address = owner if owner.startswith("0x") else self.wallet(owner)
        return bytes.fromhex(address[2:]) + bucket.to_bytes(12, "big")

    def owner(self, account: bytes) -> str:
        return "0x" + account[:20].hex()

    def mint(self, token: Contract, holder: str, amount: int, spender: Contract) -> None:
        """Native units of a token out of nothing, approved for one spender."""
        token.mint(holder, amount, sender=holder)
        token.approve(spender.address, 2**256 - 1, sender=holder)

    def deposit(self, account: bytes, usd: Number) -> None:
        """Cash for an account, paid by its owner."""
        owner, amount = self.owner(account), native(_decimal(usd), 6)
        self.mint(self.usdc, owner, amount, self.clearinghouse)
        self.clearinghouse.deposit(account, amount, sender=owner)

    def add_collateral(self, account: bytes, token: Contract, amount: Number) -> int:
        """Collateral for an account, in whole tokens; returns native units."""
        owner, units = self.owner(account), native(_decimal(amount), token.decimals())
        self.mint(token, owner, units, self.vault)
        self.vault.deposit(account, token.address, units, sender=owner)
        return units

    def assess(self, account: bytes, level: int = 0) -> Any:
        """The Clearinghouse's Assessment of an account, at any stored price by default."""
        return self.clearinghouse.assess(account, level)

    def cash(self, account: bytes) -> int:
        return int(self.assess(account).cash)

    def size(self, account: bytes, instrument: int) -> int:
        """Size of a position, WAD; 0 for none."""
        return int(self.clearinghouse.position(account, instrument)[0])

    def ripen_debt(self, account: bytes) -> None:
        """Its debt is marked as due, and time passes until the discount of its sale is whole."""
        self.liquidator.mark_debt(account, sender=self.keeper)
        self.wait(sum(self.liquidator.debt_timing()))

    # -- trading

    def order(self, account: bytes, instrument: int, size: Number, **fields: Any) -> Order:
        """An order of this size in whole units, with a salt of its own."""
        self._salt += 1
        made = Order(account, instrument, wad(_decimal(size)), salt=self._salt)
        return replace(made, **fields)

    def commit(self, order: Order) -> bytes:
        """Commit as the owner of its account; returns the order's id."""
        return bytes(self.orders.commit(order.as_argument(), sender=self.owner(order.account)))

    def trigger(self, order: Order, price: Number | None = None, by: str | None = None) -> int:
        """A second passes and a slot of this price is shown to a waiting order; its slot."""
        prices = {feed: self.price(feed) for feed in INSTRUMENTS}
        if price is not None:
            prices[order.instrument] = _decimal(price)
        slot = self.post(prices)
        self.orders.trigger(order.as_argument(), slot, sender=by or self.keeper)
        return slot

    def due_slot(self, order: Order, price: Number | None = None) -> int:
        """Time passes until the order is due, and its slot is reported; returns the slot."""
        found = self.orders.commitment(self.orders.order_id(order.as_argument()))
        self.evm.warp(found.due - self.evm.timestamp)
        prices = {feed: self.price(feed) for feed in INSTRUMENTS}
        if price is not None:
            prices[found.feed] = _decimal(price)
        for feed, each in prices.items():
            self.post_price(feed, each, self.evm.timestamp)
        return self.evm.timestamp

    def execute(self, order: Order, slot: int, executor: str | None = None) -> int:
        """Execute, by the keeper unless named; returns the status."""
        return int(self.orders.execute(order.as_argument(), slot, sender=executor or self.keeper))

    def trade(
        self,
        account: bytes,
        instrument: int,
        size: Number,
        price: Number | None = None,
        **fields: Any,
    ) -> int:
        """Commit an order and execute it at its slot, at this price; returns the status."""
        order = self.order(account, instrument, size, **fields)
        self.commit(order)
        return self.execute(order, self.due_slot(order, price))

    def open_position(
        self, account: bytes, instrument: int, size: Number, price: Number | None = None
    ) -> None:
        """Trade, and insist that it fills."""
        status = self.trade(account, instrument, size, price)
        assert status == 0, f"the order ended with status {status}"

    # -- pool

    def request_entry(self, provider: str, usd: Number, min_shares: int = 0) -> None:
        amount = native(_decimal(usd), 6)
        self.mint(self.usdc, provider, amount, self.pool)
        self.pool.requestDeposit(amount, provider, provider, min_shares, sender=provider)

    def execute_requests(self, entries: Sequence[str] = (), exits: Sequence[str] = ()) -> Any:
        """Wait until they are due, and execute them at fresh prices."""
        self.wait(self.terms.pool.request_delay_seconds)
        return self.pool.execute(list(entries), list(exits), sender=self.keeper)

    def enter_pool(self, provider: str, usd: Number) -> int:
        """Request, execution and claim; returns the shares."""
        self.request_entry(provider, usd)
        self.execute_requests(entries=[provider])
        amount = self.pool.maxDeposit(provider)
        return int(self.pool.deposit(amount, provider, sender=provider))

    def leave_pool(self, provider: str, shares: int) -> int:
        """Request, execution and claim; returns native units."""
        self.pool.requestRedeem(shares, provider, provider, sender=provider)
        self.execute_requests(exits=[provider])
        ready = self.pool.maxRedeem(provider)
        return int(self.pool.redeem(ready, provider, sender=provider)) if ready else 0


@functools.cache
def _built(market: str | Path, *stand_ins: str) -> World:
    world = World(market=market, stand_ins=stand_ins)
    world.endow()
    return world


@contextmanager
def fresh(*stand_ins: str, market: str | Path = "devnet") -> Iterator[World]:
    """The one built world of its kind in this process, in its first state; what happens leaves no
    trace."""
    world = _built(market, *stand_ins)
    salt = world._salt
    with world.evm.trial():
        yield world
    world._salt = salt


def _decimal(number: Number) -> Decimal:
    return Decimal(str(number))
