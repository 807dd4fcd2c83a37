"""A whole protocol in the model alone: round figures, one price, a few wallets with money."""

from __future__ import annotations

from keeper.core.interest import Curve
from keeper.core.liquidation import Policy
from keeper.core.losses import Limits
from keeper.core.margin import Haircut
from keeper.core.protocol.model import Protocol
from keeper.core.protocol.orders import Ending
from keeper.core.protocol.state import SETTLEMENT, Order, Parameters, State, Token
from keeper.core.quotes import Feed, Report
from keeper.core.types import AccountId, Address, FeedId, InstrumentId
from keeper.core.units import PPM, WAD
from tests.property.strategies import plain_terms

USD = 10**6  # native units
START = 1_000_000
PRICE = 3_000 * 10**8
FEED, ETH = FeedId(1), InstrumentId(1)
REPORTER = Address(b"r" * 20)
KEEPER = Address(b"k" * 20)

PARAMETERS = Parameters(
    settlement_decimals=6,
    forced_window_seconds=7_200,
    upnl_ppm=800_000,
    debt_maintenance_ppm=50_000,
    debt_initial_ppm=100_000,
    debt_cap=100_000 * WAD,
    debt_share_ppm=200_000,
    debt_curve=Curve(20_000, 800_000, 60_000, 600_000, 100_000),
    pool_factor_ppm=2 * PPM,
    pool_low_ppm=750_000,
    losses=Limits(20_000, 30_000, 50_000, 86_400, 10_000 * WAD),
    calls=Policy(call_ppm=400_000, hard_ppm=800_000, grace_isolated=0, grace_cross=120),
    debt_sale_threshold=75_000 * WAD,
    debt_discount_ppm=30_000,
    debt_grace_seconds=600,
    debt_rise_seconds=300,
    order_delay_seconds=2,
    order_window_seconds=120,
    order_buffer_ppm=50_000,
    request_delay_seconds=60,
    request_window_seconds=600,
    exit_fee_ppm=1_000,
    exit_factor_ppm=2_500_000,
    quorum=1,
    reporters=frozenset({REPORTER}),
    insurance_caps={ETH: 1_000 * WAD},
    guardian=Address(bytes(20)),
)

TERMS = plain_terms(
    taker_ppm=500,
    maker_ppm=200,
    gap_ppm_per_year=10_000,
    lapse_ppm=500,
    lambda_ppm=5_000,
    penalty_ppm=9_000,
    funding_cap_ppm_per_day=7_500,
    oi_rate_ppm=10_000,
    reserve_milli=2_000,
    min_notional_usd=100,
    depth_wad=100_000 * WAD,
    premium_max_ppm=19_000,
    oi_cap_wad=10_000 * WAD,
)


class House:
    """The model with helpers that keep the price where it is unless told."""

    def __init__(self) -> None:
        feed = Feed(
            decimals=8,
            grid_seconds=1,
            ring_length=1_024,
            width_ppm=2_000,
            max_age_seconds=120,
            max_age_recent_seconds=900,
            conf_max_ppm=5_000,
        )
        token = Token(FEED, decimals=18, haircut=Haircut(120_000, 120_000, START, 0), cap=10**24)
        self.state = State(PARAMETERS, {FEED: feed}, [token], {ETH: TERMS}, START)
        self.protocol = Protocol(self.state)
        self._salt = 0
        self.post()

    def endow(self, wallet: Address, usd: int) -> None:
        """Settlement tokens out of nothing."""
        with self.state.attempt():
            self.state.wallets[SETTLEMENT, wallet] += usd * USD

    def post(self, price: int = PRICE) -> int:
        """A second passes and its slot is fixed; returns the slot."""
        state = self.state
        newest = state.prices[FEED]
        state.now += 1
        previous = newest.slot if newest else state.now - 1
        self.protocol.post(FEED, state.now, previous, (Report(REPORTER, price, 0),))
        return state.now

    def fund_pool(self, provider: Address, usd: int) -> None:
        """Request, execution and claim of a provider's entry."""
        self.endow(provider, usd)
        self.protocol.request_deposit(provider, usd * USD, provider, provider, 0)
        self.state.now += PARAMETERS.request_delay_seconds
        self.post()
        self.protocol.execute_requests((provider,), ())
        self.protocol.claim_deposit(provider, usd * USD, provider, provider)

    def trade(self, account: AccountId, size: int, price: int = PRICE) -> Ending:
        """Commit an order and execute it at the first slot after its delay."""
        self._salt += 1
        order = Order(account, ETH, size, 0, False, 0, self._salt)
        self.protocol.commit(Address(account[:20]), order)
        self.state.now += PARAMETERS.order_delay_seconds - 1
        return self.protocol.execute(KEEPER, order, self.post(price))
