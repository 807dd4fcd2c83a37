"""Acts of a companion contract, done by a test in its place, and a look at all that they change.

    with fresh("Orders") as world:                      # a wallet stands in for Orders
        fill(world, trader, BTC, 1)                     # at the stored price and slot
        fill(world, trader, BTC, -1, index=49_000)      # at another's
        leave(world, trader, usd("2726.999999999999999999"))   # equity, to the last unit
        with refuses(world, "fill: price", trader):         # and nothing has changed
            fill(world, trader, BTC, 1, acceptable=usd(50_000))

Money and sizes are read as decimals by `usd`, which refuses what has no whole number of 10^-18.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from decimal import Decimal, localcontext
from itertools import count
from typing import Any

from eth_typing import HexAddress, HexStr
from web3.types import Nonce
from web3.utils.address import get_create_address

from keeper.core import accounts, market, terms
from keeper.core.accounts import Account
from keeper.core.market import Lines, Market
from tests.support.evm import Event
from tests.support.refusals import refused
from tests.support.world import INSTRUMENTS, World

WAD = 10**18
NOBODY = "0x" + "00" * 20


def usd(amount: str | int | Decimal) -> int:
    """WAD of a decimal number; also of sizes."""
    with localcontext() as context:
        context.prec = 80
        units = Decimal(amount) * WAD
        whole = int(units)
    assert units == whole, f"{amount} has more than 18 decimals"
    return whole


# -- a look at the state


def lines(world: World) -> Lines:
    """What Markets keeps of the pool, insurance and protocol."""
    return Lines(*world.markets.ledger())


def market_of(world: World, instrument: int) -> Market:
    """The words of an instrument, decoded."""
    return market.decode(tuple(world.markets.market(instrument)))


def account_of(world: World, account: bytes) -> Account:
    """The words of an account, decoded."""
    return accounts.decode(*world.clearinghouse.account_word(account))


def nav(world: World) -> int:
    """The pool's NAV, as it is when every instrument is accrued at its stored price."""
    with world.evm.trial():
        world.markets.accrue(list(INSTRUMENTS), sender=world.keeper)
        return lines(world).nav


def everything(world: World, *accounts_: bytes) -> Any:
    """All that an act could change: lines, markets, totals, tokens, and these accounts."""
    clearinghouse, vault = world.clearinghouse, world.vault
    tokens = (world.usdc, world.weth, world.wbtc)
    return (
        world.markets.ledger(),
        [world.markets.market(one) for one in INSTRUMENTS],
        [world.losses.used(one, one) for one in (0, *INSTRUMENTS)],
        world.debts.total(),
        [token.balanceOf(at.address) for token in tokens for at in (clearinghouse, vault)],
        [
            (
                clearinghouse.account_word(account),
                [clearinghouse.position(account, one) for one in INSTRUMENTS],
                [vault.held(account, token.address) for token in tokens],
                [token.balanceOf(world.owner(account)) for token in tokens],
            )
            for account in accounts_
        ],
    )


@contextmanager
def refuses(world: World, reason: str, *accounts_: bytes) -> Iterator[None]:
    """What happens inside is refused with this text, and nothing has changed after it."""
    before = everything(world, *accounts_)
    with refused(reason):
        yield
    assert everything(world, *accounts_) == before


def tokens_add_up(world: World, *accounts_: bytes) -> bool:
    """The ledger law (SPEC 2.1), when nobody but these accounts has cash."""
    held = world.usdc.balanceOf(world.clearinghouse.address) * 10**12
    cash = sum(account_of(world, account).cash for account in accounts_)
    return bool(held == cash + lines(world).total)


def retune(world: World, instrument: int, **changed: int) -> None:
    """Change some terms of an instrument and its underlying, named as in keeper.core.terms."""
    found = terms.decode(*world.instruments.terms(instrument))
    groups = {field.name: getattr(found, field.name) for field in fields(found)}
    for name, group in groups.items():
        mine = {key: changed.pop(key) for key in list(changed) if hasattr(group, key)}
        if not mine:
            continue
        figures = asdict(replace(group, **mine))
        if name == "risk":
            keys = ("period_seconds", "oi_rate_ppm", "reserve_milli", "funding_cap_ppm_per_day")
            setter, arguments = "set_risk_terms", tuple(figures[key] for key in keys)
        elif name == "fill":
            setter, arguments = "set_fill_terms", (tuple(figures.values())[:-1],)
        elif name == "limit":
            setter, arguments = "set_limits", (tuple(figures.values()),)
        else:
            number = found.risk.underlying
            gaps = tuple(world.instruments.underlying_gaps(number))
            world.instruments.set_underlying(
                number, tuple(figures.values()), gaps, sender=world.governor
            )
            continue
        getattr(world.instruments, setter)(instrument, *arguments, sender=world.governor)
    assert not changed, f"no such terms: {', '.join(changed)}"


# -- Markets alone


