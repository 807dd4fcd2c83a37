"""From decisions to transactions: which contract, which call, how much gas, in which state.

The state of an act is what its decision was made from: block and place of the accounts' last
logs, and the slots of the prices. The same act in the same state is sent once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any

from eth_abi.abi import decode

from keeper.core import reports
from keeper.core.fold import Book
from keeper.core.plan import DebtSale, Target
from keeper.core.protocol.state import Order
from keeper.core.relays import SignedOrder
from keeper.core.reports import SignedReport
from keeper.core.schedule import DueRequests, Fill, Sample
from keeper.core.types import AccountId, InstrumentId
from keeper.edges import abi
from keeper.edges.acts import Act
from keeper.edges.addresses import AddressBook
from keeper.edges.chain import hex_of

SKIPPED = 255  # in the answer of execute_many: left as it was

# gas limits: (base, for each item); the simulation runs with them, so too little shows there
_GAS = {
    "post": (80_000, 150_000),
    "execute": (200_000, 600_000),
    "expire": (400_000, 0),
    "trigger": (700_000, 0),
    "relay": (800_000, 0),
    "liquidate": (150_000, 700_000),
    "call": (600_000, 0),
    "absorb": (400_000, 0),
    "debt sale": (900_000, 0),
    "accrue": (80_000, 150_000),
    "sample": (250_000, 0),
    "pool": (400_000, 400_000),
    "settle": (300_000, 400_000),
}


class Desk:
    """Makes acts for one deployment."""

    def __init__(self, addresses: AddressBook) -> None:
        self._addresses = addresses

    def post(self, quorums: Sequence[Sequence[SignedReport]], seen_at: float | None) -> Act:
        """Fix slots by quorums, several feeds at once."""
        slots = [slot_name(one[0].report.feed, one[0].report.slot) for one in quorums]
        return Act(
            kind="post",
            subject=",".join(slots),
            state="",  # a slot is fixed once
            to=self._addresses.address("OracleHub"),
            data=reports.post_many_call(quorums),
            gas=_gas("post", len(quorums)),
            payload={
                one_slot: quorum[0].report.price
                for one_slot, quorum in zip(slots, quorums, strict=True)
            },
            seen_at=seen_at,
            useful=lambda answer: int.from_bytes(answer, "big") > 0,
            checked=True,
        )

    def execute(self, book: Book, fills: Sequence[Fill], seen_at: float | None) -> Act:
        """Fill orders, or end them for the reason that they cannot be."""
        slots = [one.slot for one in fills]
        return self._act(
            "execute",
            ",".join(one.order_id.hex() for one in fills),
            _state(book, [one.order.account for one in fills]),
            "Orders",
            "execute_many",
            ([_order(one.order) for one in fills], slots),
            items=len(fills),
            payload={one.order_id.hex(): one.slot for one in fills},
            seen_at=seen_at,
            useful=lambda answer: any(one != SKIPPED for one in decode(["uint256[]"], answer)[0]),
        )

    def relay(self, book: Book, signed: SignedOrder) -> Act:
        """Bring an order that its owner or a delegate has signed."""
        order = signed.order
        return self._act(
            "relay",
            relay_name(signed),
            _state(book, [order.account]),
            "Orders",
            "relay_signed",
            (
                _order(order),
                signed.relay_fee,
                signed.deadline,
                hex_of(signed.signer),
                signed.signature,
            ),
            payload={"account": order.account.hex(), "fee": str(signed.relay_fee)},
        )

    def trigger(self, book: Book, fill: Fill, seen_at: float | None) -> Act:
        """Show a waiting order the price that it waits for."""
        return self._act(
            "trigger",
            fill.order_id.hex(),
            _state(book, [fill.order.account]),
            "Orders",
            "trigger",
            (_order(fill.order), fill.slot),
            payload={"slot": fill.slot, "account": fill.order.account.hex()},
            seen_at=seen_at,
        )

    def expire(self, book: Book, fill: Fill) -> Act:
        """End an order whose window is over."""
        return self._act(
            "expire",
            fill.order_id.hex(),
            str(fill.slot),
            "Orders",
            "expire",
            (_order(fill.order), fill.slot),
            payload={"slot": fill.slot, "account": fill.order.account.hex()},
        )

    def liquidate(self, book: Book, targets: Sequence[Target], seen_at: float | None) -> Act:
        """Close what is missing of several accounts, one position each: of all or not at all."""
        accounts = [one.account for one in targets]
        instruments = [one.instrument for one in targets]
        return self._act(
            "liquidate",
            ",".join(account.hex() for account in accounts),
            f"{_state(book, accounts)}|{','.join(map(str, instruments))}",
            "Liquidator",
            "liquidate_many",
            (accounts, instruments),
            items=len(targets),
            payload={one.account.hex(): str(one.shortfall) for one in targets},
            seen_at=seen_at,
            useful=lambda answer: int.from_bytes(answer, "big") == len(targets),
        )

    def call(self, book: Book, account: AccountId, seen_at: float | None) -> Act:
        """Call an account, or clear its call."""
        return self._act(
            "call",
            account.hex(),
            _state(book, [account]),
            "Liquidator",
            "call",
            (account,),
            payload={"called": not book.accounts[account].called},
            seen_at=seen_at,
        )

    def top_up(self, book: Book, account: AccountId) -> Act:
        """Refill a bucket as its owner's rule says."""
        rule = book.top_ups[account]
        return self._act(
            "call",
            f"top up:{account.hex()}",
            f"{_state(book, [account])}|{rule.last_at}|{rule.budget}",
            "TopUps",
            "top_up",
            (account,),
            payload={"budget": rule.budget},
        )

    def mark_debt(self, book: Book, account: AccountId) -> Act:
        """Let the time of an account's debt sale run, or end it."""
        return self._act(
            "call",
            f"debt:{account.hex()}",
            f"{_state(book, [account])}|{book.debt_due[account]}",
            "Liquidator",
            "mark_debt",
            (account,),
            payload={"marked": book.debt_due[account]},
        )

    def absorb(self, book: Book, account: AccountId) -> Act:
        """Let insurance and pool pay a deficit."""
        lines = book.lines
        return self._act(
            "absorb",
            account.hex(),
            f"{_state(book, [account])}|{lines.insurance}|{lines.pool}",
            "Liquidator",
            "absorb",
            (account,),
            payload={"cash": str(book.accounts[account].cash)},
        )

    def buy_debt(self, book: Book, sale: DebtSale, token: bytes) -> Act:
        """Pay a debt and take collateral for it."""
        return self._act(
            "debt sale",
            sale.account.hex(),
            _state(book, [sale.account]),
            "Liquidator",
            "repay_with_collateral",
            (sale.account, hex_of(token), sale.cash, sale.amount),
            payload={"token": hex_of(token), "cash": sale.cash, "amount": str(sale.amount)},
        )

    def accrue(self, book: Book, instruments: Sequence[InstrumentId]) -> Act:
        """Bring funding of instruments up to now."""
        times = ",".join(str(book.markets[one].accrued_at) for one in instruments)
        return self._act(
            "accrue",
            ",".join(map(str, instruments)),
            times,
            "Markets",
            "accrue",
            (list(instruments),),
            items=len(instruments),
        )

    def accrue_debt(self, book: Book) -> Act:
        """Bring the interest of all debt up to now."""
        return self._act(
            "accrue",
            "debt",
            str(book.credit.accrued_at),
            "Clearinghouse",
            "accrue_debt",
            (),
            items=1,
        )

    def sample(self, one: Sample) -> Act:
        """Give a cell its sample of volatility; nobody is paid for it."""
        return self._act(
            "sample",
            f"{one.underlying}@{one.cell}",
            "",  # a cell is sampled once
            "Volatility",
            "sample",
            (one.underlying, one.slot),
            payload={"slot": one.slot},
        )

    def fix_value(self, book: Book, instrument: InstrumentId, slot: int) -> Act:
        """Fix what a delisted instrument is worth for ever."""
        return self._act(
            "settle",
            f"value of {instrument}",
            str(slot),
            "Markets",
            "settle_instrument",
            (instrument, slot),
            payload={"slot": slot},
        )

    def settle(self, book: Book, instrument: InstrumentId, accounts: Sequence[AccountId]) -> Act:
        """End positions of an instrument that settles."""
        return self._act(
            "settle",
            f"{instrument}:{','.join(account.hex() for account in accounts)}",
            _state(book, accounts),
            "Liquidator",
            "settle_positions",
            (list(accounts), instrument),
            items=len(accounts),
            payload={"instrument": instrument},
        )

    def pool(self, book: Book, due: DueRequests) -> list[Act]:
        """Execute requests that are due, return those that lapsed."""
        acts = []
        for function, entries, exits in (
            ("execute", due.entries, due.exits),
            ("lapse", due.lapsed_entries, due.lapsed_exits),
        ):
            if not entries and not exits:
                continue
            names = [hex_of(one) for one in entries], [hex_of(one) for one in exits]
            amounts = [str(request.amount) for _, request in sorted(book.requests.items())]
            acts.append(
                self._act(
                    "pool",
                    f"{function}:{','.join(names[0])}|{','.join(names[1])}",
                    f"{_slots(book)}|{','.join(amounts)}",
                    "LiquidityPool",
                    function,
                    names,
                    items=len(entries) + len(exits) + len(list(book.terms)),
                    payload={"entries": names[0], "exits": names[1]},
                    useful=_any_amount if function == "execute" else None,
                )
            )
        return acts

    def _act(
        self,
        kind: str,
        subject: str,
        state: str,
        contract: str,
        function: str,
        arguments: Any,
        items: int = 0,
        **more: Any,
    ) -> Act:
        if more.get("useful") is None:
            more.pop("useful", None)
        return Act(
            kind=kind,
            subject=subject,
            state=state,
            to=self._addresses.address(contract),
            data=abi.contract(contract).function(function).data(*arguments),
            gas=_gas(kind, items),
            **more,
        )


def slot_name(feed: int, slot: int) -> str:
    """How a slot of a feed is called in subjects."""
    return f"{feed}@{slot}"


def relay_name(signed: SignedOrder) -> str:
    """How a signed order is called in subjects: its signer's nonce counts once."""
    return f"{signed.signer.hex()}:{signed.order.salt}"


def _gas(kind: str, items: int) -> int:
    base, each = _GAS[kind]
    return base + each * items


def _any_amount(answer: bytes) -> bool:
    return any(decode(["uint256", "uint256"], answer))


def _state(book: Book, accounts: Iterable[AccountId]) -> str:
    """What is known of accounts and prices, shortly."""
    touched = [f"{block}.{place}" for block, place in (book.touched[one] for one in accounts)]
    return f"{','.join(touched)}|{_slots(book)}"


def _slots(book: Book) -> str:
    stored = sorted(book.prices.items())
    return ",".join(f"{feed}@{price.slot}" for feed, price in stored if price is not None)


def _order(order: Order) -> tuple[Any, ...]:
    return astuple(order)
