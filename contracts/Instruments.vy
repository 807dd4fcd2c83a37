# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Registry of what can be traded, and on which terms
@notice The governor lists underlyings and instruments and sets their terms; everybody else
        reads them as packed words. A term is refused when it lies outside its bounds or when
        margin, penalty and fees of the underlying would no longer fit together.
@dev Prospective by construction: funding and gap fee of the time that has passed are rates that
     the Clearinghouse stored at its last accrual, so a setter here cannot price the past and
     needs no accrual before it. A new rate counts from the next accrual on, which anyone may
     ask for in the same block. What is margin, premium or fee counts at once. Who may call, and
     how long a change waits, is the owner's affair: a timelock.
@custom:units ppm = 10^-6 and bps = 10^-4 of notional where nothing else is said; sizes WAD;
        caps and floors in whole USD; times in seconds
@custom:halt set_status: 1 lets positions only shrink; delist: settles the instrument; the
        guardian's halt: as 1, for 72 hours at most, then not for 7 days
"""

from snekmate.auth import ownable

from contracts.interfaces import IInstruments
from contracts.interfaces import IOracleHub
from contracts.modules import quotes
from contracts.modules import ramps
from contracts.modules import stewardship
from contracts.modules import terms as term_words
from contracts.modules import words

implements: IInstruments

initializes: ownable
initializes: stewardship[ownable := ownable]

exports: (ownable.owner, ownable.transfer_ownership)
exports: (stewardship.steward, stewardship.set_steward)


PPM: constant(uint256) = 10**6
BPS: constant(uint256) = 10**4
PROVISION_SHARE: constant(uint256) = 3  # of a day's funding: 8 hours

MAX_UNDERLYINGS: constant(uint256) = 64
MAX_INSTRUMENTS: constant(uint256) = 64

MIN_SHOCK_PPM: constant(uint256) = 1_000              # 0.1 %
MAX_SHOCK_PPM: constant(uint256) = 500_000            # 50 %
MAX_SURGE_PPM: constant(uint256) = 500_000            # 50 % more initial margin
MAX_FACTOR_PPM: constant(uint256) = 5_000_000         # 5 times maintenance
MIN_LIQUIDITY_USD: constant(uint256) = 1_000
MAX_LIQUIDITY_USD: constant(uint256) = 10**12
MAX_CONCENTRATION_PPM: constant(uint256) = 10**7      # 10
MAX_BAND_PPM: constant(uint256) = 200_000             # 20 %
MAX_TAIL_PPM: constant(uint256) = 500_000             # 50 %

MIN_PERIOD: constant(uint256) = 3_600                 # an hour
MAX_PERIOD: constant(uint256) = 30 * 86_400           # 30 days
MAX_OI_RATE_PPM: constant(uint256) = 500_000          # 50 %
MAX_RESERVE_MILLI: constant(uint256) = 10**6          # 1,000 USD
MAX_FUNDING_CAP_PPM: constant(uint256) = 300_000      # 30 % a day

MIN_DEPTH_WAD: constant(uint256) = 10**15             # a thousandth of a unit
MAX_DEPTH_WAD: constant(uint256) = 10**36             # 10^18 units
MAX_PREMIUM_PPM: constant(uint256) = 200_000          # 20 %
MAX_FEE_PPM: constant(uint256) = 20_000               # 2 %
MAX_GAP_PPM: constant(uint256) = 10**6                # 100 % a year
MAX_LAPSE_PPM: constant(uint256) = 50_000             # 5 %

MAX_OI_CAP_WAD: constant(uint256) = 10**28            # 10^10 units
MAX_OI_CAP_USD: constant(uint256) = 10**12
MAX_MIN_NOTIONAL_USD: constant(uint256) = 10**6
MAX_LAMBDA_PPM: constant(uint256) = 100_000           # 10 %
MAX_PENALTY_PPM: constant(uint256) = 100_000          # 10 %

MIN_NOTICE: constant(uint256) = 86_400                # a day to leave before a delisting
MAX_NOTICE: constant(uint256) = 90 * 86_400
LATE: constant(uint256) = 86_400  # after which a delisting waits for no slot any more
MAX_HALT: constant(uint256) = 72 * 3_600              # of the guardian's, from its first
MIN_REST: constant(uint256) = 7 * 86_400              # between two of them

ORACLE_HUB: public(immutable(IOracleHub))
MARKETS: public(immutable(address))
VOLATILITY: public(immutable(address))


struct Gaps:
    band_ppm: uint256  # the step of a price that may pass between two looks at an account
    tail_ppm: uint256  # 99.9 % quantile of moves over the time a liquidation takes


event UnderlyingChanged:
    underlying: indexed(uint256)
    terms: term_words.UnderlyingTerms
    gaps: Gaps


event UnderlyingMoved:
    underlying: indexed(uint256)
    ramp: ramps.Ramp


event RiskTermsChanged:
    instrument: indexed(uint256)
    terms: term_words.RiskTerms


event FillTermsChanged:
    instrument: indexed(uint256)
    terms: term_words.FillTerms
    status: uint256


event LimitTermsChanged:
    instrument: indexed(uint256)
    terms: term_words.LimitTerms


event GuardianChanged:
    guardian: address


event DelistingAnnounced:
    instrument: indexed(uint256)
    at: uint256          # unix seconds


event InstrumentSettled:
    instrument: indexed(uint256)
    value_wad: uint256   # of one unit, for ever


count: public(uint256)                          # instruments are 1 to count
underlying_count: public(uint256)               # underlyings are 1 to underlying_count
risk_words: HashMap[uint256, uint256]           # by instrument
fill_words: HashMap[uint256, uint256]           # by instrument
limit_words: HashMap[uint256, uint256]          # by instrument
underlying_words: HashMap[uint256, uint256]     # by underlying
margin_words: HashMap[uint256, uint256]         # by instrument; follows from risk and underlying
ring_seconds: public(uint256)                   # that every underlying's feed remembers, at least
ramp_words: HashMap[uint256, uint256]           # by underlying; word of modules/ramps.vy
underlying_gaps: public(HashMap[uint256, Gaps]) # by underlying; asked by the setters alone
settlements: HashMap[uint256, uint256]          # by instrument: value WAD 128 | moment 40
guardian: public(address)                       # may halt, for a while
halt_ends: public(uint256)                      # unix seconds, of the guardian's last halt


@deploy
def __init__(
    owner: address, oracle_hub: IOracleHub, markets: address, volatility: address
):
    """
    @param owner who may list and set terms
    @param oracle_hub whose feeds the underlyings name
    @param markets that settles instruments
    @param volatility who says where shocks and volatilities go
    """
    ownable.__init__()
    ownable._transfer_ownership(owner)
    ORACLE_HUB = oracle_hub
    MARKETS = markets
    VOLATILITY = volatility


# reading


@external
@view
@reentrant
def terms(instrument: uint256) -> (uint256, uint256, uint256, uint256):
    """
    @notice The four words of an instrument as they were set, for modules/terms.vy to decode. The
            acts ask for less, below: of futures nobody needs strike, class, cluster and rho; and
            they get the underlying's word in force, with the shock as it is now.
    @return (risk word, fill word, limit word, underlying word)
    @custom:reverts instruments: unknown instrument
    """
    risk: uint256 = self._risk(instrument)
    return (
        risk,
        self._fill(instrument),
        self.limit_words[instrument],
        self.underlying_words[term_words._underlying(risk)],
    )


@external
@view
@reentrant
def trade_terms(instrument: uint256) -> (uint256, uint256, uint256, uint256):
    """
    @notice What a trade asks: (risk word, fill word, limit word, underlying word).
    @custom:reverts instruments: unknown instrument
    """
    risk: uint256 = 0
    underlying: uint256 = 0
    risk, underlying = self._margin_terms(instrument)
    return risk, self._fill(instrument), self.limit_words[instrument], underlying


@external
@view
@reentrant
def mark_terms(instrument: uint256) -> (uint256, uint256, uint256):
    """
    @notice What funding and the pool's mark ask: (risk word, fill word, underlying word).
    @custom:reverts instruments: unknown instrument
    """
    risk: uint256 = 0
    underlying: uint256 = 0
    risk, underlying = self._margin_terms(instrument)
    return risk, self._fill(instrument), underlying


@external
@view
@reentrant
def risk_terms(instrument: uint256) -> (uint256, uint256):
    """
    @notice What margin asks: (risk word, underlying word).
    @custom:reverts instruments: unknown instrument
    """
    return self._margin_terms(instrument)


@external
@view
@reentrant
def status(instrument: uint256) -> uint256:
    """
    @return 0 open, 1 reduce-only, 2 halted, 3 delisting, 4 due, 5 settling, as of this block
    @custom:reverts instruments: unknown instrument
    """
    self._risk(instrument)
    return term_words._status(self._fill(instrument))


@external
@view
@reentrant
def underlying_terms(underlying: uint256) -> uint256:
    """
    @notice The word of an underlying in force: shock, initial shock, pricing volatility and
            target are what they are now (docs/SPEC.md 12.11).
    @custom:reverts instruments: unknown underlying
    """
    word: uint256 = self.underlying_words[underlying]
    assert word != 0, "instruments: unknown underlying"
    return ramps._applied(word, self.ramp_words[underlying], block.timestamp, True)


@external
@view
@reentrant
def settlement(instrument: uint256) -> (uint256, uint256):
    """
    @return (moment at which its status goes on by itself, a guardian's halt to open, delisting to
            due, or at which it settled, unix seconds, 0: none; value of a unit once it settles,
            WAD)
    """
    word: uint256 = self.settlements[instrument]
    return word >> 128, word & (2**128 - 1)


@external
@view
@reentrant
def delisting_index(instrument: uint256, slot: uint256) -> uint256:
    """
    @notice The index price that a delisted instrument settles at: of the first slot at or after
            the moment that was announced. Nobody chooses it. A day later any stored price will
            do, since the slot may have left the ring, or the feed may be dead.
    @param slot of the instrument's feed; ignored a day after the moment
    @return WAD
    @custom:reverts instruments: not due; instruments: not the first slot; oracle: ...
    """
    at: uint256 = self.settlements[instrument] >> 128
    assert (
        term_words._status(self._fill(instrument)) == term_words.STATUS_DUE
    ), "instruments: not due"
    underlying: uint256 = term_words._underlying(self.risk_words[instrument])
    feed: uint256 = term_words._feed(self.underlying_words[underlying])
    if block.timestamp >= at + LATE:
        return quotes._price(staticcall ORACLE_HUB.price(feed, 0))
    median: uint256 = 0
    previous: uint256 = 0
    median, previous = self._slot(feed, slot)
    assert slot >= at and previous < at, "instruments: not the first slot"
    return median


@external
@view
@reentrant
def ramp(underlying: uint256) -> ramps.Ramp:
    """
    @notice From where, since when and to where the figures of an underlying move.
    """
    return ramps._unpack(self.ramp_words[underlying])


@external
@view
@reentrant
def max_leverage_ppm(instrument: uint256) -> uint256:
    """
    @notice The highest leverage at which the terms let a small position open, nobody chose it.
    @dev Of a unit of notional, plain initial margin asks factor * shock, and the funding
         provision on top; the flat reserve is left out, and the shock is the least.
    @return notional over margin, 10^6 = 1x, rounded down
    @custom:reverts instruments: unknown instrument
    """
    risk: uint256 = self._risk(instrument)
    underlying: uint256 = self.underlying_words[term_words._underlying(risk)]
    scaled: uint256 = term_words._factor_ppm(underlying) * term_words._shock_ppm(underlying)
    provision: uint256 = term_words._funding_cap_ppm(risk)
    initial_ppm: uint256 = self._ceil_div(scaled, PPM) + self._ceil_div(provision, PROVISION_SHARE)
    return PPM * PPM // initial_ppm


# underlyings


@external
def add_underlying(terms: term_words.UnderlyingTerms, gaps: Gaps) -> uint256:
    """
    @notice List an underlying over a feed, which it keeps for ever.
    @dev How far back the ring of the first one reaches, all must: orders rely on it.
    @return its id, counted from 1
    @custom:reverts instruments: unknown feed, ring too short, too many; terms: ... out of range
    """
    ownable._check_owner()
    feeds: uint256 = staticcall ORACLE_HUB.feed_count()
    assert terms.feed >= 1 and terms.feed <= feeds, "instruments: unknown feed"
    config: IOracleHub.FeedConfig = staticcall ORACLE_HUB.feed_config(terms.feed)
    reach: uint256 = config.grid_seconds * config.ring_length
    underlying: uint256 = self.underlying_count + 1
    if underlying == 1:
        self.ring_seconds = reach
    assert reach >= self.ring_seconds, "instruments: ring too short"
    assert underlying <= MAX_UNDERLYINGS, "instruments: too many"
    self.underlying_count = underlying
    self._set_underlying(underlying, terms, gaps)
    self._set_ramp(underlying, ramps._begun(terms.shock_ppm, block.timestamp))
    return underlying


@external
def set_underlying(underlying: uint256, terms: term_words.UnderlyingTerms, gaps: Gaps):
    """
    @notice Change what margin asks for an underlying; every instrument on it must still fit. A
            new least shock takes effect at the pace of a ramp, never at once.
    @custom:reverts instruments: unknown underlying, feed is fixed; terms: ... out of range,
            factor too small, shock too small
    """
    ownable._check_owner()
    word: uint256 = self.underlying_words[underlying]
    assert word != 0, "instruments: unknown underlying"
    assert terms.feed == term_words._feed(word), "instruments: feed is fixed"
    least: uint256 = term_words._shock_ppm(word)
    if least != terms.shock_ppm:
        ramp: ramps.Ramp = ramps._unpack(self.ramp_words[underlying])
        self._set_ramp(underlying, ramps._refloored(ramp, least, block.timestamp))
    self._set_underlying(underlying, terms, gaps)
    for instrument: uint256 in range(1, self.count + 1, bound=MAX_INSTRUMENTS):
        if term_words._underlying(self.risk_words[instrument]) != underlying:
            continue
        if term_words._status(self.fill_words[instrument]) == term_words.STATUS_SETTLING:
            continue  # nothing of it moves any more
        self._store_margin(instrument)
        self._check_fit(instrument)


@external
def move(underlying: uint256, shock_ppm: uint256, surge_ppm: uint256, sigma_ppm: uint256):
    """
    @notice Say where the figures of an underlying go from here (docs/SPEC.md 12.6 to 12.9).
    @param shock_ppm goal of the shock, at most 50 %
    @param surge_ppm by how much congestion raises the initial shock, at once; at most a half
    @param sigma_ppm goal of the volatility that options are priced at
    @custom:reverts instruments: only volatility, unknown underlying; terms: shock out of range
    """
    assert msg.sender == VOLATILITY, "instruments: only volatility"
    word: uint256 = self.underlying_words[underlying]
    assert word != 0, "instruments: unknown underlying"
    assert shock_ppm <= MAX_SHOCK_PPM and surge_ppm <= MAX_SURGE_PPM, "terms: shock out of range"
    ramp: ramps.Ramp = ramps._unpack(self.ramp_words[underlying])
    least: uint256 = term_words._shock_ppm(word)
    self._set_ramp(
        underlying,
        ramps._sampled(ramp, least, shock_ppm, surge_ppm, sigma_ppm, block.timestamp),
    )


# instruments


@external
def add_instrument(
    risk: term_words.RiskTerms, fill: term_words.FillTerms, limit: term_words.LimitTerms
) -> uint256:
    """
    @notice List an instrument, open for trading from now on.
    @return its id, counted from 1
    @custom:reverts instruments: kind not priced yet, unknown underlying, too many; terms: ...
    """
    ownable._check_owner()
    assert risk.kind == term_words.KIND_FUTURE, "instruments: kind not priced yet"
    assert risk.strike_wad == 0, "instruments: future has no strike"
    assert risk.strike_class == 0, "instruments: future has no class"
    assert risk.underlying != 0, "instruments: unknown underlying"
    assert risk.underlying <= self.underlying_count, "instruments: unknown underlying"
    instrument: uint256 = self.count + 1
    assert instrument <= MAX_INSTRUMENTS, "instruments: too many"
    self.count = instrument
    self._set_risk(instrument, risk)
    self._set_fill(instrument, fill, term_words.STATUS_OPEN)
    self._set_limit(instrument, limit)
    self._check_fit(instrument)
    return instrument


@external
def set_risk_terms(
    instrument: uint256,
    period_seconds: uint256,
    oi_rate_ppm: uint256,
    reserve_milli: uint256,
    funding_cap_ppm_per_day: uint256,
):
    """
    @notice Change how fast an instrument funds and what it adds to margin. What it is (kind,
            underlying, strike, class) never changes.
    @custom:reverts instruments: unknown instrument; terms: ... out of range
    """
    ownable._check_owner()
    word: uint256 = self._alive(instrument)
    self._set_risk(
        instrument,
        term_words.RiskTerms(
            kind=term_words._kind(word),
            underlying=term_words._underlying(word),
            strike_wad=term_words._strike(word),
            period_seconds=period_seconds,
            oi_rate_ppm=oi_rate_ppm,
            reserve_milli=reserve_milli,
            funding_cap_ppm_per_day=funding_cap_ppm_per_day,
            strike_class=term_words._strike_class(word),
        ),
    )


@external
def set_fill_terms(instrument: uint256, terms: term_words.FillTerms):
    """
    @notice Change depth, fees and premium limit of an instrument; its status stays.
    @dev A new depth reprices the premium that is in the pool's reserve: NAV moves at once.
    @custom:reverts instruments: unknown instrument; terms: ... out of range, maker above taker,
            factor too small, shock too small
    """
    ownable._check_owner()
    self._alive(instrument)
    self._set_fill(instrument, terms, term_words._status(self.fill_words[instrument]))
    self._check_fit(instrument)


@external
def set_limits(instrument: uint256, terms: term_words.LimitTerms):
    """
    @notice Change caps, minimum size, penalty and how fees are split.
    @custom:reverts instruments: unknown instrument; terms: ... out of range, liquidator above
            100 %, fee shares above 100 %, factor too small, shock too small
    """
    ownable._check_owner()
    self._alive(instrument)
    self._set_limit(instrument, terms)
    self._check_fit(instrument)


@external
def set_status(instrument: uint256, status: uint256):
    """
    @notice Open, let only shrink, or halt an instrument; takes back a delisting not yet due.
    @dev The steward may make an open one reduce-only, where it liquidates nobody.
    @param status 0 open, 1 reduce-only, 2 halted
    @custom:reverts instruments: unknown instrument, unknown status, instrument is over
    """
    before: uint256 = term_words._status(self._fill(instrument))
    stewardship._check(
        before == term_words.STATUS_OPEN and status == term_words.STATUS_REDUCE_ONLY
    )
    self._alive(instrument)
    assert status <= term_words.STATUS_HALTED, "instruments: unknown status"
    self.settlements[instrument] = 0
    self._set_status(instrument, status)


@external
def set_caps(instrument: uint256, oi_cap_wad: uint256, oi_cap_usd: uint256):
    """
    @notice Change what may be open on each side; the steward may lower it.
    @param oi_cap_wad units, 1 to 10^28
    @param oi_cap_usd whole USD, 1 to 10^12
    @custom:reverts instruments: unknown instrument, instrument is over; terms: ...
    """
    limit: term_words.LimitTerms = term_words._unpack_limit(self.limit_words[instrument])
    stewardship._check(oi_cap_wad <= limit.oi_cap_wad and oi_cap_usd <= limit.oi_cap_usd)
    self._alive(instrument)
    limit.oi_cap_wad = oi_cap_wad
    limit.oi_cap_usd = oi_cap_usd
    self._set_limit(instrument, limit)
    self._check_fit(instrument)


@external
def set_guardian(guardian: address):
    """
    @notice Say who may halt for a while.
    @param guardian the empty address for nobody
    """
    ownable._check_owner()
    self.guardian = guardian
    log GuardianChanged(guardian=guardian)


@external
def halt(instruments: DynArray[uint256, MAX_INSTRUMENTS]):
    """
    @notice Let positions of open instruments only shrink, until 72 hours after the first halt of
            a row; the next row begins 7 days after the end of this one at the earliest.
    @dev Nothing else is halted: reductions, withdrawals, calls and liquidations go on, and no
         grace follows.
    @param instruments those that are not open stay as they are
    @custom:reverts instruments: only guardian; instruments: guardian must rest;
                    instruments: unknown instrument
    """
    assert msg.sender == self.guardian, "instruments: only guardian"
    ends: uint256 = self.halt_ends
    if block.timestamp >= ends:
        assert block.timestamp >= ends + MIN_REST, "instruments: guardian must rest"
        ends = block.timestamp + MAX_HALT
        self.halt_ends = ends
    for instrument: uint256 in instruments:
        self._risk(instrument)
        if term_words._status(self._fill(instrument)) == term_words.STATUS_OPEN:
            self.settlements[instrument] = ends << 128
            self._set_status(instrument, term_words.STATUS_HALTED)


@external
def resume(instruments: DynArray[uint256, MAX_INSTRUMENTS]):
    """
    @notice Open again what the guardian has halted; its rest is counted from the end it had.
    @custom:reverts instruments: only guardian
    """
    assert msg.sender == self.guardian, "instruments: only guardian"
    for instrument: uint256 in instruments:
        status: uint256 = term_words._status(self.fill_words[instrument])
        if status == term_words.STATUS_HALTED and self.settlements[instrument] != 0:
            self.settlements[instrument] = 0
            self._set_status(instrument, term_words.STATUS_OPEN)


@external
def delist(instrument: uint256, at: uint256):
    """
    @notice Announce the end of an instrument: until that moment positions may only shrink, then
            it settles at the first price at or after it.
    @param at unix seconds, a day to 90 days from now
    @custom:reverts instruments: unknown instrument, instrument is over, notice out of range
    """
    ownable._check_owner()
    self._alive(instrument)
    self._within(
        at,
        block.timestamp + MIN_NOTICE,
        block.timestamp + MAX_NOTICE,
        "instruments: notice out of range",
    )
    self.settlements[instrument] = at << 128
    self._set_status(instrument, term_words.STATUS_DELISTING)
    log DelistingAnnounced(instrument=instrument, at=at)


@external
def settle(instrument: uint256, value_wad: uint256):
    """
    @notice Markets has found the value that every position of an instrument ends at.
    @custom:reverts instruments: only markets; instruments: instrument is over
    """
    assert msg.sender == MARKETS, "instruments: only markets"
    assert (
        term_words._status(self.fill_words[instrument]) != term_words.STATUS_SETTLING
    ), "instruments: instrument is over"
    self.settlements[instrument] = (
        words._put_unsigned(value_wad, 0, 128) | (block.timestamp << 128)
    )
    self.margin_words[instrument] = term_words._settled_margin(self.margin_words[instrument])
    self._set_status(instrument, term_words.STATUS_SETTLING)
    log InstrumentSettled(instrument=instrument, value_wad=value_wad)


# inside


@internal
@view
def _risk(instrument: uint256) -> uint256:
    """
    @return risk word; never 0 for a listed instrument, whose period is not
    """
    word: uint256 = self.risk_words[instrument]
    assert word != 0, "instruments: unknown instrument"
    return word


@internal
@view
def _alive(instrument: uint256) -> uint256:
    """
    @return risk word of an instrument that has not come to its end
    """
    word: uint256 = self._risk(instrument)
    assert (
        term_words._status(self._fill(instrument)) < term_words.STATUS_DUE
    ), "instruments: instrument is over"
    return word


@internal
@view
def _fill(instrument: uint256) -> uint256:
    """
    @return fill word with the status as of this block
    """
    word: uint256 = self.fill_words[instrument]
    status: uint256 = term_words._status(word)
    if status == term_words.STATUS_DELISTING:
        if block.timestamp >= self.settlements[instrument] >> 128:
            return term_words._with_status(word, term_words.STATUS_DUE)
    elif status == term_words.STATUS_HALTED:
        ends: uint256 = self.settlements[instrument] >> 128
        if ends != 0 and block.timestamp >= ends:
            return term_words._with_status(word, term_words.STATUS_OPEN)
    return word


@internal
@view
def _slot(feed: uint256, slot: uint256) -> (uint256, uint256):
    """
    @return (median WAD, previous slot)
    """
    high: uint256 = 0
    low: uint256 = 0
    median: uint256 = 0
    previous: uint256 = 0
    high, low, median, previous = staticcall ORACLE_HUB.slot_price(feed, slot)
    return median, previous


@internal
@view
def _margin_terms(instrument: uint256) -> (uint256, uint256):
    """
    @return (risk word, underlying word in force), as far as margin of futures asks
    """
    word: uint256 = self.margin_words[instrument]
    assert word != 0, "instruments: unknown instrument"
    risk: uint256 = 0
    underlying: uint256 = 0
    risk, underlying = term_words._split(word)
    ramp: uint256 = self.ramp_words[term_words._underlying(risk)]
    priced: bool = term_words._kind(risk) != term_words.KIND_FUTURE
    return risk, ramps._applied(underlying, ramp, block.timestamp, priced)


@internal
def _store_margin(instrument: uint256):
    """
    @notice Follow a change of an instrument's risk word or of its underlying's.
    """
    risk: uint256 = self.risk_words[instrument]
    underlying: uint256 = self.underlying_words[term_words._underlying(risk)]
    self.margin_words[instrument] = term_words._margin(risk, underlying)


@internal
@view
def _check_fit(instrument: uint256):
    """
    @notice What a liquidation costs must fit twice (docs/SPEC.md 7.10): between plain initial
            and maintenance with one band, so that nobody opens into a call, and into
            maintenance with the tail, so that who is closed in time leaves no deficit. And
            the premium with one side full and the other empty must not exceed what a forced
            fill leaves with pool and insurance: it moves the premium without paying for that,
            and who is on the other side too would gain (docs/SPEC.md 7.11).
    """
    underlying: uint256 = term_words._underlying(self.risk_words[instrument])
    word: uint256 = self.underlying_words[underlying]
    gaps: Gaps = self.underlying_gaps[underlying]
    fill: uint256 = self.fill_words[instrument]
    limit: uint256 = self.limit_words[instrument]
    cost_ppm: uint256 = (
        term_words._penalty_ppm(limit)
        + term_words._lambda_ppm(limit)
        + term_words._taker_ppm(fill)
    )
    shock_ppm: uint256 = term_words._shock_ppm(word)
    factor_ppm: uint256 = term_words._factor_ppm(word)
    needed: uint256 = (cost_ppm + gaps.band_ppm) * PPM
    assert (factor_ppm - PPM) * shock_ppm >= needed, "terms: factor too small"
    assert shock_ppm >= cost_ppm + gaps.tail_ppm, "terms: shock too small"
    kept_ppm: uint256 = (
        term_words._lambda_ppm(limit)
        + term_words._penalty_ppm(limit) * (10_000 - term_words._liquidator_bps(limit)) // 10_000
    )
    assert (
        term_words._oi_cap(limit) * PPM <= term_words._depth(fill) * kept_ppm
    ), "terms: premium too large"


@internal
def _set_underlying(underlying: uint256, terms: term_words.UnderlyingTerms, gaps: Gaps):
    self._within(terms.shock_ppm, MIN_SHOCK_PPM, MAX_SHOCK_PPM, "terms: shock out of range")
    self._within(terms.factor_ppm, PPM + 1, MAX_FACTOR_PPM, "terms: factor out of range")
    self._within(
        terms.liquidity_usd, MIN_LIQUIDITY_USD, MAX_LIQUIDITY_USD, "terms: liquidity out of range"
    )
    self._within(
        terms.concentration_ppm, 0, MAX_CONCENTRATION_PPM, "terms: concentration too large"
    )
    self._within(terms.cluster, 0, 255, "terms: cluster too large")
    self._within(terms.rho_ppm, 0, PPM, "terms: rho above 1")
    self._within(gaps.band_ppm, 1, MAX_BAND_PPM, "terms: band out of range")
    self._within(gaps.tail_ppm, 1, MAX_TAIL_PPM, "terms: tail out of range")
    self.underlying_words[underlying] = term_words._pack_underlying(terms)
    self.underlying_gaps[underlying] = gaps
    log UnderlyingChanged(underlying=underlying, terms=terms, gaps=gaps)


@internal
def _set_ramp(underlying: uint256, ramp: ramps.Ramp):
    self.ramp_words[underlying] = ramps._pack(ramp)
    log UnderlyingMoved(underlying=underlying, ramp=ramp)


@internal
def _set_risk(instrument: uint256, terms: term_words.RiskTerms):
    self._within(terms.period_seconds, MIN_PERIOD, MAX_PERIOD, "terms: period out of range")
    self._within(terms.oi_rate_ppm, 0, MAX_OI_RATE_PPM, "terms: oi rate too large")
    self._within(terms.reserve_milli, 0, MAX_RESERVE_MILLI, "terms: reserve too large")
    self._within(
        terms.funding_cap_ppm_per_day, 1, MAX_FUNDING_CAP_PPM, "terms: funding cap out of range"
    )
    self.risk_words[instrument] = term_words._pack_risk(terms)
    self._store_margin(instrument)
    log RiskTermsChanged(instrument=instrument, terms=terms)


@internal
def _set_fill(instrument: uint256, terms: term_words.FillTerms, status: uint256):
    self._within(terms.depth_wad, MIN_DEPTH_WAD, MAX_DEPTH_WAD, "terms: depth out of range")
    self._within(terms.premium_max_ppm, 1, MAX_PREMIUM_PPM, "terms: premium out of range")
    self._within(terms.taker_ppm, 1, MAX_FEE_PPM, "terms: taker fee out of range")
    self._within(terms.maker_ppm, 0, terms.taker_ppm, "terms: maker above taker")
    self._within(terms.gap_ppm_per_year, 0, MAX_GAP_PPM, "terms: gap fee too large")
    self._within(terms.lapse_ppm, 0, MAX_LAPSE_PPM, "terms: lapse charge too large")
    self.fill_words[instrument] = term_words._pack_fill(terms, status)
    log FillTermsChanged(instrument=instrument, terms=terms, status=status)


@internal
def _set_status(instrument: uint256, status: uint256):
    word: uint256 = self.fill_words[instrument]
    self.fill_words[instrument] = term_words._with_status(word, status)
    log FillTermsChanged(
        instrument=instrument, terms=term_words._unpack_fill(word), status=status
    )


@internal
def _set_limit(instrument: uint256, terms: term_words.LimitTerms):
    self._within(terms.oi_cap_wad, 1, MAX_OI_CAP_WAD, "terms: oi cap out of range")
    self._within(terms.oi_cap_usd, 1, MAX_OI_CAP_USD, "terms: usd cap out of range")
    self._within(
        terms.min_notional_usd, 1, MAX_MIN_NOTIONAL_USD, "terms: min notional out of range"
    )
    self._within(terms.lambda_ppm, 0, MAX_LAMBDA_PPM, "terms: lambda too large")
    self._within(terms.penalty_ppm, 1, MAX_PENALTY_PPM, "terms: penalty out of range")
    self._within(terms.liquidator_bps, 0, BPS, "terms: liquidator above 100 %")
    self._within(terms.fee_insurance_bps, 0, BPS, "terms: fee shares above 100 %")
    self._within(
        terms.fee_protocol_bps, 0, BPS - terms.fee_insurance_bps, "terms: fee shares above 100 %"
    )
    self.limit_words[instrument] = term_words._pack_limit(terms)
    log LimitTermsChanged(instrument=instrument, terms=terms)


@internal
@pure
def _within(figure: uint256, lowest: uint256, highest: uint256, refusal: String[32]):
    assert figure >= lowest and figure <= highest, refusal


@internal
@pure
def _ceil_div(a: uint256, b: uint256) -> uint256:
    return (a + b - 1) // b
