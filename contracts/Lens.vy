# pragma version 0.4.3
"""
@title Lens
@notice What a person or a keeper wants to know before acting: the state of an account in plain
        figures, the prices at which it would be liquidated, and what an act would do now.
@dev Views only: it holds nothing and no contract trusts it, so there is nothing to lock. Each
     figure comes from the contract or module whose law it is. Reports use the stored prices of
     any age and say how good they are; previews say why an act would be refused. No view reverts
     for a state that an account can be in.
@custom:units sizes, prices, money WAD unless `_native`; ppm = 10^-6; times unix seconds
@custom:signs size > 0 long; owed > 0 leaves the account; free < 0 is missing
@custom:rounding as the acts round
"""

from ethereum.ercs import IERC20

from contracts.interfaces import IClearinghouse
from contracts.interfaces import IDebts
from contracts.interfaces import IInstruments
from contracts.interfaces import ILiquidator
from contracts.interfaces import IMarkets
from contracts.interfaces import IOracleHub
from contracts.interfaces import IOrders
from contracts.interfaces import IRiskEngine
from contracts.interfaces import IVault
from contracts.modules import account_words
from contracts.modules import fills
from contracts.modules import market_words
from contracts.modules import quotes
from contracts.modules import terms
from contracts.modules import wad_math

WAD: constant(int256) = 10**18
PPM: constant(int256) = 10**6
MAX_POSITIONS: constant(uint256) = 16
MAX_TOKENS: constant(uint256) = 8

MODE_ISOLATED: constant(uint256) = 1
LEVEL_ANY: constant(uint256) = 0
STOP: constant(uint256) = 2                # a kind of order
LEVEL_FRESH: constant(uint256) = 2
LEVEL_TIGHT: constant(uint256) = 3

# where liquidation prices are sought, in ticks: units of the feed's mantissa
LAST_TICK: constant(uint256) = quotes.MAX_MANTISSA
SEARCH_FACTOR: constant(uint256) = 1_000   # times the stored price
CHORDS: constant(uint256) = 24             # tries by interpolation before halving alone
SEARCH_STEPS: constant(uint256) = CHORDS + 56

MAX_REASON: constant(uint256) = 64         # bytes of a refusal's text
MAX_ANSWER: constant(uint256) = 132        # bytes of a revert with such a text

SETTLEMENT_TOKEN: public(immutable(IERC20))
SCALE: immutable(int256)                   # WAD of one native unit
CLEARINGHOUSE: public(immutable(IClearinghouse))
MARKETS: public(immutable(IMarkets))
INSTRUMENTS: public(immutable(IInstruments))
ORACLE_HUB: public(immutable(IOracleHub))
ORDERS: public(immutable(IOrders))
LIQUIDATOR: public(immutable(ILiquidator))
VAULT: public(immutable(IVault))
DEBTS: public(immutable(IDebts))


struct PositionReport:
    instrument: uint256
    size: int256        # WAD
    notional: int256    # WAD, what it cost: the signed sum of its fills
    value: int256       # WAD, size at fair value
    upnl: int256        # WAD, value less notional
    owed: int256        # WAD, funding and gap fee since it last settled
    below: uint256      # WAD, price of its underlying that liquidates, 0: none
    above: uint256
    status: uint256     # of its instrument (docs/SPEC.md 10.1); 5 settles: no price moves it


struct Life:
    status: uint256         # of an instrument, as docs/SPEC.md 10.1; 6 closed: nothing is left open
    moment: uint256         # unix seconds at which it goes on by itself, or since it settles; 0: none
    value: uint256          # WAD, of a unit, once it settles
    long_interest: int256   # WAD
    short_interest: int256


