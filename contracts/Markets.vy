# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Markets
@notice The other side of every trade: the state of each instrument (indices, rates, open
        interest, sums) and the lines of pool, insurance and protocol. What an account gains
        here the lines lose, to the unit, in the same call.
@dev Only the Clearinghouse trades; anyone may accrue. Prices and terms come from the risk
     engine, one call for both. Nothing here holds tokens or knows an account's cash.
@custom:units sizes, prices, money WAD; protocol line micro-USD; rates ppm; times unix seconds
@custom:signs size > 0 long; owed > 0 leaves the account; rate > 0 longs pay shorts
@custom:rounding costs, fees and what is owed up; realised gains down (docs/ROUNDING.md)
@custom:halt instruments are halted in Instruments; a deficit beyond all limits stops its own

Symbols
  S     index price          theta  fair value of one unit     D   premium depth
  Q     longs - shorts       Q_p    the size premium sees: Q less the forced residual
  G     money index of a side: what one unit of it has owed since listing
  n     cost of a fill       N      cost of a position: the sum of its fills
"""

from snekmate.auth import ownable

from contracts.interfaces import IInstruments
from contracts.interfaces import ILosses
from contracts.interfaces import IMarkets
from contracts.interfaces import IRiskEngine
from contracts.modules import fills
from contracts.modules import ledger_words
from contracts.modules import market_words
from contracts.modules import scan
from contracts.modules import terms
from contracts.modules import wad_math
from contracts.modules import words

implements: IMarkets
initializes: ownable

exports: (ownable.owner, ownable.transfer_ownership)

WAD: constant(int256) = 10**18
PPM: constant(int256) = 10**6
MICRO: constant(int256) = 10**12   # WAD of a micro-USD
MICRO_UNSIGNED: constant(uint256) = 10**12
YEAR: constant(int256) = 31_536_000
DAY: constant(int256) = 86_400
MAX_INSTRUMENTS: constant(uint256) = 256
MAX_GAP: constant(int256) = 2**56 - 1   # per unit and second: what its field holds
LONGS_LOST: constant(uint256) = 1   # which side left the deficit that ended an instrument
SHORTS_LOST: constant(uint256) = 2
MAX_FORCED: constant(int256) = 2**103 - 1          # units: what its field holds
MAX_WON: constant(int256) = 2**47 - 1              # micro-USD: what its field holds
MAX_REQUIREMENT: constant(uint256) = 2**64 - 1     # micro-USD: what its field holds
ADDRESS_MASK: constant(uint256) = 2**160 - 1
NOTICE: constant(uint256) = 7 * 86_400   # seconds before another risk engine

LEVEL_ANY: constant(uint256) = 0
LEVEL_RECENT: constant(uint256) = 1
LEVEL_FRESH: constant(uint256) = 2
LEVEL_TIGHT: constant(uint256) = 3

CLEARINGHOUSE: public(immutable(address))
INSTRUMENTS: public(immutable(IInstruments))
LOSSES: public(immutable(ILosses))

event SafetyChanged:
    risk_engine: address
    pool_factor_ppm: uint256
    pool_low_ppm: uint256
    forced_window: uint256


event RiskEngineAnnounced:
    risk_engine: address
    at: uint256   # unix seconds, from when on it can be adopted


_markets: HashMap[uint256, uint256[4]]             # market_words, by instrument
_forced: HashMap[uint256, uint256]                 # their fifth word
_ledger: uint256                                   # ledger_words.Lines
_totals: uint256                                   # ledger_words.Totals
_safety: uint256                                   # risk engine 160 | factor 24 | low 24 | window 24
_announced: uint256                                # risk engine 160 | moment 40


@deploy
def __init__(
    owner: address,
    clearinghouse: address,
    risk_engine: address,
    instruments: IInstruments,
    losses: ILosses,
):
    """
    @notice Until set_safety is called: NAV covers the requirement once, and forced fills enter
            the premium over eight hours.
    """
    ownable.__init__()
    ownable._transfer_ownership(owner)
    CLEARINGHOUSE = clearinghouse
    INSTRUMENTS = instruments
    LOSSES = losses
    self._safety = convert(risk_engine, uint256) | (10**6 << 160) | (28_800 << 208)


# ---------------------------------------------------------------- anyone's upkeep


@external
def accrue(instruments: DynArray[uint256, 16]):
    """
    @notice Bring funding, gap fee and the pool's mark of instruments up to now.
    @dev At an unchanged price the number of calls changes nothing.
    @custom:reverts oracle: no price; instruments: not listed
    """
    risk: IRiskEngine = self._risk_engine()
    for instrument: uint256 in instruments:
        m: market_words.Market = self._accrued(instrument)
        q: IRiskEngine.Quote = staticcall risk.mark(
            instrument, LEVEL_ANY, m.long_interest - m.short_interest
        )
        self._store(instrument, q, m, 0, 0, 0)


@external
def mark_all(since: uint256) -> (int256, uint256):
    """
    @notice Accrue every instrument with open interest at a fresh price of a slot >= since. The
            others are worth nothing at any price: one that has none must not hold up the pool.
    @return (NAV, pool requirement), WAD
    @custom:reverts market: price before request; oracle: stale price
    """
    risk: IRiskEngine = self._risk_engine()
    for i: uint256 in range(staticcall risk.listed(), bound=MAX_INSTRUMENTS):
        if self._markets[i + 1][2] & market_words.INTEREST == 0:
            continue
        m: market_words.Market = self._accrued(i + 1)
        q: IRiskEngine.Quote = staticcall risk.mark(
            i + 1, LEVEL_FRESH, m.long_interest - m.short_interest
        )
        assert q.slot >= since, "market: price before request"
        self._store(i + 1, q, m, 0, 0, 0)
    totals: ledger_words.Totals = ledger_words._unpack_totals(self._totals)
    return ledger_words._pool(self._ledger) + totals.mark, totals.requirement


@external
def settle_instrument(instrument: uint256, slot: uint256):
    """
    @notice Fix the value that every position of a delisted instrument ends at, once its moment
            has come: that of the first slot at or after it.
    @param slot of the instrument's feed
    @custom:reverts instruments: not due; instruments: not the first slot; oracle: ...
    """
    self._settle_instrument(
        instrument, staticcall INSTRUMENTS.delisting_index(instrument, slot)
    )


# ---------------------------------------------------------------- the Clearinghouse's acts


@external
def fill(
    instrument: uint256,
    size: int256,
    notional: int256,
    settled: int256,
    delta: int256,
    fill_index: uint256,
    acceptable: uint256,
) -> IMarkets.Outcome:
    """
    @notice Fill an order at theta of its slot's price plus the mean premium on the way
            (docs/SPEC.md 5.7): the integral, so that splitting gains nothing.
    @param size WAD, of the position before
    @param notional WAD, of the position before
    @param settled index that the position was settled to
    @param delta WAD, to trade
    @param fill_index WAD, index price of the slot on the side that the order pays
    @param acceptable WAD, worst average price; 0 any
    @custom:reverts fill: price; fill: limit; fill: halted; oracle: ...
    """
    self._only_clearinghouse()
    reducing: bool = fills._is_reduction(size, delta)
    level: uint256 = LEVEL_TIGHT
    if reducing:
        level = LEVEL_RECENT
    m: market_words.Market = self._accrued(instrument)
    net: int256 = m.long_interest - m.short_interest
    risk: IRiskEngine = self._risk_engine()
    q: IRiskEngine.Quote = staticcall risk.quote(instrument, level, fill_index, net + delta)
    assert terms._status(q.fill) < terms.STATUS_DUE, "fill: halted"

    price: int256 = convert(fill_index, int256)
    traded: int256 = delta
    dust: bool = fills._leaves_dust(size + delta, price, q.limit)
    if dust and size * delta < 0:
        # it closes the position: were a flip refused, its owner could arrange that
        traded = -size
        reducing = True
        q.requirement = staticcall risk.pool_requirement(
            q.risk, q.underlying, net + traded, q.index
        )
    assert reducing or terms._status(q.fill) + m.stopped == 0, "fill: halted"
    assert reducing or not dust, "fill: limit"

    cost: int256 = wad_math._ceil_div(convert(q.fill_fair, int256) * traded, WAD) + (
        fills._premium_cost(
            price,
            convert(terms._depth(q.fill), int256),
            traded,
            net - self._residual(m.forced, m.forced_at),
        )
    )
    if acceptable != 0:
        assert cost * WAD <= convert(acceptable, int256) * traded, "fill: price"

    o: IMarkets.Outcome = self._trade(
        instrument,
        q,
        m,
        size,
        notional,
        settled,
        traded,
        cost,
        fills._trading_fee(traded, net, price, q.fill),
        fills._gap_fee(size, traded, price, q.fill),
    )
    if not reducing:
        self._check_limits(instrument, net, traded, q)
    return o


@external
def force(
    instrument: uint256,
    size: int256,
    notional: int256,
    settled: int256,
    delta: int256,
    equity: int256,
) -> IMarkets.Outcome:
    """
    @notice Close part of a position at theta less lambda (longs) or plus it (shorts): nobody can
            move that price. The premium sees the size only over the forced window. Of an
            instrument that settles: at its value, for nothing.
    @param size WAD, of the position before
    @param notional WAD, of the position before
    @param settled index that the position was settled to
    @param delta WAD, against the position, no more than it
    @param equity WAD, of the account before: fee and penalty take no more than is left of it
    """
    self._only_clearinghouse()
    m: market_words.Market = self._accrued(instrument)
    net: int256 = m.long_interest - m.short_interest
    q: IRiskEngine.Quote = staticcall self._risk_engine().quote(
        instrument, LEVEL_FRESH, 0, net + delta
    )
    cost: int256 = wad_math._ceil_div(convert(q.fair, int256) * delta, WAD)
    if terms._status(q.fill) == terms.STATUS_SETTLING:
        # what the others cannot pay is still to be shared by those who have won
        assert not (
            (m.stopped == LONGS_LOST and size < 0 and m.long_interest != 0)
            or (m.stopped == SHORTS_LOST and size > 0 and m.short_interest != 0)
        ), "market: losers settle first"
        return self._trade(instrument, q, m, size, notional, settled, delta, cost, 0, 0)

    spread: int256 = 0
    fee: int256 = 0
    penalty: int256 = 0
    reward: int256 = 0
    spread, fee, penalty, reward = fills._forced_charges(
        delta,
        convert(q.index, int256),
        net,
        equity,
        q.fill,
        q.limit,
    )
    forced: int256 = self._residual(m.forced, m.forced_at) + delta
    m.forced = max(-MAX_FORCED, min(MAX_FORCED, forced))
    m.forced_at = block.timestamp
    self._forced[instrument] = market_words._pack_forced(m)
    m.won -= spread // MICRO  # a charge, not a gain
    o: IMarkets.Outcome = self._trade(
        instrument, q, m, size, notional, settled, delta, cost + spread, fee, penalty - reward
    )
    o.fee += convert(reward, uint256)
    o.cash -= reward
    o.reward = convert(reward, uint256)
    return o


@external
def settle(instrument: uint256, size: int256, settled: int256) -> (int256, int256):
    """
    @notice Settle a position to its index without trading it.
    @return (owed WAD, index it is settled to)
    """
    self._only_clearinghouse()
    m: market_words.Market = self._accrued(instrument)
    q: IRiskEngine.Quote = staticcall self._risk_engine().mark(
        instrument, LEVEL_TIGHT, m.long_interest - m.short_interest
    )
    index: int256 = m.short_index
    if size > 0:
        index = m.long_index
    due: int256 = abs(size) * (index - settled)
    owed: int256 = wad_math._ceil_div(due, WAD)
    kept: int256 = wad_math._floor_div(due, WAD)
    m.index_sum += (
        market_words._index_part(size, index) - market_words._index_part(size, settled)
    )
    m.won += kept // MICRO
    self._store(instrument, q, m, kept, owed - kept, 0)
    return owed, index


@external
def absorb(
    account: bytes32, instrument: uint256, lost: int256, short: uint256, bare: bool
) -> uint256:
    """
    @notice Have a deficit paid, by whom docs/SPEC.md 8.6 says, or remember who caused it.
    @param instrument of which a position was just closed by force; 0: none
    @param lost WAD, since entry, by what was closed: > 0 of a long, < 0 of a short, else 0
    @param short WAD, by which the account is below nothing now
    @param bare it has nothing left: all of it is paid now
    @return paid, WAD
    """
    self._only_clearinghouse()
    causes: DynArray[ILosses.Cause, 17] = extcall LOSSES.attribute(
        account, instrument, lost, short, bare
    )
    for cause: ILosses.Cause in causes:
        self._cover(account, cause)
    if bare:
        return short
    return 0


@external
def change_lines(pool: int256, insurance: int256):
    """
    @notice Money that comes into, moves between or leaves the lines beside trades, WAD.
    @custom:reverts pool: not enough idle, when the pool line would pay out what it has not
    """
    self._only_clearinghouse()
    leaves: bool = pool + insurance < 0
    assert not leaves or ledger_words._pool(self._ledger) + pool >= 0, "pool: not enough idle"
    self._change_lines(pool, insurance)


@external
def take_protocol(scale: uint256) -> uint256:
    """
    @notice Take the protocol's line, in whole native units.
    @param scale WAD of a native unit
    @return amount in native units
    """
    self._only_clearinghouse()
    lines: ledger_words.Lines = ledger_words._unpack(self._ledger)
    amount: uint256 = lines.protocol * MICRO_UNSIGNED // scale
    lines.protocol -= amount * scale // MICRO_UNSIGNED
    self._ledger = ledger_words._pack(lines)
    self._change_lines(0, 0)
    return amount


@external
def adopt_risk_engine() -> address:
    """
    @notice Put the announced risk engine in force; the Clearinghouse does the same in this call, so
            that both ask one.
    @return the risk engine
    @custom:reverts market: notice not over
    """
    self._only_clearinghouse()
    word: uint256 = self._announced
    assert word != 0 and block.timestamp >= word >> 160, "market: notice not over"
    self._announced = 0
    self._safety = (self._safety & ~ADDRESS_MASK) | (word & ADDRESS_MASK)
    self._log_safety()
    return convert(word & ADDRESS_MASK, address)


# ---------------------------------------------------------------- governor


@external
def announce_risk_engine(risk_engine: address):
    """
    @notice Say which risk engine comes next, a week before it can: who does not like what it will
            ask has that time to leave. Announcing anew begins the week anew.
    @custom:reverts market: no code there
    """
    ownable._check_owner()
    assert risk_engine.is_contract, "market: no code there"
    at: uint256 = block.timestamp + NOTICE
    self._announced = convert(risk_engine, uint256) | (at << 160)
    log RiskEngineAnnounced(risk_engine=risk_engine, at=at)


@external
def set_safety(pool_factor_ppm: uint256, pool_low_ppm: uint256, forced_window: uint256):
    """
    @notice The figures of the pool's safety.
    @param pool_factor_ppm 1,000,000 to 10,000,000: NAV over the pool's requirement, asked of
           trades that add to it
    @param pool_low_ppm 0 to 1,000,000: the same, below which every trade must reduce
    @param forced_window 600 to 1,000,000 seconds: a forced fill enters the premium over it
    @custom:reverts market: figure out of range
    """
    ownable._check_owner()
    assert (
        pool_factor_ppm >= 10**6
        and pool_factor_ppm <= 10**7
        and pool_low_ppm <= 1_000_000
        and forced_window >= 600
        and forced_window <= 1_000_000
    ), "market: figure out of range"
    self._rebase_forced()
    self._safety = (
        (self._safety & ADDRESS_MASK)
        | (pool_factor_ppm << 160)
        | (pool_low_ppm << 184)
        | (forced_window << 208)
    )
    self._log_safety()


# ---------------------------------------------------------------- views


@external
@view
@reentrant
def indices(instrument: uint256) -> (int256, int256):
    """
    @notice Money indices (longs, shorts) of an instrument, accrued to this block
    """
    return market_words._indices(self._markets[instrument][0], self._markets[instrument][1])


@external
@view
@reentrant
def market(instrument: uint256) -> uint256[5]:
    """
    @return words index, rates, interest, sums, forced of docs/SPEC.md 5.1
    """
    w: uint256[4] = self._markets[instrument]
    return [w[0], w[1], w[2], w[3], self._forced[instrument]]


@external
@view
@reentrant
def ledger() -> (int256, uint256, uint256, int256, uint256):
    """
    @return (pool WAD, insurance WAD, protocol micro, sum of marks WAD, sum of requirements WAD)
    """
    lines: ledger_words.Lines = ledger_words._unpack(self._ledger)
    totals: ledger_words.Totals = ledger_words._unpack_totals(self._totals)
    return (
        lines.pool,
        convert(lines.insurance, uint256),
        lines.protocol,
        totals.mark,
        totals.requirement,
    )


@external
@view
@reentrant
def announced_engine() -> (address, uint256):
    """
    @return (the risk engine that comes next, unix seconds from when on); zeros: none
    """
    return convert(self._announced & ADDRESS_MASK, address), self._announced >> 160


@external
@view
@reentrant
def safety() -> (address, uint256, uint256, uint256):
    """
    @return (risk engine, pool factor ppm, pool low ppm, forced window seconds)
    """
    word: uint256 = self._safety
    return (
        convert(word & ADDRESS_MASK, address),
        (word >> 160) & 16777215,
        (word >> 184) & 16777215,
        word >> 208,
    )


# ---------------------------------------------------------------- internals


@internal
@view
def _only_clearinghouse():
    assert msg.sender == CLEARINGHOUSE, "market: only clearinghouse"


@internal
@view
def _risk_engine() -> IRiskEngine:
    return IRiskEngine(convert(self._safety & ADDRESS_MASK, address))


@internal
def _trade(
    instrument: uint256,
    q: IRiskEngine.Quote,
    m_before: market_words.Market,
    size: int256,
    notional: int256,
    settled: int256,
    delta: int256,
    cost: int256,
    fee: int256,
    insured: int256,
) -> IMarkets.Outcome:
    """
    @notice Roll a position by `delta` for `cost`: settle it to its index, realise what closes,
            move the sums, split the fee (docs/SPEC.md 5.6, 5.9, 5.10), and store the market.
    @param fee WAD, trading fee, split among insurance, protocol and pool
    @param insured WAD, charged on top for insurance alone
    """
    m: market_words.Market = m_before
    o: IMarkets.Outcome = empty(IMarkets.Outcome)
    held: int256 = abs(size)
    pool: int256 = 0
    insurance: int256 = insured
    if held != 0:
        index: int256 = m.short_index
        if size > 0:
            index = m.long_index
        due: int256 = held * (index - settled)
        o.owed = wad_math._ceil_div(due, WAD)
        pool = wad_math._floor_div(due, WAD)
        insurance += o.owed - pool
        m.index_sum -= market_words._index_part(size, settled)

    o.delta = delta
    o.cost = cost
    o.size = size + delta
    o.notional = notional + cost
    if size * delta < 0:
        closed: int256 = min(abs(delta), held)
        closing_cost: int256 = wad_math._ceil_div(cost * closed, abs(delta))
        stays: int256 = wad_math._floor_div(notional * (held - closed), held)
        o.cash = stays - notional - closing_cost
        o.notional = stays + cost - closing_cost
        pool -= o.cash
    if o.size != 0:
        o.settled = m.short_index
        if o.size > 0:
            o.settled = m.long_index
        m.index_sum += market_words._index_part(o.size, o.settled)
    m.notional_sum += o.notional - notional
    m.long_interest += max(o.size, 0) - max(size, 0)
    m.short_interest += max(-o.size, 0) - max(-size, 0)

    m.won += pool // MICRO

    to_insurance: int256 = fee * convert(terms._fee_insurance_bps(q.limit), int256) // 10_000
    micro: int256 = fee * convert(terms._fee_protocol_bps(q.limit), int256) // (10_000 * MICRO)
    o.fee = convert(fee + insured, uint256)
    o.cash -= o.owed + fee + insured
    self._store(
        instrument,
        q,
        m,
        pool + fee - to_insurance - micro * MICRO,
        insurance + to_insurance,
        convert(micro, uint256),
    )

    interest: int256 = m.long_interest
    if o.size < 0:
        interest = m.short_interest
    cap: int256 = convert(terms._oi_cap(q.limit), int256)
    worth: int256 = wad_math._ceil_div(abs(o.size) * convert(q.index, int256), WAD)
    o.crowding = convert(
        wad_math._ceil_div(
            worth * convert(terms._oi_rate_ppm(q.risk), int256) * min(interest, cap), PPM * cap
        ),
        uint256,
    )
    o.slot = q.slot
    o.feed = terms._feed(q.underlying)
    o.risk_engine = self._risk_engine().address
    return o


@internal
def _cover(account: bytes32, cause: ILosses.Cause):
    """
    @notice Have one instrument's part of a deficit paid: insurance, the pool, who won.
    """
    m: market_words.Market = empty(market_words.Market)
    q: IRiskEngine.Quote = empty(IRiskEngine.Quote)
    claim: ILosses.Claim = empty(ILosses.Claim)
    settling: bool = False
    if cause.instrument != 0:
        m = self._accrued(cause.instrument)
        q = staticcall self._risk_engine().mark(
            cause.instrument, LEVEL_ANY, m.long_interest - m.short_interest
        )
        claim.gain = wad_math._unsigned(
            self._unrealised(m, convert(q.fair, int256)) + m.won * MICRO
        )
        claim.index = q.index
        claim.underlying = terms._underlying(q.risk)
        claim.shock = q.underlying
        settling = terms._status(q.fill) == terms.STATUS_SETTLING
        if m.stopped != 0 or not settling:  # who is delisted settles in any order: none waits
            claim.winners = convert(m.long_interest, uint256)
            if cause.long:
                claim.winners = convert(m.short_interest, uint256)
    lines: ledger_words.Lines = ledger_words._unpack(self._ledger)
    claim.instrument = cause.instrument
    claim.long = cause.long
    claim.deficit = cause.deficit
    claim.insurance = convert(lines.insurance, uint256)
    claim.nav = lines.pool + ledger_words._unpack_totals(self._totals).mark
    s: ILosses.Shares = extcall LOSSES.share(claim)

    pool: int256 = convert(s.own + s.sliced + s.shared + s.lost, int256)
    insured: int256 = convert(s.insured, int256)
    if cause.instrument == 0:
        self._change_lines(-pool, -insured)
    else:
        if cause.long:
            m.short_index += convert(s.per_unit, int256)
        else:
            m.long_index += convert(s.per_unit, int256)
        if s.settles and not settling:
            m.stopped = SHORTS_LOST
            if cause.long:
                m.stopped = LONGS_LOST
        m.won -= pool // MICRO
        self._store(cause.instrument, q, m, -pool, -insured, 0)
        if s.settles and not settling:
            self._settle_instrument(cause.instrument, q.index)
    log IMarkets.DeficitPaid(
        account=account,
        instrument=cause.instrument,
        long=cause.long,
        deficit=cause.deficit,
        insured=s.insured,
        own=s.own,
        sliced=s.sliced,
        shared=s.shared,
        lost=s.lost,
        settles=s.settles,
    )


@internal
@pure
def _unrealised(m: market_words.Market, fair: int256) -> int256:
    """
    @notice What the pool stands to gain on an instrument: on its positions, and by index
    """
    return (
        m.notional_sum
        - wad_math._ceil_div(fair * (m.long_interest - m.short_interest), WAD)
        + wad_math._floor_div(
            m.long_interest * m.long_index + m.short_interest * m.short_index, WAD
        )
        - m.index_sum
    )


@internal
@view
def _accrued(instrument: uint256) -> market_words.Market:
    """
    @notice The market with its indices up to now. The gap fee that they took is paid to
            insurance when the market is stored: `accrued_at` still tells since when.
    """
    w: uint256[4] = self._markets[instrument]
    forced: uint256 = 0
    if market_words._is_easing(w[0]):
        forced = self._forced[instrument]
    m: market_words.Market = market_words._unpack(w, forced)
    elapsed: int256 = convert(block.timestamp - m.accrued_at, int256)
    m.long_index += (m.rate + m.gap) * elapsed
    m.short_index += (m.gap - m.rate) * elapsed
    m.gap_due = (m.long_interest + m.short_interest) * m.gap * elapsed // WAD
    if m.won != 0 and elapsed != 0:
        m.won = market_words._remembered(m.won, elapsed)
    return m


@internal
def _settle_instrument(instrument: uint256, index: uint256):
    """
    @notice End an instrument at an accepted index price: its funding, gap fee and premium stop
            now, and what is left of it is worth theta at that price for ever.
    """
    m: market_words.Market = self._accrued(instrument)
    net: int256 = m.long_interest - m.short_interest
    risk: IRiskEngine = self._risk_engine()
    q: IRiskEngine.Quote = staticcall risk.quote(instrument, LEVEL_ANY, index, net)
    extcall INSTRUMENTS.settle(instrument, q.fill_fair)
    q = staticcall risk.mark(instrument, LEVEL_ANY, net)
    self._store(instrument, q, m, 0, 0, 0)


@internal
def _store(
    instrument: uint256,
    q: IRiskEngine.Quote,
    m_before: market_words.Market,
    pool: int256,
    insurance: int256,
    protocol: uint256,
):
    """
    @notice Give the market its rates from now on, the pool its mark and requirement
            (docs/SPEC.md 5.5, 5.11, 5.12), and the lines what the act moved.
    """
    m: market_words.Market = m_before
    index: int256 = convert(q.index, int256)
    fair: int256 = convert(q.fair, int256)
    depth: int256 = convert(terms._depth(q.fill), int256)
    period: int256 = convert(terms._period(q.risk), int256)
    net: int256 = m.long_interest - m.short_interest
    residual: int256 = self._residual(m.forced, m.forced_at)

    m.accrued_at = block.timestamp
    m.easing = 0
    m.rate = 0
    m.gap = 0
    reserve: int256 = 0
    if terms._status(q.fill) != terms.STATUS_SETTLING:
        if residual != 0:
            m.easing = 1
        cap: int256 = index * convert(terms._funding_cap_ppm(q.risk), int256) // (PPM * DAY)
        m.rate = wad_math._floor_div(fair - convert(q.payoff, int256), period) + max(
            -cap, min(cap, index * (net - residual) // (depth * period))
        )
        m.gap = min(
            wad_math._ceil_div(index * convert(terms._gap_ppm(q.fill), int256), PPM * YEAR),
            MAX_GAP,
        )
        reserve = market_words._reserve(index, depth, net, net - residual)

    mark: int256 = self._unrealised(m, fair) - reserve
    requirement: uint256 = min(scan._ceil_div(q.requirement, MICRO_UNSIGNED), MAX_REQUIREMENT)
    totals: ledger_words.Totals = ledger_words._unpack_totals(self._totals)
    totals.mark += mark - m.mark
    totals.requirement = (
        totals.requirement + requirement * MICRO_UNSIGNED - m.requirement * MICRO_UNSIGNED
    )
    self._totals = ledger_words._pack_totals(totals)
    m.mark = mark
    m.won = max(-MAX_WON, min(MAX_WON, m.won))
    m.requirement = requirement
    self._markets[instrument] = market_words._pack(m)

    lines: ledger_words.Lines = ledger_words._unpack(self._ledger)
    lines.pool += pool - m.gap_due
    lines.insurance += insurance + m.gap_due
    lines.protocol += protocol
    self._ledger = ledger_words._pack(lines)
    log IMarkets.MarketChanged(
        instrument=instrument,
        long_index=m.long_index,
        short_index=m.short_index,
        rate=m.rate,
        gap=convert(m.gap, uint256),
        long_interest=convert(m.long_interest, uint256),
        short_interest=convert(m.short_interest, uint256),
        forced=residual,
        pool=lines.pool,
        insurance=convert(lines.insurance, uint256),
        protocol=lines.protocol,
    )


@internal
def _change_lines(pool: int256, insurance: int256):
    lines: ledger_words.Lines = ledger_words._unpack(self._ledger)
    lines.pool += pool
    lines.insurance += insurance
    self._ledger = ledger_words._pack(lines)
    log IMarkets.LedgerChanged(
        pool=lines.pool,
        insurance=convert(lines.insurance, uint256),
        protocol=lines.protocol,
    )


@internal
@view
def _residual(forced: int256, forced_at: uint256) -> int256:
    """
    @notice Size closed by force that the premium does not see yet
    """
    if forced == 0:
        return 0
    return market_words._residual(forced, forced_at, block.timestamp, self._safety >> 208)


@internal
@view
def _check_limits(instrument: uint256, net_before: int256, delta: int256, q: IRiskEngine.Quote):
    """
    @notice What may be open, asked of the state after a trade that is no reduction: how much of
            it, what the pool must be worth at least, and more when the trade raised |Q|
            (docs/SPEC.md 5.13)
    """
    longs: uint256 = 0
    interest: uint256 = 0
    longs, interest = market_words._interest(self._markets[instrument][2])
    net: uint256 = max(longs, interest) - min(longs, interest)
    if delta > 0:
        interest = longs
    assert (
        interest <= terms._oi_cap(q.limit)
        and interest * q.index <= terms._oi_cap_usd(q.limit) * 10**18
    ), "fill: limit"
    totals: ledger_words.Totals = ledger_words._unpack_totals(self._totals)
    nav: int256 = ledger_words._pool(self._ledger) + totals.mark
    factor: uint256 = (self._safety >> 184) & 16777215
    if net > convert(abs(net_before), uint256):
        factor = (self._safety >> 160) & 16777215
        assert (
            net * 10**6 <= terms._premium_max_ppm(q.fill) * terms._depth(q.fill)
        ), "fill: limit"
    assert convert(totals.requirement * factor, int256) <= PPM * nav, "fill: limit"


@internal
def _rebase_forced():
    """
    @notice Before another forced window: what the old one has let into the premium stays there,
            and only what is left takes the new one's time.
    """
    risk: IRiskEngine = self._risk_engine()
    for i: uint256 in range(staticcall risk.listed(), bound=MAX_INSTRUMENTS):
        if not market_words._is_easing(self._markets[i + 1][0]):
            continue
        m: market_words.Market = self._accrued(i + 1)
        m.forced = self._residual(m.forced, m.forced_at)
        m.forced_at = block.timestamp
        self._forced[i + 1] = market_words._pack_forced(m)
        q: IRiskEngine.Quote = staticcall risk.mark(
            i + 1, LEVEL_ANY, m.long_interest - m.short_interest
        )
        self._store(i + 1, q, m, 0, 0, 0)


@internal
def _log_safety():
    word: uint256 = self._safety
    log SafetyChanged(
        risk_engine=convert(word & ADDRESS_MASK, address),
        pool_factor_ppm=(word >> 160) & 16777215,
        pool_low_ppm=(word >> 184) & 16777215,
        forced_window=word >> 208,
    )
