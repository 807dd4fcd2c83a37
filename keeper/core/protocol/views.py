"""What a wallet or a keeper asks of an account, beside what acts do."""

from __future__ import annotations

from dataclasses import replace

from keeper.core import exposure, funding, market
from keeper.core.exposure import LiquidationPrices
from keeper.core.market import Market
from keeper.core.protocol import clearing, debts, oracle
from keeper.core.protocol.state import State
from keeper.core.quotes import Quote
from keeper.core.terms import Terms
from keeper.core.types import AccountId, FeedId, InstrumentId, Level
from keeper.core.units import to_wad

SEARCHED = 1_000  # times the present price
LAST_TICK = (1 << 56) - 1  # the largest mantissa of a price


def nav(state: State) -> int:
    """What the pool is worth at the stored prices and this moment, WAD: NAV of SPEC 5.11 as it
    would be if debt and every instrument were accrued now."""
    worth = state.lines.nav + debts.due(state)
    for one in state.terms:
        found = state.markets[one]
        if not found.long_interest + found.short_interest:
            continue
        accrued, gap_due = funding.accrued(found, state.now)
        worth += _mark(state, state.listed(one), accrued) - found.mark - gap_due
    return worth


def _mark(state: State, terms: Terms, accrued: Market) -> int:
    if terms.settles:
        return market.unrealised(accrued, terms.settlement_wad)
    index = oracle.price(state, terms.underlying.feed, Level.ANY).price_wad
    seen = market.premium_net(accrued, state.now, state.parameters.forced_window_seconds)
    fair = terms.value(index).fair
    return market.mark(accrued, fair, index, terms.fill.depth_wad, seen)


def liquidation_prices(
    state: State, account: AccountId, instrument: InstrumentId
) -> LiquidationPrices:
    """The nearest prices of an instrument's underlying at which the account is below maintenance.

    WAD, exact to a tick of the feed; all other prices as they are stored. Every position on the
    underlying moves along, and collateral that the same feed prices.
    """
    feed = state.listed(instrument).underlying.feed
    about, stored = state.feeds[feed], state.prices[feed]
    if stored is None:
        return LiquidationPrices(None, None)

    def buffer(tick: int) -> int:
        price = to_wad(tick, about.decimals)

        def price_of(one: FeedId) -> Quote:
            quote = clearing.stored_prices(state, Level.ANY)(one)
            return replace(quote, price_wad=price) if one == feed else quote

        assessed = clearing.assess(state, account, Level.ANY, price_of, price_of)
        return assessed.equity - assessed.maintenance

    present = stored.median
    found = exposure.liquidation_prices(buffer, present, min(LAST_TICK, SEARCHED * present))
    return LiquidationPrices(
        below=None if found.below is None else to_wad(found.below, about.decimals),
        above=None if found.above is None else to_wad(found.above, about.decimals),
    )
