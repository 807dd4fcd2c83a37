# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title How much each underlying moves
@notice Anyone gives it one price for each five minutes, the one that could be given; from these
        it estimates two volatilities and tells Instruments where margin's shock and the pricing
        volatility go (docs/SPEC.md 12). How fast they get there is not in its power.
@dev A sample is a slot of the hub's ring that is the first at or after the start of its cell, so
     that neither who posts nor who samples chooses it. Whom reporters themselves favour is the
     hub's trust. A print that was taken back in the next cell costs: six deviations count in the
     averages, the rest decays as a jump, and what follows moves by its ramp.
@custom:units variances of a year in 10^-12, volatilities and shocks in ppm, ln in WAD
@custom:rounding averages down; what margin takes up
@custom:halt withhold samples: every ramp runs to its last goal and stays there
"""

from snekmate.auth import ownable
from snekmate.utils import math

from contracts.interfaces import IInstruments
from contracts.interfaces import IOracleHub
from contracts.modules import scan
from contracts.modules import terms as term_words
from contracts.modules import words

initializes: ownable

exports: (ownable.owner, ownable.transfer_ownership)

WAD: constant(uint256) = 10**18
YEAR: constant(uint256) = 31_536_000
DAY: constant(uint256) = 86_400

CELL: constant(uint256) = 300                  # seconds
FAST: constant(uint256) = 6 * 3_600            # seconds in which an average forgets
SLOW: constant(uint256) = 7 * DAY
JUMP: constant(uint256) = 14 * DAY
CLIP: constant(uint256) = 36                   # square of the deviations at which returns are cut
MAX_VARIANCE: constant(uint256) = 16 * 10**12  # (400 %)^2
EWMA_PERCENT: constant(uint256) = 75
STRESS_PERCENT: constant(uint256) = 25
GRID_PPM: constant(uint256) = 2_500            # of a shock
SURGE_GRID_PPM: constant(uint256) = 20_000     # of congestion
SURGE_GRID: constant(uint256) = SURGE_GRID_PPM * 10**12  # WAD
MAX_CONGESTION: constant(uint256) = 15 * 10**17
LOAD_FAST: constant(uint256) = 1_800
LOAD_SLOW: constant(uint256) = 7 * DAY
NANO: constant(uint256) = 10**9

MIN_SIGMA_PPM: constant(uint256) = 10_000      # 1 % a year
MAX_SIGMA_PPM: constant(uint256) = 4_000_000   # 400 %
MIN_Z_MILLI: constant(uint256) = 1_000
MAX_Z_MILLI: constant(uint256) = 20_000
MIN_HORIZON: constant(uint256) = 60
MIN_SHOCK_PPM: constant(uint256) = 1_000
MAX_SHOCK_PPM: constant(uint256) = 500_000

MASK_8: constant(uint256) = 2**8 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_48: constant(uint256) = 2**48 - 1
MASK_96: constant(uint256) = 2**96 - 1

INSTRUMENTS: public(immutable(IInstruments))
ORACLE_HUB: public(immutable(IOracleHub))


struct VolatilityTerms:
    floor_ppm: uint256        # margin never assumes less a year
    stress_ppm: uint256       # a quarter of margin's volatility
    z_milli: uint256          # deviations that the shock covers, 6,000 = 6
    horizon_seconds: uint256  # in which they happen
    cap_ppm: uint256          # of the shock


struct CongestionTerms:
    liquidation_seconds: uint256  # how long one takes; 0: no congestion is counted
    delay_seconds: uint256        # to be included, at the usual fee
    delay_max_seconds: uint256
    by_age: uint256               # 1: by the newest report's age, not by the base fee


struct Estimate:
    log_price: int256  # ln of the last sample, WAD
    cell: uint256      # of the last sample: unix seconds // 300; 0 before the first
    fast: uint256
    slow: uint256
    jump: uint256


event VolatilityTermsChanged:
    underlying: indexed(uint256)
    terms: VolatilityTerms


event CongestionTermsChanged:
    terms: CongestionTerms


event EstimateChanged:
    underlying: indexed(uint256)
    slot: uint256  # of the sample; 0 when the governor starts it
    estimate: Estimate


# floor 24 | stress 24 | z 24 | horizon 24 | cap 24 | feed 16
_terms: HashMap[uint256, uint256]
# log_price int72 | cell 32 | fast 48 | slow 48 | jump 48
_estimates: HashMap[uint256, uint256]
# liquidation 24 | delay 24 | delay max 24 | by age 8
_congestion: uint256
# fast 96 | slow 96 | cell 32: averages of the base fee in wei, or of an age in 10^-9 s
_load: uint256


@deploy
def __init__(owner: address, instruments: IInstruments, oracle_hub: IOracleHub):
    """
    @param owner who may set terms and start an underlying
    """
    ownable.__init__()
    ownable._transfer_ownership(owner)
    INSTRUMENTS = instruments
    ORACLE_HUB = oracle_hub


# samples


@external
def sample(underlying: uint256, slot: uint256):
    """
    @notice Give a cell its sample: anyone, once a cell, from its first slot to the end of the
            next cell.
    @param slot unix seconds, the first of the underlying's feed at or after the start of its cell
    @custom:reverts volatility: not started, cell sampled before, cell is over, not the first
            slot; oracle: slot not in ring
    """
    word: uint256 = self._estimates[underlying]
    assert word != 0, "volatility: not started"
    terms: uint256 = self._terms[underlying]
    feed: uint256 = terms >> 120
    before: Estimate = self._unpacked(word)
    cell: uint256 = slot // CELL
    assert cell > before.cell, "volatility: cell sampled before"
    assert block.timestamp < (cell + 2) * CELL, "volatility: cell is over"
    high: uint256 = 0
    low: uint256 = 0
    median: uint256 = 0
    previous: uint256 = 0
    high, low, median, previous = staticcall ORACLE_HUB.slot_price(feed, slot)
    assert previous < cell * CELL, "volatility: not the first slot"

    after: Estimate = self._sampled(
        before, cell, math._wad_ln(convert(median, int256)), terms & MASK_24
    )
    self._estimates[underlying] = self._packed(after)
    log EstimateChanged(underlying=underlying, slot=slot, estimate=after)
    self._send(underlying, terms, after, self._surge(feed, cell))


@external
@view
@reentrant
def estimate(underlying: uint256) -> Estimate:
    """
    @notice What the samples of an underlying have said so far; all 0 before it is started.
    """
    return self._unpacked(self._estimates[underlying])


@external
@view
@reentrant
def volatilities(underlying: uint256) -> uint256:
    """
    @notice What an underlying is priced and margined at now, ppm, from bit 0: pricing volatility
            32, margin volatility 32, shock of maintenance 32, target of the shock 32.
    @custom:reverts instruments: unknown underlying
    """
    word: uint256 = staticcall INSTRUMENTS.underlying_terms(underlying)
    found: uint256 = self._margin_sigma(
        self._unpacked(self._estimates[underlying]), self._terms[underlying]
    )
    return (
        term_words._sigma_ppm(word)
        | (found << 32)
        | (term_words._shock_ppm(word) << 64)
        | (term_words._target_ppm(word) << 96)
    )


@external
@view
@reentrant
def terms(underlying: uint256) -> VolatilityTerms:
    word: uint256 = self._terms[underlying]
    return VolatilityTerms(
        floor_ppm=word & MASK_24,
        stress_ppm=(word >> 24) & MASK_24,
        z_milli=(word >> 48) & MASK_24,
        horizon_seconds=(word >> 72) & MASK_24,
        cap_ppm=(word >> 96) & MASK_24,
    )


@external
@view
@reentrant
def congestion_terms() -> CongestionTerms:
    word: uint256 = self._congestion
    return CongestionTerms(
        liquidation_seconds=word & MASK_24,
        delay_seconds=(word >> 24) & MASK_24,
        delay_max_seconds=(word >> 48) & MASK_24,
        by_age=(word >> 72) & MASK_8,
    )


@external
@view
@reentrant
def load() -> (uint256, uint256, uint256):
    """
    @return (fast average, slow average, cell of the last look): wei, or 10^-9 s of age
    """
    word: uint256 = self._load
    return word & MASK_96, (word >> 96) & MASK_96, word >> 192


# governance. Each figure counts from the next sample on, and then at the pace of the ramps.


@external
def set_terms(underlying: uint256, terms: VolatilityTerms):
    """
    @notice How much volatility margin assumes, and what shock follows from it.
    @custom:reverts instruments: unknown underlying; volatility: ... out of range
    """
    ownable._check_owner()
    word: uint256 = staticcall INSTRUMENTS.underlying_terms(underlying)
    self._within(terms.floor_ppm, MIN_SIGMA_PPM, MAX_SIGMA_PPM, "volatility: floor out of range")
    self._within(
        terms.stress_ppm, terms.floor_ppm, MAX_SIGMA_PPM, "volatility: stress out of range"
    )
    self._within(terms.z_milli, MIN_Z_MILLI, MAX_Z_MILLI, "volatility: z out of range")
    self._within(terms.horizon_seconds, MIN_HORIZON, DAY, "volatility: horizon out of range")
    self._within(terms.cap_ppm, MIN_SHOCK_PPM, MAX_SHOCK_PPM, "volatility: cap out of range")
    self._terms[underlying] = (
        terms.floor_ppm
        | (terms.stress_ppm << 24)
        | (terms.z_milli << 48)
        | (terms.horizon_seconds << 72)
        | (terms.cap_ppm << 96)
        | (term_words._feed(word) << 120)
    )
    log VolatilityTermsChanged(underlying=underlying, terms=terms)


@external
def start(underlying: uint256, sigma_ppm: uint256):
    """
    @notice Begin an underlying's averages, once, from a volatility that the governor knows.
    @param sigma_ppm a year, 1 % to 400 %
    @custom:reverts volatility: no terms, started before, sigma out of range
    """
    ownable._check_owner()
    terms: uint256 = self._terms[underlying]
    assert terms != 0, "volatility: no terms"
    assert self._estimates[underlying] == 0, "volatility: started before"
    self._within(sigma_ppm, MIN_SIGMA_PPM, MAX_SIGMA_PPM, "volatility: sigma out of range")
    begun: Estimate = empty(Estimate)
    begun.fast = sigma_ppm * sigma_ppm
    begun.slow = begun.fast
    self._estimates[underlying] = self._packed(begun)
    log EstimateChanged(underlying=underlying, slot=0, estimate=begun)
    self._send(underlying, terms, begun, 0)


@external
def set_congestion(terms: CongestionTerms):
    """
    @notice How much longer a liquidation takes when blocks are full. It raises what new risk
            needs, by a half at most, and begins its averages anew.
    @custom:reverts volatility: congestion range
    """
    ownable._check_owner()
    refusal: String[32] = "volatility: congestion range"
    self._within(terms.liquidation_seconds, 0, DAY, refusal)
    self._within(terms.delay_max_seconds, 0, DAY, refusal)
    self._within(terms.delay_seconds, 0, terms.delay_max_seconds, refusal)
    self._within(terms.by_age, 0, 1, refusal)
    self._congestion = (
        terms.liquidation_seconds
        | (terms.delay_seconds << 24)
        | (terms.delay_max_seconds << 48)
        | (terms.by_age << 72)
    )
    self._load = 0
    log CongestionTermsChanged(terms=terms)


# inside


@internal
def _send(underlying: uint256, terms: uint256, found: Estimate, surge_ppm: uint256):
    """
    @notice Tell Instruments where the underlying goes.
    """
    extcall INSTRUMENTS.move(
        underlying,
        self._shock_target(self._margin_sigma(found, terms), terms),
        surge_ppm,
        isqrt(min(MAX_VARIANCE, found.slow + found.jump)),
    )


@internal
@pure
def _sampled(
    before: Estimate, cell: uint256, log_price: int256, floor_ppm: uint256
) -> Estimate:
    """
    @notice The averages after a cell's price; of skipped cells the next counts for all.
    """
    after: Estimate = before
    after.log_price = log_price
    after.cell = cell
    if before.cell == 0:
        return after
    cells: uint256 = cell - before.cell
    change: uint256 = convert(abs(log_price - before.log_price), uint256)
    seen: uint256 = change * change * YEAR // (cells * CELL * 10**24)
    cut: uint256 = min(seen, CLIP * max(before.slow, floor_ppm * floor_ppm))
    after.fast = min(MAX_VARIANCE, self._blend(before.fast, cut, cells, FAST))
    after.slow = min(MAX_VARIANCE, self._blend(before.slow, cut, cells, SLOW))
    after.jump = min(MAX_VARIANCE, self._blend(before.jump, seen - cut, cells, JUMP))
    return after


@internal
@pure
def _blend(before: uint256, seen: uint256, cells: uint256, tau: uint256) -> uint256:
    """
    @notice (1 - a) * before + a * seen, a = 1 - exp(-time / tau)
    """
    age: uint256 = cells * CELL * WAD // tau
    kept: uint256 = convert(math._wad_exp(-convert(age, int256)), uint256)
    return (kept * before + (WAD - kept) * seen) // WAD


@internal
@pure
def _margin_sigma(found: Estimate, terms: uint256) -> uint256:
    """
    @notice The larger average, a quarter of stress, and jumps; not below the floor. ppm
    """
    usual: uint256 = EWMA_PERCENT * isqrt(max(found.fast, found.slow))
    stress: uint256 = STRESS_PERCENT * ((terms >> 24) & MASK_24)
    return max(terms & MASK_24, scan._ceil_div(usual + stress, 100) + isqrt(found.jump))


@internal
@pure
def _shock_target(sigma_ppm: uint256, terms: uint256) -> uint256:
    """
    @notice z * sigma * sqrt(horizon / year), up to the grid, at most the cap. ppm
    """
    root: uint256 = isqrt(((terms >> 72) & MASK_24) * 10**24 // YEAR)  # 10^-12
    deviations: uint256 = ((terms >> 48) & MASK_24) * sigma_ppm
    steps: uint256 = scan._ceil_div(deviations * root, 10**15 * GRID_PPM)
    return min((terms >> 96) & MASK_24, steps * GRID_PPM)


@internal
def _surge(feed: uint256, cell: uint256) -> uint256:
    """
    @notice By how much congestion raises the initial shock, ppm, up to its grid.
    """
    terms: uint256 = self._congestion
    liquidation: uint256 = terms & MASK_24
    if liquidation == 0:
        return 0
    fast: uint256 = 0
    slow: uint256 = 0
    fast, slow = self._looked(feed, cell, (terms >> 72) & MASK_8 == 1)
    delay: uint256 = (terms >> 24) & MASK_24
    if fast > slow and slow > 0:
        delay = delay * fast // slow
    delay = min((terms >> 48) & MASK_24, delay)
    longer: uint256 = isqrt((liquidation + delay) * WAD * WAD // liquidation)
    above: uint256 = min(MAX_CONGESTION, longer) - WAD
    return scan._ceil_div(above, SURGE_GRID) * SURGE_GRID_PPM


@internal
def _looked(feed: uint256, cell: uint256, by_age: bool) -> (uint256, uint256):
    """
    @notice How full blocks are on average, with a look at this one if it is the cell's first.
    @return (fast, slow)
    """
    word: uint256 = self._load
    fast: uint256 = word & MASK_96
    slow: uint256 = (word >> 96) & MASK_96
    last: uint256 = word >> 192
    if cell <= last:
        return fast, slow
    seen: uint256 = block.basefee
    if by_age:
        seen = (block.timestamp - staticcall ORACLE_HUB.latest_slot(feed)) * NANO
    if last == 0:
        fast = seen
        slow = seen
    else:
        fast = self._blend(fast, seen, cell - last, LOAD_FAST)
        slow = self._blend(slow, seen, cell - last, LOAD_SLOW)
    self._load = (
        words._put_unsigned(fast, 0, 96)
        | words._put_unsigned(slow, 96, 96)
        | words._put_unsigned(cell, 192, 32)
    )
    return fast, slow


@internal
@pure
def _packed(found: Estimate) -> uint256:
    return (
        words._put_signed(found.log_price, 0, 72)
        | words._put_unsigned(found.cell, 72, 32)
        | words._put_unsigned(found.fast, 104, 48)
        | words._put_unsigned(found.slow, 152, 48)
        | words._put_unsigned(found.jump, 200, 48)
    )


@internal
@pure
def _unpacked(word: uint256) -> Estimate:
    return Estimate(
        log_price=words._signed(word, 0, 72),
        cell=(word >> 72) & MASK_32,
        fast=(word >> 104) & MASK_48,
        slow=(word >> 152) & MASK_48,
        jump=(word >> 200) & MASK_48,
    )


@internal
@pure
def _within(figure: uint256, lowest: uint256, highest: uint256, refusal: String[32]):
    assert figure >= lowest and figure <= highest, refusal
