# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Losses
@notice Who pays what an account could not: insurance, then the pool out of what it won on the
        instrument, then the pool out of its worth, then the positions that won, each up to a
        limit that counts all accounts together; what is left the pool loses.
@dev Decides and remembers what was used of each limit; Markets asks, and moves the money. It
     holds none. Limits are leaking buckets: used up at once, free again after a window.
@custom:units money WAD; rates ppm; times unix seconds
@custom:signs lost > 0 by a long, < 0 by a short
@custom:rounding what may still be paid down, what winners are charged per unit down
@custom:halt none: a deficit is always paid whole, by somebody
"""

from snekmate.auth import ownable

from contracts.interfaces import ILosses
from contracts.modules import terms
from contracts.modules import words

implements: ILosses
initializes: ownable

exports: (ownable.owner, ownable.transfer_ownership)

WAD: constant(uint256) = 10**18
PPM: constant(uint256) = 10**6
DAY: constant(uint256) = 86_400
MASK_16: constant(uint256) = 2**16 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_104: constant(uint256) = 2**104 - 1
MASK_112: constant(uint256) = 2**112 - 1

MARKETS: public(immutable(address))

event LossTermsChanged:
    instrument_ppm: uint256
    underlying_ppm: uint256
    total_ppm: uint256
    window_seconds: uint256
    floor_wad: uint256


event InsuranceCapChanged:
    instrument: indexed(uint256)
    cap_wad: uint256


struct LossTerms:
    instrument_ppm: uint256   # of the pool's worth, the most for one instrument
    underlying_ppm: uint256   # for all instruments of one underlying
    total_ppm: uint256        # for all deficits
    window_seconds: uint256   # in which what was used is free again
    floor_wad: uint256        # rests of an instrument above it, after all limits, end it


insurance_cap: public(HashMap[uint256, uint256])        # WAD, within a window
_terms: uint256                                         # 24 | 24 | 24 | window 32 | floor 96
_total: uint256                                         # sliced 96 | base 96 | at 40
_instruments: HashMap[uint256, uint256]                 # insured 96 | sliced 96 | at 40
_underlyings: HashMap[uint256, uint256]                 # sliced 96 | at 40
_winners: HashMap[uint256, uint256]                     # per unit: longs 104 | shorts 104 | at 40
_lost: HashMap[uint256, uint256]                        # below the floor 96 | at 40
_causes: HashMap[bytes32, DynArray[uint256, 16]]        # instrument 16 | long 1 | lost 112 at 32
_bounds: HashMap[bytes32, uint256]                      # shortfall 112 | at 40


@deploy
def __init__(owner: address, markets: address):
    """
    @notice Until set_terms is called the pool pays of its gain alone.
    """
    ownable.__init__()
    ownable._transfer_ownership(owner)
    MARKETS = markets
    self._terms = (DAY << 72) | (MASK_96 << 104)


# ---------------------------------------------------------------- Markets


@external
def attribute(
    account: bytes32, instrument: uint256, lost: int256, short: uint256, bare: bool
) -> DynArray[ILosses.Cause, 17]:
    """
    @notice What of a deficit each position caused, in proportion to its loss since entry, as
            far as the account was short when the last of them was closed; the rest is debt.
    @param instrument of which a position was just closed by force; 0: none
    @param lost WAD, since entry, by what was closed: > 0 of a long, < 0 of a short, else 0
    @param short WAD, by which the account is below nothing now
    @param bare it has nothing left: `short` is to be paid now; else the loss is remembered
    @return what each is to answer for: adds up to `short` when bare, nothing otherwise
    """
    assert msg.sender == MARKETS, "losses: only markets"
    causes: DynArray[uint256, 16] = []
    bound: uint256 = self._bounds[account]
    known: bool = bound != 0
    if known and (bound >> 112) + DAY >= block.timestamp:
        causes = self._causes[account]
    else:
        bound = 0
    if instrument != 0:
        bound = min(short, MASK_112)
        causes = self._added(causes, instrument, lost)

    found: DynArray[ILosses.Cause, 17] = []
    if not bare:
        if len(causes) != 0:
            self._causes[account] = causes
            self._bounds[account] = bound | (block.timestamp << 112)
        return found
    if known:
        self._bounds[account] = 0

    total: uint256 = 0
    for cause: uint256 in causes:
        total += cause >> 32
    caused: uint256 = min(short, min(bound & MASK_112, total))
    left: uint256 = caused
    for i: uint256 in range(len(causes), bound=16):
        part: uint256 = left
        if i + 1 < len(causes):
            part = caused * (causes[i] >> 32) // total
        left -= part
        if part != 0:
            found.append(
                ILosses.Cause(
                    instrument=causes[i] & MASK_16, long=(causes[i] >> 16) & 1 == 1, deficit=part
                )
            )
    if short > caused:
        found.append(ILosses.Cause(instrument=0, long=False, deficit=short - caused))
    return found


@external
def share(claim: ILosses.Claim) -> ILosses.Shares:
    """
    @notice Who pays one deficit, each only after the one before is exhausted (docs/SPEC.md 8.6).
    """
    assert msg.sender == MARKETS, "losses: only markets"
    limits: LossTerms = self._load_terms()
    s: ILosses.Shares = empty(ILosses.Shares)
    left: uint256 = claim.deficit

    # insurance, up to the instrument's cap
    used: uint256 = self._instruments[claim.instrument]
    since: uint256 = block.timestamp - (used >> 192)
    cap: uint256 = self.insurance_cap[claim.instrument]
    insured: uint256 = self._leaked(used & MASK_96, cap, since, limits.window_seconds)
    s.insured = min(left, min(claim.insurance, cap - min(cap, insured)))
    left -= s.insured

    # the pool: what it won on the instrument, then a slice of its worth
    s.own = min(left, claim.gain)
    left -= s.own
    word: uint256 = self._total
    base: uint256 = (word >> 96) & MASK_96
    total: uint256 = self._leaked(
        word & MASK_96, base * limits.total_ppm // PPM, block.timestamp - (word >> 192),
        limits.window_seconds,
    )
    if total == 0:  # nothing of it is in use: it is a slice of what the pool is worth now
        base = min(
            convert(max(claim.nav - convert(s.own, int256), 0), uint256), MASK_96
        )
    room: uint256 = base * limits.total_ppm // PPM
    room -= min(room, total)
    sliced: uint256 = 0
    grouped: uint256 = 0
    if claim.instrument != 0:
        cap = base * limits.instrument_ppm // PPM
        sliced = self._leaked((used >> 96) & MASK_96, cap, since, limits.window_seconds)
        room = min(room, cap - min(cap, sliced))
        word = self._underlyings[claim.underlying]
        cap = base * limits.underlying_ppm // PPM
        grouped = self._leaked(
            word & MASK_96, cap, block.timestamp - (word >> 96), limits.window_seconds
        )
        room = min(room, cap - min(cap, grouped))
    s.sliced = min(left, room)
    left -= s.sliced
    self._instruments[claim.instrument] = (
        words._put_unsigned(insured + s.insured, 0, 96)
        | words._put_unsigned(sliced + s.sliced, 96, 96)
        | (block.timestamp << 192)
    )
    if s.sliced != 0:
        self._total = (
            words._put_unsigned(total + s.sliced, 0, 96) | (base << 96) | (block.timestamp << 192)
        )
        if claim.instrument != 0:
            self._underlyings[claim.underlying] = (
                words._put_unsigned(grouped + s.sliced, 0, 96) | (block.timestamp << 96)
            )

    # the positions that won
    if left != 0 and claim.winners != 0:
        s.per_unit = self._charge(claim, left)
        s.shared = s.per_unit * claim.winners // WAD
        # a rest that is small, all accounts together, the pool bears; what is beyond corrects
        # the price that the winners end at, by no more than the price itself
        over: uint256 = self._beyond_floor(claim.instrument, left - s.shared, limits)
        if over != 0:
            more: uint256 = min(
                claim.index - min(claim.index, s.per_unit), over * WAD // claim.winners
            )
            s.settles = more != 0
            s.per_unit += more
            s.shared = s.per_unit * claim.winners // WAD
        left -= s.shared
    s.lost = left
    return s


# ---------------------------------------------------------------- governor


@external
def set_terms(limits: LossTerms):
    """
    @notice The limits of what the pool pays.
    @param limits shares at most 500,000 ppm, of an instrument at most that of an underlying, of
           that at most the total; window 3,600 to 2,592,000 seconds; floor at most 10^9 USD
    @custom:reverts losses: figure out of range
    """
    ownable._check_owner()
    assert (
        limits.instrument_ppm <= limits.underlying_ppm
        and limits.underlying_ppm <= limits.total_ppm
        and limits.total_ppm <= 500_000
        and limits.window_seconds >= 3_600
        and limits.window_seconds <= 2_592_000
        and limits.floor_wad <= 10**27
    ), "losses: figure out of range"
    self._terms = (
        limits.instrument_ppm
        | (limits.underlying_ppm << 24)
        | (limits.total_ppm << 48)
        | (limits.window_seconds << 72)
        | (limits.floor_wad << 104)
    )
    log LossTermsChanged(
        instrument_ppm=limits.instrument_ppm,
        underlying_ppm=limits.underlying_ppm,
        total_ppm=limits.total_ppm,
        window_seconds=limits.window_seconds,
        floor_wad=limits.floor_wad,
    )


@external
def set_insurance_cap(instrument: uint256, cap_wad: uint256):
    """
    @notice The most that insurance pays within a window for the deficits of an instrument
            (0: plain debt).
    @param cap_wad at most 10^9 USD
    @custom:reverts losses: figure out of range
    """
    ownable._check_owner()
    assert cap_wad <= 10**27, "losses: figure out of range"
    self.insurance_cap[instrument] = cap_wad
    log InsuranceCapChanged(instrument=instrument, cap_wad=cap_wad)


# ---------------------------------------------------------------- views


@external
@view
@reentrant
def terms_in_force() -> LossTerms:
    return self._load_terms()


@external
@view
@reentrant
def used(
    instrument: uint256, underlying: uint256
) -> (uint256, uint256, uint256, uint256, uint256):
    """
    @notice The words of what was used of the limits
    @return (instrument's, underlying's, of all, of the winners of the instrument, of its floor)
    """
    return (
        self._instruments[instrument],
        self._underlyings[underlying],
        self._total,
        self._winners[instrument],
        self._lost[instrument],
    )


@external
@view
@reentrant
def remembered(account: bytes32) -> (DynArray[uint256, 16], uint256):
    """
    @notice Losses of positions closed while their account was short, until it is bare
    @return (instrument 16 | long 1 | lost at 32 each, shortfall 112 | at 40; 0: nothing)
    """
    if self._bounds[account] == 0:
        return [], 0
    return self._causes[account], self._bounds[account]


# ---------------------------------------------------------------- internals


@internal
def _charge(claim: ILosses.Claim, left: uint256) -> uint256:
    """
    @notice What each unit that won pays: pro rata, and in no day more than what lies between
            plain initial and maintenance margin of it (half at once, half over the day).
    """
    half: uint256 = (
        claim.index
        * terms._shock_ppm(claim.shock)
        * (terms._factor_ppm(claim.shock) - PPM)
        // (2 * PPM * PPM)
    )
    word: uint256 = self._winners[claim.instrument]
    since: uint256 = block.timestamp - (word >> 208)
    longs: uint256 = self._leaked(word & MASK_104, half, since, DAY)
    shorts: uint256 = self._leaked((word >> 104) & MASK_104, half, since, DAY)
    level: uint256 = longs
    if claim.long:
        level = shorts
    charged: uint256 = min(half - min(half, level), left * WAD // claim.winners)
    if claim.long:
        shorts += charged
    else:
        longs += charged
    self._winners[claim.instrument] = (
        words._put_unsigned(longs, 0, 104)
        | words._put_unsigned(shorts, 104, 104)
        | (block.timestamp << 208)
    )
    return charged


@internal
def _beyond_floor(instrument: uint256, rest: uint256, limits: LossTerms) -> uint256:
    """
    @notice What of a rest the pool does not bear within the floor
    """
    if rest == 0:
        return 0
    word: uint256 = self._lost[instrument]
    level: uint256 = self._leaked(
        word & MASK_96, limits.floor_wad, block.timestamp - (word >> 96), limits.window_seconds
    )
    borne: uint256 = min(rest, limits.floor_wad - min(limits.floor_wad, level))
    self._lost[instrument] = words._put_unsigned(level + borne, 0, 96) | (block.timestamp << 96)
    return rest - borne


@internal
@pure
def _leaked(level: uint256, capacity: uint256, elapsed: uint256, span: uint256) -> uint256:
    """
    @notice What is still in use of a bucket that loses its capacity within a span
    """
    return level - min(level, capacity * elapsed // span)


@internal
@pure
def _added(
    causes_before: DynArray[uint256, 16], instrument: uint256, lost: int256
) -> DynArray[uint256, 16]:
    causes: DynArray[uint256, 16] = causes_before
    if lost == 0:
        return causes
    amount: uint256 = min(convert(abs(lost), uint256), MASK_112)
    tag: uint256 = instrument
    if lost > 0:
        tag |= 65536
    for i: uint256 in range(len(causes), bound=16):
        if causes[i] & 131071 == tag:
            causes[i] = tag | (min((causes[i] >> 32) + amount, MASK_112) << 32)
            return causes
    if len(causes) < 16:
        causes.append(tag | (amount << 32))
    return causes


@internal
@view
def _load_terms() -> LossTerms:
    word: uint256 = self._terms
    return LossTerms(
        instrument_ppm=word & 16777215,
        underlying_ppm=(word >> 24) & 16777215,
        total_ppm=(word >> 48) & 16777215,
        window_seconds=(word >> 72) & 4294967295,
        floor_wad=word >> 104,
    )
