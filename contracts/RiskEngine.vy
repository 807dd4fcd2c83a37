# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title RiskEngine
@notice One margin question: what must this book hold, at first and to stay open? Isolated,
        cross and portfolio margin are parameters of the same answer. It keeps no account's
        number and moves no money; the governor may replace it with notice.
@dev Called by the Clearinghouse with positions it has read; reads terms from Instruments
     and prices from the OracleHub, one call each.
@custom:units sizes, prices, money WAD; rates ppm
@custom:signs size > 0 long; uPnL > 0 the account's gain
@custom:rounding requirements up, gains down
@custom:halt nothing to halt: views only
"""

from snekmate.auth import ownable

from contracts.interfaces import IInstruments
from contracts.interfaces import IMarkets
from contracts.interfaces import IOracleHub
from contracts.interfaces import IRiskEngine
from contracts.modules import market_words
from contracts.modules import pricing
from contracts.modules import quotes
from contracts.modules import scan
from contracts.modules import terms
from contracts.modules import wad_math

implements: IRiskEngine
initializes: ownable

exports: (ownable.owner, ownable.transfer_ownership)

WAD: constant(int256) = 10**18
PPM: constant(uint256) = 10**6
LEVEL_RECENT: constant(uint256) = 1
LEVEL_FRESH: constant(uint256) = 2
LEVEL_TIGHT: constant(uint256) = 3
MODE_ISOLATED: constant(uint256) = 1
MODE_CROSS: constant(uint256) = 2
MODE_PORTFOLIO: constant(uint256) = 3
MAX_WEIGHT: constant(uint256) = 10**6  # gains never count for more than they are

INSTRUMENTS: public(immutable(IInstruments))
ORACLE_HUB: public(immutable(IOracleHub))
MARKETS: public(immutable(IMarkets))

event MarginTermsChanged:
    upnl_ppm: uint256
    debt_maintenance_ppm: uint256
    debt_initial_ppm: uint256


struct MarginTerms:
    upnl_ppm: uint256               # share of a net gain that counts for new risk
    debt_maintenance_ppm: uint256   # of debt, for an account without positions
    debt_initial_ppm: uint256


_margin_terms: uint256  # upnl 24 | debt maintenance 24 | debt initial 24


@deploy
def __init__(
    owner: address, instruments: IInstruments, oracle_hub: IOracleHub, markets: IMarkets
):
    ownable.__init__()
    ownable._transfer_ownership(owner)
    INSTRUMENTS = instruments
    ORACLE_HUB = oracle_hub
    MARKETS = markets


@external
def set_margin_terms(upnl_ppm: uint256, debt_maintenance_ppm: uint256, debt_initial_ppm: uint256):
    """
    @notice What gains count for, and what debt without positions must hold.
    @param upnl_ppm 0 to 1,000,000
    @param debt_maintenance_ppm 10,000 (1 %) to 500,000, below debt_initial_ppm <= 1,000,000
    @custom:reverts ownable: caller is not the owner; risk: weight above one;
                    risk: debt margin out of range
    """
    ownable._check_owner()
    assert upnl_ppm <= MAX_WEIGHT, "risk: weight above one"
    assert 10_000 <= debt_maintenance_ppm, "risk: debt margin out of range"
    assert debt_maintenance_ppm < debt_initial_ppm, "risk: debt margin out of range"
    assert debt_initial_ppm <= PPM, "risk: debt margin out of range"
    self._margin_terms = upnl_ppm | (debt_maintenance_ppm << 24) | (debt_initial_ppm << 48)
    log MarginTermsChanged(
        upnl_ppm=upnl_ppm,
        debt_maintenance_ppm=debt_maintenance_ppm,
        debt_initial_ppm=debt_initial_ppm,
    )


@external
@view
@reentrant
def margin_terms() -> MarginTerms:
    word: uint256 = self._margin_terms
    return MarginTerms(
        upnl_ppm=word & 16777215,
        debt_maintenance_ppm=(word >> 24) & 16777215,
        debt_initial_ppm=word >> 48,
    )


@external
@view
@reentrant
def requirement(
    mode: uint256,
    book: DynArray[IRiskEngine.Position, 16],
    level: uint256,
    feed: uint256,
    price: uint256,
) -> IRiskEngine.Requirement:
    """
    @notice What a book must hold (docs/SPEC.md 7).
    @param mode 1 isolated: at most one instrument; 2 cross: every instrument on its own;
           3 portfolio: netted inside an underlying, offset between those of a cluster
    @param level freshness that the prices of the book must have
    @param feed the one whose stored price is replaced; 0: none
    @param price WAD, in its place
    @custom:reverts risk: mode not available; risk: isolated holds one; oracle: ...
    """
    r: IRiskEngine.Requirement = empty(IRiskEngine.Requirement)
    unsure: uint256 = 0
    r, unsure = self._requirement(mode, book, level, feed, price, True)
    return r


@external
@view
@reentrant
def debt_requirement(debt: uint256) -> (uint256, uint256):
    """
    @notice (maintenance, initial) of an account with debt and no position.
    @param debt WAD, > 0
    """
    word: uint256 = self._margin_terms
    return (
        scan._ceil_div(debt * ((word >> 24) & 16777215), PPM),
        scan._ceil_div(debt * (word >> 48), PPM),
    )


@external
@view
@reentrant
def quote(
    instrument: uint256, level: uint256, fill_index: uint256, net_size: int256
) -> IRiskEngine.Quote:
    """
    @notice Value and terms of one instrument, and what the pool must hold for the other side.
    @param level freshness that its price must have
    @param fill_index WAD index price of a fill; 0: the stored price
    @param net_size WAD, longs less shorts
    """
    q: IRiskEngine.Quote = empty(IRiskEngine.Quote)
    q.risk, q.fill, q.limit, q.underlying = staticcall INSTRUMENTS.trade_terms(instrument)
    return self._quoted(q, instrument, level, fill_index, net_size)


@external
@view
@reentrant
def mark(instrument: uint256, level: uint256, net_size: int256) -> IRiskEngine.Quote:
    """
    @notice The same for who does not trade: without the word of limits, at the stored price.
    """
    q: IRiskEngine.Quote = empty(IRiskEngine.Quote)
    q.risk, q.fill, q.underlying = staticcall INSTRUMENTS.mark_terms(instrument)
    return self._quoted(q, instrument, level, 0, net_size)


@external
@view
@reentrant
def pool_requirement(
    risk: uint256, underlying: uint256, net_size: int256, index: uint256
) -> uint256:
    """
    @notice What the pool must hold against one instrument: no offset with another, because
            each holder may close his leg at any time.
    @param risk word of terms
    @param underlying word of terms
    @param net_size WAD, longs less shorts
    """
    return self._pool_requirement(underlying, net_size, index)


@external
@view
@reentrant
def listed() -> uint256:
    """
    @notice How many instruments there are; ids are 1 to that
    """
    return staticcall INSTRUMENTS.count()


@external
@view
@reentrant
def order_margin(
    mode: uint256,
    book: DynArray[IRiskEngine.Position, 16],
    instrument: uint256,
    size: int256,
    buffer_ppm: uint256,
    reducing: bool,
) -> (IRiskEngine.Requirement, uint256, uint256, uint256):
    """
    @notice What an order must reserve, its execution fee aside (docs/SPEC.md 6.2).
    @param size WAD, signed, not 0
    @param buffer_ppm on top of the initial margin that the order adds
    @param reducing it only reduces a position: nothing is added
    @return (requirement of the book as it is, reserve WAD, lapse charge WAD, feed)
    @custom:reverts market: not open; market: size below minimum; account: book is full;
                    risk: isolated holds one; oracle: ...
    """
    risk: uint256 = 0
    fill: uint256 = 0
    limit: uint256 = 0
    underlying: uint256 = 0
    risk, fill, limit, underlying = staticcall INSTRUMENTS.trade_terms(instrument)
    level: uint256 = LEVEL_TIGHT
    if reducing:
        level = LEVEL_RECENT
    assert terms._status(fill) < terms.STATUS_DUE, "market: not open"
    feed: uint256 = terms._feed(underlying)
    index: uint256 = quotes._price(staticcall ORACLE_HUB.price(feed, level))
    magnitude: uint256 = convert(abs(size), uint256)
    taker: uint256 = terms._taker_ppm(fill)
    lapse: uint256 = scan._share(magnitude, index, max(taker, terms._lapse_ppm(fill)))
    if not reducing:
        assert terms._status(fill) == 0, "market: not open"
        large: bool = magnitude * index >= terms._min_notional(limit) * 10**18
        assert large, "market: size below minimum"
    before: IRiskEngine.Requirement = empty(IRiskEngine.Requirement)
    unsure: uint256 = 0
    before, unsure = self._requirement(mode, book, level, 0, 0, True)
    if reducing:
        return before, lapse, lapse, feed

    after: DynArray[IRiskEngine.Position, 16] = book
    place: uint256 = len(after)
    for i: uint256 in range(len(after), bound=16):
        if after[i].instrument == instrument:
            place = i
            break
    if place == len(after):
        assert place < 16, "account: book is full"
        after.append(
            IRiskEngine.Position(instrument=instrument, size=0, notional=0, settled=0)
        )
    after[place].size += size
    larger: IRiskEngine.Requirement = empty(IRiskEngine.Requirement)
    held: uint256 = before.initial - unsure
    larger, unsure = self._requirement(mode, after, level, 0, 0, False)
    added: uint256 = max(larger.initial, held) - held
    reserve: uint256 = (
        added
        + scan._ceil_div(added * buffer_ppm, PPM)
        + scan._share(magnitude, index, taker)
        + scan._ceil_div(magnitude * index * terms._gap_ppm(fill), PPM * 365 * 10**18)
    )
    return before, max(reserve, lapse), lapse, feed


@external
@view
@reentrant
def relief(
    book: DynArray[IRiskEngine.Position, 16], instrument: uint256
) -> IRiskEngine.Relief:
    """
    @notice What closing a unit of value of one position does for its account: how fast plain
            initial margin falls, and what it costs (docs/SPEC.md 8.3).
    @dev Concentration is convex: its slope where the account stands is the steepest on the way,
         so a size taken from it never closes too much.
    @custom:reverts market: to be settled; account: no such position; oracle: ...
    """
    risk: uint256 = 0
    fill: uint256 = 0
    limit: uint256 = 0
    underlying: uint256 = 0
    risk, fill, limit, underlying = staticcall INSTRUMENTS.trade_terms(instrument)
    assert terms._status(fill) < terms.STATUS_DUE, "market: to be settled"
    index: uint256 = quotes._price(
        staticcall ORACLE_HUB.price(terms._feed(underlying), LEVEL_FRESH)
    )
    r: IRiskEngine.Relief = IRiskEngine.Relief(
        size=0,
        index=index,
        rate=terms._factor_ppm(underlying) * terms._shock_ppm(underlying)
        + terms._funding_cap_ppm(risk) * PPM // scan.PROVISION_PARTS,
        cost=PPM
        * (terms._penalty_ppm(limit) + terms._lambda_ppm(limit) + terms._taker_ppm(fill)),
        minimum=terms._min_notional(limit),
    )
    exposure: uint256 = 0
    for p: IRiskEngine.Position in book:
        other: uint256 = risk
        if p.instrument == instrument:
            r.size = p.size
        else:
            other = (staticcall INSTRUMENTS.risk_terms(p.instrument))[0]
        if (
            terms._underlying(other) == terms._underlying(risk)
            and terms._kind(other) != terms.KIND_SETTLED
        ):
            exposure += scan._ceil_div(convert(abs(p.size), uint256) * index, 10**18)
    assert r.size != 0, "account: no such position"
    liquidity: uint256 = terms._liquidity(underlying)
    if exposure > liquidity:
        r.rate += (
            terms._concentration_ppm(underlying) * (2 * exposure - liquidity) * PPM // liquidity
        )
    return r


@internal
@view
def _quoted(
    terms_only: IRiskEngine.Quote,
    instrument: uint256,
    level: uint256,
    fill_index: uint256,
    net_size: int256,
) -> IRiskEngine.Quote:
    q: IRiskEngine.Quote = terms_only
    if terms._kind(q.risk) == terms.KIND_SETTLED:
        # one value for ever: no oracle is asked, and there is nothing left to lose
        q.index = (staticcall INSTRUMENTS.settlement(instrument))[1]
        q.fair = q.index
        q.payoff = q.index
        q.fill_fair = q.index
        q.slot = block.timestamp
        return q
    stored: uint256 = staticcall ORACLE_HUB.price(terms._feed(q.underlying), level)
    kind: uint256 = terms._kind(q.risk)
    q.index = quotes._price(stored)
    q.slot = quotes._slot(stored)
    q.fair = pricing._fair(kind, q.index)
    q.payoff = pricing._payoff(kind, q.index)
    q.fill_fair = q.fair
    if fill_index != 0:
        q.fill_fair = pricing._fair(kind, fill_index)
    q.requirement = self._pool_requirement(q.underlying, net_size, q.index)
    return q


@internal
@pure
def _pool_requirement(underlying: uint256, net_size: int256, index: uint256) -> uint256:
    loss: uint256 = scan._future_loss(
        convert(abs(net_size), uint256), index, terms._shock_ppm(underlying)
    )
    return loss + scan._concentration(
        loss,
        terms._shock_ppm(underlying),
        terms._concentration_ppm(underlying),
        terms._liquidity(underlying),
    )


@internal
@view
def _requirement(
    mode: uint256,
    book: DynArray[IRiskEngine.Position, 16],
    level: uint256,
    feed: uint256,
    price: uint256,
    valued: bool,
) -> (IRiskEngine.Requirement, uint256):
    """
    @param valued with uPnL, what is owed, and confidence; else they are 0
    @return (requirement, what confidence adds to its initial margin)
    """
    assert mode >= MODE_ISOLATED and mode <= MODE_PORTFOLIO, "risk: mode not available"
    assert mode != MODE_ISOLATED or len(book) <= 1, "risk: isolated holds one"
    if len(book) == 0:
        return empty(IRiskEngine.Requirement), 0

    # one line per underlying of the book
    lines: uint256 = 0
    underlyings: uint256[16] = empty(uint256[16])
    words: uint256[16] = empty(uint256[16])
    losses: uint256[16] = empty(uint256[16])
    nets: int256[16] = empty(int256[16])        # net size; then, of a portfolio, exposure
    indexes: uint256[16] = empty(uint256[16])
    gains: int256[16] = empty(int256[16])
    r: IRiskEngine.Requirement = empty(IRiskEngine.Requirement)
    add_ons: uint256 = 0
    confidence: uint256 = 0
    for p: IRiskEngine.Position in book:
        risk: uint256 = 0
        word: uint256 = 0
        risk, word = staticcall INSTRUMENTS.risk_terms(p.instrument)
        if terms._kind(risk) == terms.KIND_SETTLED:
            if valued:
                final: int256 = self._final(p)
                r.upnl += final
                r.upnl_initial += final
                r.owed += self._owed(p)
            continue
        stored: uint256 = staticcall ORACLE_HUB.price(terms._feed(word), level)
        index: uint256 = quotes._price(stored)
        if terms._feed(word) == feed:
            index = price
        size: uint256 = convert(abs(p.size), uint256)
        add_ons += scan._provision(size, index, terms._funding_cap_ppm(risk)) + terms._reserve(risk)

        underlying: uint256 = terms._underlying(risk)
        line: uint256 = lines
        for j: uint256 in range(lines, bound=16):
            if underlyings[j] == underlying:
                line = j
                break
        if line == lines:
            lines += 1
            underlyings[line] = underlying
            words[line] = word
            indexes[line] = index
        if mode == MODE_PORTFOLIO:
            nets[line] += p.size
        else:
            losses[line] += scan._future_loss(size, index, terms._shock_ppm(word))
        if valued:
            confidence += scan._share(size, index, quotes._conf_ppm(stored))
            fair: int256 = convert(pricing._fair(terms._kind(risk), index), int256)
            gains[line] += wad_math._floor_div(p.size * fair, WAD) - p.notional
            r.owed += self._owed(p)

    weight: int256 = -1  # read once, and only when there is a gain to weigh
    for j: uint256 in range(lines, bound=16):
        word: uint256 = words[j]
        if mode == MODE_PORTFOLIO:
            net: uint256 = convert(abs(nets[j]), uint256)
            losses[j] = scan._future_loss(net, indexes[j], terms._shock_ppm(word))
            nets[j] = scan._future_exposure(nets[j], indexes[j], terms._shock_ppm(word))
        add_ons += scan._concentration(
            losses[j], terms._shock_ppm(word), terms._concentration_ppm(word), terms._liquidity(word)
        )
        r.maintenance += losses[j]
        r.plain_initial += scan._ceil_div(losses[j] * terms._factor_ppm(word), PPM)
        r.initial += scan._surcharge(
            losses[j],
            terms._factor_ppm(word),
            terms._shock_ppm(word),
            terms._initial_shock_ppm(word),
        )
        r.upnl += gains[j]
        if gains[j] > 0:
            if weight < 0:
                weight = convert(self._margin_terms & 16777215, int256)
            r.upnl_initial += gains[j] * weight // convert(PPM, int256)
        else:
            r.upnl_initial += gains[j]
    r.maintenance += add_ons
    r.plain_initial += add_ons
    r.initial += r.plain_initial + confidence
    if mode == MODE_PORTFOLIO and lines > 1:
        offset: uint256 = 0
        weighted: uint256 = 0
        offset, weighted = self._offset(lines, underlyings, nets)
        r.maintenance -= offset
        r.plain_initial -= weighted
        if level != LEVEL_RECENT:  # a feed that is no longer fresh offsets no new risk
            r.initial -= weighted
    return r, confidence


@internal
@view
def _offset(
    lines: uint256, underlyings: uint256[16], exposures: int256[16]
) -> (uint256, uint256):
    """
    @notice What underlyings of a cluster take off each other's losses (docs/OPTIONS.md O.7).
    @param lines how many underlyings
    @param exposures WAD, > 0 gains when the price rises
    @return (off maintenance, off plain initial), WAD, rounded down
    """
    words: uint256[16] = empty(uint256[16])
    for j: uint256 in range(lines, bound=16):
        if exposures[j] != 0:
            words[j] = staticcall INSTRUMENTS.underlying_terms(underlyings[j])
    offset: uint256 = 0
    weighted: uint256 = 0
    for j: uint256 in range(lines, bound=16):
        cluster: uint256 = terms._cluster(words[j])
        if cluster == 0:
            continue
        longs: uint256 = 0
        shorts: uint256 = 0
        rho: uint256 = PPM
        factor: uint256 = max_value(uint256)
        for i: uint256 in range(lines - j, bound=16):
            word: uint256 = words[j + i]
            if terms._cluster(word) != cluster:
                continue
            words[j + i] = 0  # counted
            rho = min(rho, terms._rho_ppm(word))
            factor = min(factor, terms._factor_ppm(word))
            if exposures[j + i] > 0:
                longs += convert(exposures[j + i], uint256)
            else:
                shorts += convert(-exposures[j + i], uint256)
        if longs > 0 and shorts > 0:
            one: uint256 = scan._offset(min(longs, shorts), rho)
            offset += one
            weighted += one * factor // PPM
    return offset, weighted


@internal
@view
def _final(p: IRiskEngine.Position) -> int256:
    """
    @notice What a settling position ends with: no price moves it, so it asks no margin, and a
            gain counts in full
    """
    worth: uint256 = (staticcall INSTRUMENTS.settlement(p.instrument))[1]
    return wad_math._floor_div(p.size * convert(worth, int256), WAD) - p.notional


@internal
@view
def _owed(p: IRiskEngine.Position) -> int256:
    """
    @notice What a position owes to the index of its side, to this block
    """
    long_index: int256 = 0
    short_index: int256 = 0
    long_index, short_index = staticcall MARKETS.indices(p.instrument)
    if p.size > 0:
        short_index = long_index
    return market_words._owed(p.size, short_index, p.settled)