class House:
    """Markets of its own over the world's prices and terms: the test trades in the place of the
    Clearinghouse, with a pool and insurance as rich as the world's."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sender = world.wallet("in place of Clearinghouse")
        builder, markets = _builder(world)
        self.losses = world.evm.deploy(
            world.artifacts["Losses"], world.governor, markets, sender=builder
        )
        self.markets = world.evm.deploy(
            world.artifacts["Markets"],
            world.governor,
            self.sender,
            world.risk_engine.address,
            world.instruments.address,
            self.losses.address,
            sender=builder,
        )
        assert self.markets.address == markets
        self.markets.set_safety(*world.markets.safety()[1:], sender=world.governor)
        self.losses.set_terms(tuple(world.losses.terms_in_force()), sender=world.governor)
        for one in INSTRUMENTS:
            cap = world.losses.insurance_cap(one)
            self.losses.set_insurance_cap(one, cap, sender=world.governor)
        self.markets.change_lines(usd(10_000_000), usd(500_000), sender=self.sender)

    @property
    def lines(self) -> Lines:
        return Lines(*self.markets.ledger())

    def market(self, instrument: int) -> Market:
        return market.decode(tuple(self.markets.market(instrument)))

    def accrue(self, *instruments: int) -> None:
        self.markets.accrue(list(instruments), sender=self.world.keeper)

    @contextmanager
    def refuses(self, reason: str) -> Iterator[None]:
        """What happens inside is refused with this text and changes nothing."""
        before = [self.markets.market(one) for one in INSTRUMENTS], self.markets.ledger()
        with refused(reason):
            yield
        assert ([self.markets.market(one) for one in INSTRUMENTS], self.markets.ledger()) == before


def _builder(world: World) -> tuple[str, str]:
    """A wallet that has deployed nothing yet, and where its second contract will be."""
    for number in count():
        wallet = world.wallet(f"builder {number}")
        second = get_create_address(HexAddress(HexStr(wallet)), Nonce(1)).lower()
        if not world.evm.code(second):
            return wallet, second
    raise AssertionError("count ends never")


class Holder:
    """A position that trades with a House; it keeps what it is told, as the Clearinghouse does."""

    def __init__(self, house: House, instrument: int) -> None:
        self.house, self.instrument = house, instrument
        self.size = self.notional = self.settled = 0

    def trade(
        self, size: str | int | Decimal, index: str | int | Decimal = 50_000, acceptable: int = 0
    ) -> Any:
        """Fill at this index price; the Outcome."""
        return self._after(
            self.house.markets.fill(
                self.instrument,
                self.size,
                self.notional,
                self.settled,
                usd(size),
                usd(index),
                acceptable,
                sender=self.house.sender,
            )
        )

    def force(self, size: str | int | Decimal, equity: str | int | Decimal) -> Any:
        """Close by force, out of this equity; the Outcome."""
        return self._after(
            self.house.markets.force(
                self.instrument,
                self.size,
                self.notional,
                self.settled,
                usd(size),
                usd(equity),
                sender=self.house.sender,
            )
        )

    def settle(self) -> int:
        """What it owed."""
        owed, self.settled = self.house.markets.settle(
            self.instrument, self.size, self.settled, sender=self.house.sender
        )
        return int(owed)

    def _after(self, outcome: Any) -> Any:
        self.size, self.notional = outcome.size, outcome.notional
        self.settled = outcome.settled
        return outcome


# -- in the place of Orders


def fill(
    world: World,
    account: bytes,
    instrument: int,
    size: str | int | Decimal,
    index: str | int | Decimal | None = None,
    *,
    slot: int | None = None,
    acceptable: int = 0,
    reduce_only: bool = False,
    reserved: int = 0,
    execution_fee: int = 0,
    executor: str | None = None,
) -> Any:
    """Fill an order: at the stored price and its slot unless told; what PositionChanged said."""
    if index is None:
        index = world.price(instrument)
    if slot is None:
        slot = world.hub.latest_slot(instrument)
    world.clearinghouse.fill(
        account,
        instrument,
        usd(size),
        usd(index),
        slot,
        acceptable,
        reduce_only,
        reserved,
        execution_fee,
        executor or world.keeper,
        sender=world.stand_ins["Orders"],
    )
    return event(world, "PositionChanged").args


def leave(world: World, account: bytes, equity: int) -> None:
    """Charge an account for insurance, as for an order that lapsed, until this equity is left."""
    charge = world.assess(account).equity - equity
    release(world, account, 0, charge, 0, NOBODY)
    assert world.assess(account).equity == equity, "there is not that much cash to charge"


def release(
    world: World, account: bytes, reserved: int, charge: int, fee: int, executor: str
) -> None:
    """End an order unfilled."""
    world.clearinghouse.release(
        account, reserved, charge, fee, executor, sender=world.stand_ins["Orders"]
    )


def event(world: World, name: str) -> Event:
    """The only event of this name of the last transaction."""
    (found,) = world.evm.events(name)
    return found