struct Report:
    equity: int256            # WAD
    equity_initial: int256    # WAD, gains and collateral weighted for new risk
    maintenance: uint256      # WAD
    plain_initial: uint256    # WAD, of the account alone
    initial: uint256          # WAD, for new risk
    call_line: uint256        # WAD, equity below which it may be called
    health_ppm: int256        # equity / maintenance; the largest number when nothing is required
    cash: int256              # WAD, less interest to this block; < 0: what is owed
    interest: uint256         # WAD, of debt, that is not in the account's word yet
    collateral: uint256       # WAD, counted in equity
    owed: int256              # WAD, of all positions
    reserved: uint256         # WAD, held by orders
    free: int256              # WAD, for new risk; < 0: missing
    mode: uint256             # 1 isolated, 2 cross
    called: bool
    deadline: uint256         # of the call
    liquidatable: bool        # whether `liquidate` would act now
    level: uint256            # the strictest that all its prices pass: 3 tight to 0 stale or none
    unpriced: uint256         # mask of collateral without any price, which counts for nothing
    positions: DynArray[PositionReport, MAX_POSITIONS]


struct OrderPreview:
    refusal: String[MAX_REASON]   # why `commit` would revert, empty when it would not
    missing: uint256              # WAD of equity, when that is why
    reserve: uint256              # WAD, held until the order ends
    lapse: uint256                # WAD, charged when it ends unfilled by its own fault
    # of an order that is not refused:
    size: int256                  # WAD, that would be filled
    cost: int256                  # WAD, of that size at the stored price, fees apart
    price: uint256                # WAD, cost per unit
    premium: int256               # WAD, part of the cost beyond fair value; < 0: earned
    fee: uint256                  # WAD, trading fee and gap fee
    # of one that waits for its trigger, instead of these:
    late: bool                    # a stop no nearer than liquidation, which would come first


struct LiquidationPreview:
    refusal: String[MAX_REASON]   # why `liquidate` would revert, empty when it would not
    size: int256                  # WAD, that would be closed, against the position
    spread: uint256               # WAD, to the pool
    fee: uint256                  # WAD
    penalty: uint256              # WAD
    reward: uint256               # WAD, the liquidator's part of the penalty


struct Trade:
    instrument: uint256
    size: int256        # WAD, > 0 bought


struct SpotShock:
    feed: uint256
    change_ppm: int256  # of the stored price, above -1,000,000


struct Simulation:
    equity: int256          # WAD
    maintenance: uint256    # WAD
    plain_initial: uint256  # WAD, of the account alone
    initial: uint256        # WAD, for new risk, but for crowding
    call_line: uint256      # WAD, equity below which it may be called
    health_ppm: int256      # as in a report
    cost: int256            # WAD, what the trades paid, signed: their notional with premium
    fee: int256             # WAD, trading and gap fees of the trades


# What of an account does not move with a price
struct Holdings:
    account: bytes32
    engine: address
    mode: uint256
    cash: int256                # WAD
    collateral: uint256         # mask
    debt_maintenance: uint256   # WAD, of an account without position
    book: DynArray[IRiskEngine.Position, MAX_POSITIONS]


@deploy
def __init__(
    settlement_token: IERC20,
    clearinghouse: IClearinghouse,
    markets: IMarkets,
    instruments: IInstruments,
    oracle_hub: IOracleHub,
    orders: IOrders,
    liquidator: ILiquidator,
    vault: IVault,
    debts: IDebts,
):
    """
    @notice Deployed after the others, of which it asks the settlement token's scale.
    """
    SETTLEMENT_TOKEN = settlement_token
    SCALE = convert(staticcall clearinghouse.SCALE(), int256)
    CLEARINGHOUSE = clearinghouse
    MARKETS = markets
    INSTRUMENTS = instruments
    ORACLE_HUB = oracle_hub
    ORDERS = orders
    LIQUIDATOR = liquidator
    VAULT = vault
    DEBTS = debts


# ---------------------------------------------------------------- what is


