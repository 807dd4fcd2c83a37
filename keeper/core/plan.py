"""What to do at one head: pure decisions, the same for the same state.

Each decision carries the figures that it was made from, for the journal. Nothing here knows how
a decision becomes a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keeper.core import liquidation, margin
from keeper.core.accounts import mode_of
from keeper.core.fold import Book
from keeper.core.protocol import clearing, debts, topups
from keeper.core.types import AccountId, InstrumentId, Level, Mode, Refused
from keeper.core.units import PPM, to_wad


@dataclass(frozen=True, slots=True)
class Health:
    """One account measured at fresh prices, WAD."""

    account: AccountId
    equity: int
    maintenance: int
    line: int  # of calls
    liquidatable: bool
    grace: int  # seconds from a call
    called: bool
    debt: int

    @property
    def shortfall(self) -> int:
        """How much equity is missing to maintenance; < 0: it is above."""
        return self.maintenance - self.equity


def survey(book: Book) -> list[Health]:
    """Every account that has a position or a debt, in the order of its id.

    An account whose prices are not fresh is left out: the contracts would refuse to act on it.
    """
    policy, found = book.parameters.calls, []
    for account, record in book.accounts.items():
        idle = not record.book and record.cash >= 0
        if idle and not record.called and not book.debt_due[account]:
            continue
        try:
            assessed = clearing.assess(book, account, Level.FRESH)
        except Refused:
            continue
        found.append(
            Health(
                account=account,
                equity=assessed.equity,
                maintenance=assessed.maintenance,
                line=liquidation.call_line(assessed, policy.call_ppm),
                liquidatable=liquidation.liquidatable(
                    assessed,
                    mode_of(account, record),
                    record.called,
                    record.call_deadline,
                    policy,
                    book.now,
                ),
                grace=policy.grace(mode_of(account, record)),
                called=record.called,
                debt=record.debt + debts.owed(book, account),
            )
        )
    return sorted(found, key=lambda one: one.account)


@dataclass(frozen=True, slots=True)
class Target:
    """One position to liquidate, of an account that is short by `shortfall`."""

    account: AccountId
    instrument: InstrumentId
    shortfall: int


def liquidations(book: Book, healths: Iterable[Health]) -> list[Target]:
    """Whom to liquidate, deepest shortfall first; of each the position that weighs most.

    Shortfall is in USD, so that deep and large come before deep and small.
    """
    targets = [
        Target(one.account, _chosen(book, one.account), one.shortfall)
        for one in healths
        if one.liquidatable and _liquid(book, one.account)
    ]
    return sorted(targets, key=lambda one: (-one.shortfall, one.account))


def _chosen(book: Book, account: AccountId) -> InstrumentId:
    """The position to close first: of a portfolio the one without which it needs least, so that no
    hedge is closed before what it hedges; else the one that weighs most."""
    if mode_of(account, book.accounts[account]) is not Mode.PORTFOLIO:
        return _heaviest(book, account)
    held = clearing.book_of(book, account)
    prices = clearing.stored_prices(book, Level.ANY)

    def without(instrument: InstrumentId) -> int:
        rest = [one for one in held if one.instrument != instrument]
        upnl_ppm = book.parameters.upnl_ppm
        return margin.requirement(Mode.PORTFOLIO, rest, book.listed, prices, upnl_ppm).maintenance

    return min(book.accounts[account].book, key=lambda one: (without(one), one))


def _heaviest(book: Book, account: AccountId) -> InstrumentId:
    """The position with the largest scan loss."""

    def loss(instrument: InstrumentId) -> int:
        terms, size = book.listed(instrument), book.positions[account, instrument].size
        return margin.scan_loss(size, _index_price(book, instrument), terms.underlying.shock_ppm)

    return max(_liquid(book, account), key=lambda one: (loss(one), -one))


def _liquid(book: Book, account: AccountId) -> list[InstrumentId]:
    """Its positions that can be liquidated: those in instruments that are over are settled."""
    return [one for one in book.accounts[account].book if not book.listed(one).over]


def _index_price(book: Book, instrument: InstrumentId) -> int:
    feed = book.listed(instrument).underlying.feed
    stored = book.prices[feed]
    return 0 if stored is None else to_wad(stored.median, book.feeds[feed].decimals)


def calls(healths: Iterable[Health]) -> list[Health]:
    """Whom to call or to clear: deepest below the line first, then those back above it.

    Where no grace follows from it, a call changes nothing and is left out.
    """
    changed = [one for one in healths if (one.equity < one.line) != one.called]
    below = [one for one in changed if not one.called and not one.liquidatable and one.grace]
    back = [one for one in changed if one.called]
    return sorted(below, key=lambda one: (one.equity - one.line, one.account)) + back


def deficits(book: Book, healths: Iterable[Health]) -> list[AccountId]:
    """Accounts with nothing but a debt, and dust that anybody may have sent."""
    stored = clearing.stored_prices(book, Level.ANY)
    return [
        one.account
        for one in healths
        if one.debt
        and not book.accounts[one.account].book
        and clearing.collateral_value(book, one.account, stored)[0] < clearing.DUST
    ]


@dataclass(frozen=True, slots=True)
class DebtSale:
    """Collateral to buy by paying a debt."""

    account: AccountId
    place: int  # of the collateral token
    cash: int  # native settlement tokens to pay
    amount: int  # native units of the token to receive


def top_ups(book: Book) -> list[AccountId]:
    """Buckets that their owners' rules refill now."""
    found = []
    for account, rule in book.top_ups.items():
        try:
            if rule.budget and topups.wanted(book, account):
                found.append(account)
        except Refused:
            continue
    return sorted(found)


