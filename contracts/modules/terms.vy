# pragma version 0.4.3
"""
@title The four packed words of terms (docs/SPEC.md 3.1)
@notice The one place that knows where a term sits in its word. Instruments packs the words,
        whoever prices, margins or fills decodes them.
@custom:units ppm = 10^-6, bps = 10^-4, _wad = 10^-18; the decoders of amounts in USD answer
        in WAD, so that nobody outside multiplies
@custom:layout bits, from 0 up
        risk        kind 8, underlying 16, period_seconds 24, oi_rate_ppm 24, reserve_milli 24,
                    funding_cap_ppm_per_day 24, strike_wad 96, strike_class 8
        fill        depth_wad 128, premium_max_ppm 24, maker_ppm 24, taker_ppm 24,
                    gap_ppm_per_year 24, lapse_ppm 24, status 8
        limit       oi_cap_wad 96, oi_cap_usd 48, min_notional_usd 24, lambda_ppm 20,
                    penalty_ppm 20, liquidator_bps 14, fee_insurance_bps 14, fee_protocol_bps 14
        underlying  feed 16, shock_ppm 24, factor_ppm 24, liquidity_usd 48,
                    concentration_ppm 24, cluster 8, rho_ppm 24; in force, where shock_ppm is
                    what it is now, besides: initial_shock_ppm 24, sigma_ppm 24, target_ppm 24
        scan        sigma_ppm 24, margin_sigma_ppm 24, down_ppm 24, up_ppm 24, up_least_ppm 24,
                    tail_weight_ppm 24, short_option_ppm 24, class_1_ppm 24, class_2_ppm 24
        margin      the first 120 bits of risk, the first 136 of underlying: all that margin of
                    a future asks, in one storage slot
"""

from contracts.modules import words

WAD: constant(uint256) = 10**18
MILLI: constant(uint256) = 10**15  # WAD in 10^-3 USD
PPM: constant(uint256) = 10**6

KIND_FUTURE: constant(uint256) = 0
KIND_SETTLED: constant(uint256) = 255  # in the margin word alone: worth its settlement value

# the life of an instrument (docs/SPEC.md 10)
STATUS_OPEN: constant(uint256) = 0
STATUS_REDUCE_ONLY: constant(uint256) = 1
STATUS_HALTED: constant(uint256) = 2
STATUS_DELISTING: constant(uint256) = 3  # reduce-only, until the moment that was announced
STATUS_DUE: constant(uint256) = 4        # never stored: that moment has come, the price has not
STATUS_SETTLING: constant(uint256) = 5   # worth its settlement value, for ever
STATUS_CLOSED: constant(uint256) = 6     # never stored: it settles, and nothing of it is open

MASK_8: constant(uint256) = 2**8 - 1
MASK_14: constant(uint256) = 2**14 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_20: constant(uint256) = 2**20 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_48: constant(uint256) = 2**48 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_120: constant(uint256) = 2**120 - 1
MASK_128: constant(uint256) = 2**128 - 1
MASK_248: constant(uint256) = 2**248 - 1
AS_SET: constant(uint256) = (2**168 - 1) ^ ((2**24 - 1) << 16)  # an underlying but its shock


struct RiskTerms:
    kind: uint256                     # 0 future
    underlying: uint256               # id, from 1
    strike_wad: uint256               # WAD quote; 0 for a future
    period_seconds: uint256           # T, in which funding pays the whole premium
    oi_rate_ppm: uint256              # of notional, into initial margin at a full side
    reserve_milli: uint256            # 10^-3 USD a position must hold for its liquidation
    funding_cap_ppm_per_day: uint256  # of the index price
    strike_class: uint256             # of volatility; 0 for a future


struct FillTerms:
    depth_wad: uint256         # size at which the premium would be 100 % of the index
    premium_max_ppm: uint256   # |Q| / depth that trades may reach
    maker_ppm: uint256         # of notional, for the part that shrinks |Q|
    taker_ppm: uint256         # of notional, for the rest
    gap_ppm_per_year: uint256  # of notional, both sides, to insurance
    lapse_ppm: uint256         # of notional, for an order that ends unfilled by its fault