@external
@view
def report(account: bytes32) -> Report:
    """
    @notice Everything about an account, at the stored prices.
    """
    s: IClearinghouse.Assessment = staticcall CLEARINGHOUSE.assess(account, LEVEL_ANY)
    r: Report = empty(Report)
    r.equity = s.equity
    r.equity_initial = s.equity_initial
    r.maintenance = s.maintenance
    r.plain_initial = s.plain_initial
    r.initial = s.initial
    r.call_line = staticcall LIQUIDATOR.call_line(s.maintenance, s.plain_initial)
    r.health_ppm = max_value(int256)
    if s.maintenance != 0:
        r.health_ppm = wad_math._floor_div(s.equity * PPM, convert(s.maintenance, int256))
    r.cash = s.cash
    r.interest = self._interest(account)
    r.collateral = s.collateral
    r.owed = s.owed
    r.reserved = s.reserved
    r.free = s.equity_initial - convert(s.initial + s.reserved, int256)
    r.mode = s.mode
    r.called = s.called
    r.deadline = s.deadline
    r.liquidatable = staticcall LIQUIDATOR.liquidatable(account)

    h: Holdings = self._holdings(account)
    r.level, r.unpriced = self._collateral_level(h.collateral)
    engine: IRiskEngine = IRiskEngine(h.engine)
    feeds: DynArray[uint256, MAX_POSITIONS] = []
    for p: IRiskEngine.Position in h.book:
        q: IRiskEngine.Quote = staticcall engine.quote(p.instrument, LEVEL_ANY, 0, 0)
        line: PositionReport = empty(PositionReport)
        line.instrument = p.instrument
        line.size = p.size
        line.notional = p.notional
        line.value = wad_math._floor_div(p.size * convert(q.fair, int256), WAD)
        line.upnl = line.value - p.notional
        line.owed = self._owed(p)
        line.status = terms._status(q.fill)
        feed: uint256 = terms._feed(q.underlying)
        if line.status == terms.STATUS_SETTLING:
            feed = 0  # none moves it
        place: uint256 = self._place_of(feed, feeds)
        if place < len(feeds):  # one underlying, one pair of prices
            line.below = r.positions[place].below
            line.above = r.positions[place].above
        elif feed != 0:
            r.level = min(r.level, (staticcall ORACLE_HUB.state(feed)).level)
            line.below, line.above = self._liquidation_prices(h, feed)
        feeds.append(feed)
        r.positions.append(line)
    return r


@external
@view
def life(instrument: uint256) -> Life:
    """
    @notice Where in its life an instrument is, what comes next and when, and how much is open.
    @custom:reverts instruments: unknown instrument
    """
    m: market_words.Market = self._market(instrument)
    l: Life = Life(
        status=staticcall INSTRUMENTS.status(instrument),
        moment=0,
        value=0,
        long_interest=m.long_interest,
        short_interest=m.short_interest,
    )
    l.moment, l.value = staticcall INSTRUMENTS.settlement(instrument)
    if l.status == terms.STATUS_SETTLING and m.long_interest + m.short_interest == 0:
        l.status = terms.STATUS_CLOSED
    return l


@external
@view
def liquidation_price(account: bytes32, instrument: uint256) -> (uint256, uint256):
    """
    @notice The nearest prices of an instrument's underlying at which the account would be below
            maintenance, all others as they are: collateral of the same feed and every position
            on it move along. Exact to the feed's tick, over ticks up to a thousand times the
            stored price.
    @return (highest at or below the stored price, lowest at or above it), WAD; 0: there is none.
            Both are the stored price when the account is below maintenance already.
    @custom:reverts instruments: unknown instrument
    """
    feed: uint256 = terms._feed((staticcall INSTRUMENTS.risk_terms(instrument))[1])
    return self._liquidation_prices(self._holdings(account), feed)


# ---------------------------------------------------------------- what an act would do