def debt_marks(book: Book, healths: Iterable[Health]) -> list[AccountId]:
    """Accounts whose debt has become due, or sooner, or is due no more."""
    found = []
    for one in healths:
        marked = book.debt_due[one.account]
        if not _for_sale(book, one):
            wanted = marked != 0
        elif one.liquidatable:
            wanted = not 0 < marked <= book.now
        else:
            wanted = marked == 0
        if wanted:
            found.append(one.account)
    return found


def _for_sale(book: Book, one: Health) -> bool:
    due = one.liquidatable or one.debt > book.parameters.debt_sale_threshold
    return one.debt > 0 and due


def debt_sales(
    book: Book, healths: Iterable[Health], cash: int, least: int, least_discount: int = 0
) -> list[DebtSale]:
    """Debts that `cash` (native) can buy at a discount, largest first; `least`: WAD of a sale.

    Who is liquidated in the same round is left for the next: what he owes then is not known yet.
    """
    parameters, found = book.parameters, []
    for one in sorted(healths, key=lambda one: (-one.debt, one.account)):
        since = book.debt_due[one.account]
        if not _for_sale(book, one) or not 0 < since <= book.now:
            continue
        if one.liquidatable and book.accounts[one.account].book:
            continue
        discount = liquidation.sale_discount(
            since, book.now, parameters.debt_rise_seconds, parameters.debt_discount_ppm
        )
        if discount == 0 or discount < least_discount:
            continue
        for place, token in enumerate(book.tokens):
            held, stored = book.collateral[one.account, place], book.prices[token.feed]
            if not held or stored is None:
                continue
            price = to_wad(stored.median, book.feeds[token.feed].decimals)
            kept = PPM - discount
            worth = held * price * kept // (PPM * 10**token.decimals)  # WAD that buys all of it
            paid = min(one.debt, worth) // parameters.scale
            paid = min(paid, cash)
            if paid * parameters.scale < least or paid == 0:
                continue
            amount = liquidation.collateral_bought(
                paid * parameters.scale, price, discount, token.decimals
            )
            found.append(DebtSale(one.account, place, paid, amount))
            cash -= paid
            break
    return found


def debt_accrual_due(book: Book, longest: int) -> bool:
    """Whether there is debt whose interest was not accrued for `longest` seconds."""
    return book.credit.bearing > 0 and book.now - book.credit.accrued_at >= longest


def accruals(book: Book, longest: int) -> list[InstrumentId]:
    """Instruments with open interest that were not accrued for `longest` seconds."""
    return [
        instrument
        for instrument, market in sorted(book.markets.items())
        if market.long_interest + market.short_interest
        and book.now - market.accrued_at >= longest
        and book.prices[book.listed(instrument).underlying.feed] is not None
    ]