struct LimitTerms:
    oi_cap_wad: uint256         # units per side
    oi_cap_usd: uint256         # whole USD per side
    min_notional_usd: uint256   # whole USD a position is worth at least
    lambda_ppm: uint256         # of notional, what a forced fill pays the pool
    penalty_ppm: uint256        # of notional closed by force
    liquidator_bps: uint256     # of the penalty
    fee_insurance_bps: uint256  # of a fee
    fee_protocol_bps: uint256   # of a fee


struct UnderlyingTerms:
    feed: uint256               # id in the OracleHub, from 1
    shock_ppm: uint256          # the least move that maintenance covers
    factor_ppm: uint256         # plain initial over maintenance, 1,300,000 = 1.3
    liquidity_usd: uint256      # Lq, whole USD that trade without a surcharge
    concentration_ppm: uint256  # k of the surcharge beyond it
    cluster: uint256            # underlyings that move together; 0 none
    rho_ppm: uint256            # floor of their correlation


# packing


@internal
@pure
def _pack_risk(terms: RiskTerms) -> uint256:
    """
    @notice The risk word; reverts when a field does not fit.
    """
    return (
        words._put_unsigned(terms.kind, 0, 8)
        | words._put_unsigned(terms.underlying, 8, 16)
        | words._put_unsigned(terms.period_seconds, 24, 24)
        | words._put_unsigned(terms.oi_rate_ppm, 48, 24)
        | words._put_unsigned(terms.reserve_milli, 72, 24)
        | words._put_unsigned(terms.funding_cap_ppm_per_day, 96, 24)
        | words._put_unsigned(terms.strike_wad, 120, 96)
        | words._put_unsigned(terms.strike_class, 216, 8)
    )


@internal
@pure
def _pack_fill(terms: FillTerms, status: uint256) -> uint256:
    """
    @notice The fill word; reverts when a field does not fit.
    """
    return (
        words._put_unsigned(terms.depth_wad, 0, 128)
        | words._put_unsigned(terms.premium_max_ppm, 128, 24)
        | words._put_unsigned(terms.maker_ppm, 152, 24)
        | words._put_unsigned(terms.taker_ppm, 176, 24)
        | words._put_unsigned(terms.gap_ppm_per_year, 200, 24)
        | words._put_unsigned(terms.lapse_ppm, 224, 24)
        | words._put_unsigned(status, 248, 8)
    )


@internal
@pure
def _pack_limit(terms: LimitTerms) -> uint256:
    """
    @notice The limit word; reverts when a field does not fit.
    """
    return (
        words._put_unsigned(terms.oi_cap_wad, 0, 96)
        | words._put_unsigned(terms.oi_cap_usd, 96, 48)
        | words._put_unsigned(terms.min_notional_usd, 144, 24)
        | words._put_unsigned(terms.lambda_ppm, 168, 20)
        | words._put_unsigned(terms.penalty_ppm, 188, 20)
        | words._put_unsigned(terms.liquidator_bps, 208, 14)
        | words._put_unsigned(terms.fee_insurance_bps, 222, 14)
        | words._put_unsigned(terms.fee_protocol_bps, 236, 14)
    )


@internal
@pure
def _pack_underlying(terms: UnderlyingTerms) -> uint256:
    """
    @notice The underlying word; reverts when a field does not fit.
    """
    return (
        words._put_unsigned(terms.feed, 0, 16)
        | words._put_unsigned(terms.shock_ppm, 16, 24)
        | words._put_unsigned(terms.factor_ppm, 40, 24)
        | words._put_unsigned(terms.liquidity_usd, 64, 48)
        | words._put_unsigned(terms.concentration_ppm, 112, 24)
        | words._put_unsigned(terms.cluster, 136, 8)
        | words._put_unsigned(terms.rho_ppm, 144, 24)
    )


@internal
@pure
def _unpack_fill(fill: uint256) -> FillTerms:
    """
    @notice The fill word without its status, as _pack_fill takes it.
    """
    return FillTerms(
        depth_wad=self._depth(fill),
        premium_max_ppm=self._premium_max_ppm(fill),
        maker_ppm=self._maker_ppm(fill),
        taker_ppm=self._taker_ppm(fill),
        gap_ppm_per_year=self._gap_ppm(fill),
        lapse_ppm=self._lapse_ppm(fill),
    )