@external
@view
def preview_order(order: IOrders.Order) -> OrderPreview:
    """
    @notice What committing an order would hold, and what its fill would cost at the stored
            price, if nobody traded in between; of one that is refused, why and what is missing;
            of a stop, whether the account as it is would be liquidated before it.
    """
    o: OrderPreview = empty(OrderPreview)
    success: bool = False
    answer: Bytes[MAX_ANSWER] = b""
    success, answer = raw_call(
        ORDERS.address,
        abi_encode(
            order,
            method_id=method_id(
                "preview((bytes32,uint256,int256,uint256,bool,uint256,uint256,uint256,uint256,uint256,uint256))"
            ),
        ),
        max_outsize=MAX_ANSWER,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not success:
        o.refusal = self._reason(answer)
        return o
    missing: int256 = 0
    o.reserve, o.lapse, missing = abi_decode(answer, (uint256, uint256, int256))
    if missing > 0:
        o.missing = convert(missing, uint256)
        o.refusal = "account: not enough margin"
        return o

    size: int256 = 0
    notional: int256 = 0
    settled: int256 = 0
    size, notional, settled = staticcall CLEARINGHOUSE.position(order.account, order.instrument)
    engine: IRiskEngine = IRiskEngine(staticcall CLEARINGHOUSE.risk_engine())
    q: IRiskEngine.Quote = staticcall engine.quote(order.instrument, LEVEL_ANY, 0, 0)
    if order.kind != 0:
        if order.kind == STOP and size * order.size < 0:
            o.late = self._is_late(order, size, terms._feed(q.underlying))
        return o
    index: int256 = convert(q.index, int256)
    o.size = order.size
    if order.reduce_only:
        if size * order.size >= 0:
            o.size = 0
        elif abs(order.size) > abs(size):
            o.size = -size
    if size * o.size < 0 and fills._leaves_dust(size + o.size, index, q.limit):
        o.size = -size
    if o.size == 0:
        return o

    m: market_words.Market = self._market(order.instrument)
    net: int256 = m.long_interest - m.short_interest
    o.premium = fills._premium_cost(
        index, convert(terms._depth(q.fill), int256), o.size, net - self._residual(m)
    )
    o.cost = wad_math._ceil_div(convert(q.fair, int256) * o.size, WAD) + o.premium
    o.price = convert(max(o.cost * WAD // o.size, 0), uint256)
    o.fee = convert(
        fills._trading_fee(o.size, net, index, q.fill)
        + fills._gap_fee(size, o.size, index, q.fill),
        uint256,
    )
    return o


@internal
@view
def _is_late(order: IOrders.Order, size: int256, feed: uint256) -> bool:
    """
    @notice Whether the price of a stop is no nearer than the one that liquidates its position
    """
    below: uint256 = 0
    above: uint256 = 0
    below, above = self._liquidation_prices(self._holdings(order.account), feed)
    if size > 0:
        return order.trigger <= below
    return above != 0 and order.trigger >= above


@external
@view
def simulate(
    account: bytes32,
    trades: DynArray[Trade, MAX_POSITIONS],
    spot_shocks: DynArray[SpotShock, MAX_POSITIONS],
) -> Simulation:
    """
    @notice What an account would be worth and have to hold, had it traded at the stored prices
            (premium and fees included, one trade after the other) and prices then moved.
    @param spot_shocks of feeds, at most one each: they price positions and collateral alike
    @dev Says nothing of whether an order would be accepted: `preview_order` does.
    @custom:reverts lens: shock too large; lens: feed twice; risk: isolated holds one;
                    instruments: unknown instrument; oracle: no price
    """
    s: Simulation = empty(Simulation)
    h: Holdings = self._holdings(account)
    for i: uint256 in range(len(trades), bound=MAX_POSITIONS):
        before: int256 = 0  # of the same instrument, by trades that come first
        for j: uint256 in range(i, bound=MAX_POSITIONS):
            if trades[j].instrument == trades[i].instrument:
                before += trades[j].size
        cost: int256 = 0
        fee: int256 = 0
        h, cost, fee = self._traded(h, trades[i].instrument, trades[i].size, before)
        s.cost += cost
        s.fee += fee
    assert h.mode != MODE_ISOLATED or len(h.book) < 2, "risk: isolated holds one"

    s.equity = h.cash
    if h.collateral != 0:
        unmoved: uint256 = staticcall VAULT.value_at(account, h.collateral, 0, 0)
        s.equity += convert(unmoved, int256)
        for shock: SpotShock in spot_shocks:  # a token has one feed: what each moves adds up
            moved: uint256 = staticcall VAULT.value_at(
                account, h.collateral, shock.feed, self._shocked(shock)
            )
            s.equity += convert(moved, int256) - convert(unmoved, int256)

    feeds: DynArray[uint256, MAX_POSITIONS] = []
    for shock: SpotShock in spot_shocks:
        assert self._place_of(shock.feed, feeds) == len(feeds), "lens: feed twice"
        feeds.append(shock.feed)
    s = self._required(s, h, feeds, len(feeds), 0)
    for i: uint256 in range(len(feeds), bound=MAX_POSITIONS):
        s = self._required(s, h, feeds, i, self._shocked(spot_shocks[i]))
    if len(h.book) == 0 and h.cash < 0:
        s.maintenance, s.plain_initial = staticcall IRiskEngine(h.engine).debt_requirement(
            convert(-h.cash, uint256)
        )
        s.initial = s.plain_initial
    s.call_line = staticcall LIQUIDATOR.call_line(s.maintenance, s.plain_initial)
    s.health_ppm = max_value(int256)
    if s.maintenance != 0:
        s.health_ppm = wad_math._floor_div(s.equity * PPM, convert(s.maintenance, int256))
    return s


@external
@view
def preview_withdraw(account: bytes32) -> uint256:
    """
    @notice The most that `withdraw` would send now.
    @return native units of the settlement token
    """
    word: uint256 = 0
    tail: uint256 = 0
    word, tail = staticcall CLEARINGHOUSE.account_word(account)
    a: account_words.Account = account_words._unpack(word)
    most: int256 = 0
    if a.count == 0:
        most = max(a.cash - convert(a.reserved, int256), 0)
    if a.count != 0 or a.collateral != 0:
        most = max(most, self._withdrawable(account, a))
    return min(
        convert(most // SCALE, uint256),
        staticcall SETTLEMENT_TOKEN.balanceOf(CLEARINGHOUSE.address),
    )


@external
@view
def preview_liquidation(account: bytes32, instrument: uint256) -> LiquidationPreview:
    """
    @notice What `liquidate` without a limit of size would close now, and what it would charge.
    """
    l: LiquidationPreview = empty(LiquidationPreview)
    success: bool = False
    answer: Bytes[MAX_ANSWER] = b""
    success, answer = raw_call(
        LIQUIDATOR.address,
        abi_encode(account, instrument, method_id=method_id("preview(bytes32,uint256)")),
        max_outsize=MAX_ANSWER,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not success:
        l.refusal = self._reason(answer)
        return l
    l.size = abi_decode(answer, int256)
    if l.size == 0:
        l.refusal = "liquidation: not liquidatable"
        return l

    engine: IRiskEngine = IRiskEngine(staticcall CLEARINGHOUSE.risk_engine())
    q: IRiskEngine.Quote = staticcall engine.quote(instrument, LEVEL_FRESH, 0, 0)
    m: market_words.Market = self._market(instrument)
    spread: int256 = 0
    fee: int256 = 0
    penalty: int256 = 0
    reward: int256 = 0
    spread, fee, penalty, reward = fills._forced_charges(
        l.size,
        convert(q.index, int256),
        m.long_interest - m.short_interest,
        (staticcall CLEARINGHOUSE.assess(account, LEVEL_FRESH)).equity,
        q.fill,
        q.limit,
    )
    l.spread = convert(spread, uint256)
    l.fee = convert(fee, uint256)
    l.penalty = convert(penalty, uint256)
    l.reward = convert(reward, uint256)
    return l


# ---------------------------------------------------------------- simulations


@internal
@view
def _traded(
    h_before: Holdings, instrument: uint256, delta: int256, traded: int256
) -> (Holdings, int256, int256):
    """
    @notice Holdings after a trade at the stored price, as Markets would roll the position.
    @param traded WAD, by the same account before it: it has moved the premium
    @return (holdings after, cost, fee), WAD
    """
    h: Holdings = h_before
    q: IRiskEngine.Quote = staticcall IRiskEngine(h.engine).quote(instrument, LEVEL_ANY, 0, 0)
    m: market_words.Market = self._market(instrument)
    net: int256 = m.long_interest - m.short_interest + traded
    index: int256 = convert(q.index, int256)
    if delta == 0:
        return h, 0, 0
    place: uint256 = len(h.book)
    for i: uint256 in range(len(h.book), bound=MAX_POSITIONS):
        if h.book[i].instrument == instrument:
            place = i
    if place == len(h.book):
        h.book.append(empty(IRiskEngine.Position))
        h.book[place].instrument = instrument
    p: IRiskEngine.Position = h.book[place]
    cost: int256 = wad_math._ceil_div(convert(q.fair, int256) * delta, WAD) + fills._premium_cost(
        index, convert(terms._depth(q.fill), int256), delta, net - self._residual(m)
    )
    fee: int256 = fills._trading_fee(delta, net, index, q.fill) + (
        fills._gap_fee(p.size, delta, index, q.fill)
    )
    if p.size != 0:
        h.cash -= self._owed(p)
    closed: int256 = 0
    if p.size * delta < 0:
        closed = min(abs(delta), abs(p.size))
        closing_cost: int256 = wad_math._ceil_div(cost * closed, abs(delta))
        stays: int256 = wad_math._floor_div(p.notional * (abs(p.size) - closed), abs(p.size))
        h.cash += stays - p.notional - closing_cost
        p.notional = stays + cost - closing_cost
    else:
        p.notional += cost
    h.cash -= fee
    p.size += delta
    long_index: int256 = 0
    short_index: int256 = 0
    long_index, short_index = staticcall MARKETS.indices(instrument)
    p.settled = short_index
    if p.size > 0:
        p.settled = long_index
    last: IRiskEngine.Position = h.book[len(h.book) - 1]
    h.book[place] = p
    if p.size == 0:
        h.book[place] = last
        h.book.pop()
    return h, cost, fee


@internal
@view
def _required(
    s_before: Simulation,
    h: Holdings,
    feeds: DynArray[uint256, MAX_POSITIONS],
    place: uint256,
    price: uint256,
) -> Simulation:
    """
    @notice Add what positions of one feed ask and gain at another price of it; or, past the last,
            those of no feed named at theirs. Isolated and cross margin add up by underlying, so
            feeds have nothing in common.
    """
    book: DynArray[IRiskEngine.Position, MAX_POSITIONS] = []
    for p: IRiskEngine.Position in h.book:
        feed: uint256 = terms._feed((staticcall INSTRUMENTS.risk_terms(p.instrument))[1])
        if self._place_of(feed, feeds) == place:
            book.append(p)
    s: Simulation = s_before
    if len(book) != 0:
        feed: uint256 = 0
        if place != len(feeds):
            feed = feeds[place]
        r: IRiskEngine.Requirement = staticcall IRiskEngine(h.engine).requirement(
            h.mode, book, LEVEL_ANY, feed, price
        )
        s.equity += r.upnl - r.owed
        s.maintenance += r.maintenance
        s.plain_initial += r.plain_initial
        s.initial += r.initial
    return s


@internal
@view
def _shocked(shock: SpotShock) -> uint256:
    """
    @return WAD, up
    """
    assert shock.change_ppm > -PPM and shock.change_ppm <= 1_000 * PPM, "lens: shock too large"
    stored: int256 = convert((staticcall ORACLE_HUB.state(shock.feed)).price_wad, int256)
    return convert(wad_math._ceil_div(stored * (PPM + shock.change_ppm), PPM), uint256)


# ---------------------------------------------------------------- liquidation prices


@internal
@view
def _holdings(account: bytes32) -> Holdings:
    word: uint256 = 0
    tail: uint256 = 0
    word, tail = staticcall CLEARINGHOUSE.account_word(account)
    a: account_words.Account = account_words._unpack(word)
    cash: int256 = a.cash - convert(self._interest(account), int256)
    h: Holdings = Holdings(
        account=account,
        engine=staticcall CLEARINGHOUSE.risk_engine(),
        mode=account_words._mode(account, a.mode),
        cash=cash,
        collateral=a.collateral,
        debt_maintenance=0,
        book=staticcall CLEARINGHOUSE.positions(account),
    )
    if a.count == 0 and cash < 0:
        initial: uint256 = 0
        h.debt_maintenance, initial = staticcall IRiskEngine(h.engine).debt_requirement(
            convert(-cash, uint256)
        )
    return h


@internal
@view
def _liquidation_prices(h: Holdings, feed: uint256) -> (uint256, uint256):
    stored: uint256 = (staticcall ORACLE_HUB.state(feed)).price_wad
    if stored == 0:
        return 0, 0
    tick: uint256 = 10 ** (18 - (staticcall ORACLE_HUB.feed_config(feed)).decimals)
    now: uint256 = stored // tick
    buffer: int256 = self._buffer(h, feed, stored)
    if buffer < 0:
        return stored, stored
    return (
        tick * self._failing(h, feed, tick, now, buffer, 1),
        tick * self._failing(h, feed, tick, now, buffer, min(SEARCH_FACTOR * now, LAST_TICK)),
    )


@internal
@view
def _failing(
    h: Holdings, feed: uint256, tick: uint256, start: uint256, start_buffer: int256, end: uint256
) -> uint256:
    """
    @notice The tick nearest to `start` on the way to `end` at which equity is below maintenance.
    @dev Equity is linear in the price and maintenance convex (linear up to where concentration
         begins), but for rounding: so the buffer between them is concave, and from a healthy
         start it crosses zero at most once on each side. The root is bracketed by a healthy and
         a failing tick and found where their chord crosses zero, with the buffer of an end that
         stays halved (the Illinois rule), later by halving the bracket.
    @param start_buffer WAD, >= 0, equity less maintenance at start
    @return 0 when there is none
    """
    if end == start:
        return 0
    failing: uint256 = end
    below: int256 = self._buffer(h, feed, end * tick)
    if below >= 0:
        return 0
    healthy: uint256 = start
    above: int256 = start_buffer
    stayed: int256 = 0  # > 0: the healthy end did, < 0: the failing one
    for i: uint256 in range(SEARCH_STEPS):
        distance: uint256 = max(healthy, failing) - min(healthy, failing)
        if distance == 1:
            break
        step: uint256 = distance // 2
        if i < CHORDS:
            span: int256 = convert(distance, int256)
            step = min(max(convert(span * above // (above - below), uint256), 1), distance - 1)
        tried: uint256 = healthy + step
        if end < start:
            tried = healthy - step
        buffer: int256 = self._buffer(h, feed, tried * tick)
        if buffer < 0:
            failing = tried
            below = buffer
            if stayed > 0:
                above //= 2
            stayed = 1
        else:
            healthy = tried
            above = buffer
            if stayed < 0:
                below = min(-(-below // 2), -1)
            stayed = -1
    return failing


@internal
@view
def _buffer(h: Holdings, feed: uint256, price: uint256) -> int256:
    """
    @notice Equity less maintenance with a WAD price in the place of one feed's stored one
    """
    r: IRiskEngine.Requirement = staticcall IRiskEngine(h.engine).requirement(
        h.mode, h.book, LEVEL_ANY, feed, price
    )
    worth: uint256 = 0
    if h.collateral != 0:
        worth = staticcall VAULT.value_at(h.account, h.collateral, feed, price)
    return (
        h.cash
        + convert(worth, int256)
        + r.upnl
        - r.owed
        - convert(r.maintenance + h.debt_maintenance, int256)
    )


# ---------------------------------------------------------------- withdrawals


@internal
@view
def _withdrawable(account: bytes32, a: account_words.Account) -> int256:
    """
    @notice The most that may leave with a look at prices (docs/SPEC.md 2.6, 2.7)
    @return WAD; 0 also while a price that it needs is not fresh and tight
    """
    success: bool = False
    answer: Bytes[448] = b""
    success, answer = raw_call(
        CLEARINGHOUSE.address,
        abi_encode(account, LEVEL_TIGHT, method_id=method_id("assess(bytes32,uint256)")),
        max_outsize=448,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not success:
        return 0
    s: IClearinghouse.Assessment = abi_decode(answer, IClearinghouse.Assessment)
    reserved: int256 = convert(s.reserved, int256)
    most: int256 = min(
        s.cash - s.owed + convert(s.collateral_initial, int256) - reserved,
        s.cash + max(staticcall DEBTS.room(convert(max(-s.cash, 0), uint256)), 0),
    )
    if a.count != 0:
        return min(most, s.equity_initial - convert(s.initial, int256) - reserved)

    # debt without positions asks margin of its own, which grows with what leaves
    engine: IRiskEngine = IRiskEngine(staticcall CLEARINGHOUSE.risk_engine())
    fits: int256 = max(s.cash - reserved, 0) // SCALE
    over: int256 = max(most // SCALE, fits) + 1
    for i: uint256 in range(128):
        if over - fits <= 1:
            break
        middle: int256 = (fits + over) // 2
        left: int256 = s.equity_initial - middle * SCALE - reserved
        debt: int256 = middle * SCALE - s.cash
        if debt > 0:
            maintenance: uint256 = 0
            initial: uint256 = 0
            maintenance, initial = staticcall engine.debt_requirement(convert(debt, uint256))
            left -= convert(initial, int256)
        if left >= 0:
            fits = middle
        else:
            over = middle
    return fits * SCALE


# ---------------------------------------------------------------- small parts


@internal
@view
def _interest(account: bytes32) -> uint256:
    """
    @notice What an account's debt has run up since its cash last changed
    """
    cash: int256 = account_words._unpack((staticcall CLEARINGHOUSE.account_word(account))[0]).cash
    if cash >= 0:
        return 0
    return staticcall DEBTS.owed(account, convert(-cash, uint256))


@internal
@view
def _collateral_level(mask: uint256) -> (uint256, uint256):
    """
    @return (the strictest level that all prices of an account's tokens pass, those without one)
    """
    level: uint256 = LEVEL_TIGHT
    unpriced: uint256 = 0
    if mask != 0:
        tokens: DynArray[address, MAX_TOKENS] = staticcall VAULT.tokens()
        for place: uint256 in range(len(tokens), bound=MAX_TOKENS):
            if (mask >> place) & 1 == 1:
                listing: IVault.Listing = staticcall VAULT.listing(tokens[place])
                found: IOracleHub.FeedState = staticcall ORACLE_HUB.state(listing.feed)
                level = min(level, found.level)
                if found.slot == 0:
                    unpriced |= 1 << place
    return level, unpriced


@internal
@pure
def _place_of(feed: uint256, feeds: DynArray[uint256, MAX_POSITIONS]) -> uint256:
    """
    @return where a feed stands in a list; its length when it does not
    """
    for i: uint256 in range(len(feeds), bound=MAX_POSITIONS):
        if feeds[i] == feed:
            return i
    return len(feeds)


@internal
@view
def _owed(p: IRiskEngine.Position) -> int256:
    long_index: int256 = 0
    short_index: int256 = 0
    long_index, short_index = staticcall MARKETS.indices(p.instrument)
    if p.size > 0:
        short_index = long_index
    return market_words._owed(p.size, short_index, p.settled)


@internal
@view
def _market(instrument: uint256) -> market_words.Market:
    w: uint256[5] = staticcall MARKETS.market(instrument)
    return market_words._unpack([w[0], w[1], w[2], w[3]], w[4])


@internal
@view
def _residual(m: market_words.Market) -> int256:
    """
    @notice Size closed by force that the premium does not see yet
    """
    if m.easing == 0:
        return 0
    return market_words._residual(
        m.forced, m.forced_at, block.timestamp, (staticcall MARKETS.safety())[3]
    )


@internal
@pure
def _reason(answer: Bytes[MAX_ANSWER]) -> String[MAX_REASON]:
    """
    @notice The text of a revert
    """
    return abi_decode(slice(answer, 4, len(answer) - 4), String[MAX_REASON])