@internal
@pure
def _unpack_limit(limit: uint256) -> LimitTerms:
    """
    @notice The limit word as _pack_limit takes it.
    """
    return LimitTerms(
        oi_cap_wad=self._oi_cap(limit),
        oi_cap_usd=(limit >> 96) & MASK_48,
        min_notional_usd=(limit >> 144) & MASK_24,
        lambda_ppm=self._lambda_ppm(limit),
        penalty_ppm=self._penalty_ppm(limit),
        liquidator_bps=self._liquidator_bps(limit),
        fee_insurance_bps=self._fee_insurance_bps(limit),
        fee_protocol_bps=self._fee_protocol_bps(limit),
    )


# margin word


@internal
@pure
def _margin(risk: uint256, underlying: uint256) -> uint256:
    return (risk & MASK_120) | (underlying << 120)


@internal
@pure
def _split(margin: uint256) -> (uint256, uint256):
    """
    @return (risk word of a future, underlying word without cluster and rho)
    """
    return margin & MASK_120, margin >> 120


@internal
@pure
def _settled_margin(margin: uint256) -> uint256:
    """
    @notice The margin word of an instrument that cannot move any more.
    """
    return margin | KIND_SETTLED


@internal
@pure
def _in_force(
    underlying: uint256,
    shock_ppm: uint256,
    initial_ppm: uint256,
    sigma_ppm: uint256,
    target_ppm: uint256,
) -> uint256:
    """
    @notice The underlying word at a moment: figures of modules/ramps.vy, each below 2^24.
    """
    return (
        (underlying & AS_SET)
        | (shock_ppm << 16)
        | (initial_ppm << 168)
        | (sigma_ppm << 192)
        | (target_ppm << 216)
    )


# risk word


@internal
@pure
def _kind(risk: uint256) -> uint256:
    return risk & MASK_8


@internal
@pure
def _underlying(risk: uint256) -> uint256:
    return (risk >> 8) & MASK_16


@internal
@pure
def _strike(risk: uint256) -> uint256:
    """
    @return WAD quote
    """
    return (risk >> 120) & MASK_96


@internal
@pure
def _period(risk: uint256) -> uint256:
    """
    @return seconds
    """
    return (risk >> 24) & MASK_24


@internal
@pure
def _oi_rate_ppm(risk: uint256) -> uint256:
    return (risk >> 48) & MASK_24


@internal
@pure
def _reserve(risk: uint256) -> uint256:
    """
    @return WAD quote
    """
    return ((risk >> 72) & MASK_24) * MILLI


@internal
@pure
def _funding_cap_ppm(risk: uint256) -> uint256:
    """
    @return ppm of the index price a day
    """
    return (risk >> 96) & MASK_24


@internal
@pure
def _strike_class(risk: uint256) -> uint256:
    return risk >> 216


# fill word


@internal
@pure
def _depth(fill: uint256) -> uint256:
    """
    @return WAD units
    """
    return fill & MASK_128


@internal
@pure
def _premium_max_ppm(fill: uint256) -> uint256:
    return (fill >> 128) & MASK_24


@internal
@pure
def _maker_ppm(fill: uint256) -> uint256:
    return (fill >> 152) & MASK_24


@internal
@pure
def _taker_ppm(fill: uint256) -> uint256:
    return (fill >> 176) & MASK_24


@internal
@pure
def _gap_ppm(fill: uint256) -> uint256:
    """
    @return ppm of notional a year
    """
    return (fill >> 200) & MASK_24


@internal
@pure
def _lapse_ppm(fill: uint256) -> uint256:
    return (fill >> 224) & MASK_24


@internal
@pure
def _status(fill: uint256) -> uint256:
    """
    @return 0 open, 1 reduce-only, 2 halted, 3 delisting, 4 due, 5 settling
    """
    return fill >> 248


@internal
@pure
def _with_status(fill: uint256, status: uint256) -> uint256:
    return (fill & MASK_248) | (status << 248)


# limit word


@internal
@pure
def _oi_cap(limit: uint256) -> uint256:
    """
    @return WAD units per side
    """
    return limit & MASK_96


@internal
@pure
def _oi_cap_usd(limit: uint256) -> uint256:
    """
    @return WAD quote per side
    """
    return ((limit >> 96) & MASK_48) * WAD


@internal
@pure
def _min_notional(limit: uint256) -> uint256:
    """
    @return WAD quote
    """
    return ((limit >> 144) & MASK_24) * WAD


@internal
@pure
def _lambda_ppm(limit: uint256) -> uint256:
    return (limit >> 168) & MASK_20


@internal
@pure
def _penalty_ppm(limit: uint256) -> uint256:
    return (limit >> 188) & MASK_20


@internal
@pure
def _liquidator_bps(limit: uint256) -> uint256:
    return (limit >> 208) & MASK_14


@internal
@pure
def _fee_insurance_bps(limit: uint256) -> uint256:
    return (limit >> 222) & MASK_14


@internal
@pure
def _fee_protocol_bps(limit: uint256) -> uint256:
    return (limit >> 236) & MASK_14


# underlying word


@internal
@pure
def _feed(underlying: uint256) -> uint256:
    return underlying & MASK_16


@internal
@pure
def _shock_ppm(underlying: uint256) -> uint256:
    return (underlying >> 16) & MASK_24


@internal
@pure
def _factor_ppm(underlying: uint256) -> uint256:
    return (underlying >> 40) & MASK_24


@internal
@pure
def _liquidity(underlying: uint256) -> uint256:
    """
    @return WAD quote
    """
    return ((underlying >> 64) & MASK_48) * WAD


@internal
@pure
def _concentration_ppm(underlying: uint256) -> uint256:
    return (underlying >> 112) & MASK_24


@internal
@pure
def _cluster(underlying: uint256) -> uint256:
    return (underlying >> 136) & MASK_8


@internal
@pure
def _rho_ppm(underlying: uint256) -> uint256:
    return (underlying >> 144) & MASK_24


@internal
@pure
def _initial_shock_ppm(underlying: uint256) -> uint256:
    """
    @return what new risk takes in place of the shock, no less; of a word in force
    """
    return (underlying >> 168) & MASK_24


@internal
@pure
def _sigma_ppm(underlying: uint256) -> uint256:
    """
    @return volatility that options are priced at, a year; of a word in force, 0 before the first
    """
    return (underlying >> 192) & MASK_24


@internal
@pure
def _target_ppm(underlying: uint256) -> uint256:
    """
    @return where the shock goes; of a word in force
    """
    return (underlying >> 216) & MASK_24


# scan word


@internal
@pure
def _sigma(scan: uint256, risk: uint256) -> uint256:
    """
    @return ppm a year, what an instrument is priced at: of its strike class, rounded down
    """
    return (scan & MASK_24) * self._class_ppm(scan, risk) // PPM


@internal
@pure
def _sigmas(scan: uint256, risk: uint256) -> uint256[3]:
    """
    @return ppm a year, of the strike class: down and as it is rounded down, up rounded up first
    """
    sigma: uint256 = scan & MASK_24
    factor: uint256 = self._class_ppm(scan, risk)
    expected: uint256 = max(sigma, (scan >> 24) & MASK_24)
    up: uint256 = max(
        (expected * (PPM + ((scan >> 72) & MASK_24)) + PPM - 1) // PPM,
        sigma + ((scan >> 96) & MASK_24),
    )
    down: uint256 = sigma * (PPM - ((scan >> 48) & MASK_24)) // PPM
    return [down * factor // PPM, sigma * factor // PPM, up * factor // PPM]


@internal
@pure
def _tail_weight_ppm(scan: uint256) -> uint256:
    return (scan >> 120) & MASK_24


@internal
@pure
def _class_ppm(scan: uint256, risk: uint256) -> uint256:
    """
    @return factor of the strike class on volatility
    """
    strike_class: uint256 = self._strike_class(risk)
    if strike_class == 0:
        return PPM
    return (scan >> (144 + 24 * strike_class)) & MASK_24
