# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Debts
@notice What accounts owe against collateral, their negative cash: how much may be owed, and what
        it costs. Interest grows by one index at a rate that follows from how much is lent; it is
        taken from an account's cash whenever that changes.
@dev The pool lends, so interest is the pool's; of what accrues it passes a share on to insurance
     at once. Only the Clearinghouse moves a debt here, and only that of an account with negative
     cash: others never come here. A debt that nothing is left to pay bears no interest.
@custom:units money WAD; index and rates RAY = 10^27, per second; curve ppm, of a year
@custom:signs amounts > 0 go to the account or line that they are named for
@custom:rounding what is owed up, what is counted as due down (docs/ROUNDING.md)
@custom:halt none: ceilings of 0 stop new debt; the steward may lower an account's to 0 at once
"""

from snekmate.auth import ownable

from contracts.interfaces import IClearinghouse
from contracts.interfaces import IDebts
from contracts.interfaces import IMarkets
from contracts.modules import interest
from contracts.modules import scan
from contracts.modules import stewardship
from contracts.modules import words

implements: IDebts
initializes: ownable
initializes: stewardship[ownable := ownable]

exports: (ownable.owner, ownable.transfer_ownership)
exports: (stewardship.steward, stewardship.set_steward)

RAY: constant(uint256) = 10**27
PPM: constant(uint256) = 10**6
MAX_CAP: constant(uint256) = 10**27             # WAD: 10^9 USD
MAX_SHARE_PPM: constant(uint256) = 500_000
MIN_KINK_PPM: constant(uint256) = 10_000
MAX_KINK_PPM: constant(uint256) = 990_000
MAX_INSURANCE_PPM: constant(uint256) = 500_000

CLEARINGHOUSE: public(immutable(IClearinghouse))
MARKETS: public(immutable(IMarkets))

event CeilingsChanged:
    cap_wad: uint256
    share_ppm: uint256


event CurveChanged:
    base_ppm: uint256
    kink_ppm: uint256
    low_ppm: uint256
    high_ppm: uint256
    insurance_ppm: uint256


struct Terms:
    cap_wad: uint256         # of one account
    share_ppm: uint256       # of all, of the pool line
    base_ppm: uint256        # a year, when nothing is lent
    kink_ppm: uint256        # of what may be lent
    low_ppm: uint256         # a year, more up to the kink
    high_ppm: uint256        # a year, more from the kink to all
    insurance_ppm: uint256   # of interest


# one slot: index 128 | rate 72 | accrued_at 40
struct Clock:
    index: uint256
    rate: uint256         # from accrued_at on
    accrued_at: uint256   # unix seconds


_clock: uint256
_sums: uint256                        # total 128 | bearing 128
_scaled: uint256                      # of each bearing debt: debt over the index it is settled to
_indices: HashMap[bytes32, uint256]   # that a debt is settled to; 0: none, or it bears no interest
_terms: uint256                       # cap 96 | share 24 | base, kink, low, high, insurance 24 each


@deploy
def __init__(owner: address, clearinghouse: IClearinghouse, markets: IMarkets):
    """
    @notice Until the setters are called nothing may be owed, and nothing costs interest.
    """
    ownable.__init__()
    ownable._transfer_ownership(owner)
    CLEARINGHOUSE = clearinghouse
    MARKETS = markets
    self._clock = RAY | (block.timestamp << 200)
    self._terms = 500_000 << 144


# ---------------------------------------------------------------- Clearinghouse


@external
def change(
    account: bytes32, cash: int256, amount: int256, bearing: bool
) -> (int256, int256, int256):
    """
    @notice Settle an account's interest and change its cash (docs/SPEC.md 11).
    @param cash WAD, before
    @param amount WAD, by which it changes
    @param bearing whether debt that stays bears interest
    @return (cash after, to the pool line, to the insurance line), WAD
    @custom:reverts debts: only clearinghouse
    """
    self._only_clearinghouse()
    c: Clock = self._load_clock()
    passed_on: int256 = self._advance(c)
    c = self._now(c)

    debt: uint256 = convert(max(-cash, 0), uint256)
    settled: uint256 = self._indices[account]
    owed: uint256 = 0
    counted: uint256 = 0     # of owed, what the pool counted as due
    was_bearing: uint256 = 0
    scaled: uint256 = self._scaled
    if settled != 0:
        owed = scan._ceil_div(debt * c.index, settled) - debt
        counted = debt * c.index // settled - debt
        was_bearing = debt
        scaled -= debt * RAY // settled

    after: int256 = cash + amount - convert(owed, int256)
    left: uint256 = convert(max(-after, 0), uint256)
    assert left >> 112 == 0, "word: value too large"
    settled_to: uint256 = 0
    is_bearing: uint256 = 0
    if bearing and left != 0:
        settled_to = c.index
        is_bearing = left
        scaled += left * RAY // c.index
    if settled_to != settled:
        self._indices[account] = settled_to

    sums: uint256 = self._sums
    total: uint256 = words._unsigned(sums, 0, 128) + left - debt
    self._scaled = scaled
    self._sums = words._put_unsigned(total, 0, 128) | words._put_unsigned(
        (sums >> 128) + is_bearing - was_bearing, 128, 128
    )
    log IDebts.DebtChanged(account=account, interest=owed, debt=left, index=settled_to)
    self._store_clock(c, total)
    kept: int256 = convert(counted, int256)
    return after, kept - passed_on, convert(owed, int256) - kept + passed_on


@external
@reentrant
def accrue() -> int256:
    """
    @notice Bring the index up to now, and the rate to what is lent now.
    @dev Without lock: a change of the curve accrues first, by way of the Clearinghouse.
    @return WAD, that the pool line passes on to insurance
    @custom:reverts debts: only clearinghouse
    """
    self._only_clearinghouse()
    c: Clock = self._load_clock()
    passed_on: int256 = self._advance(c)
    self._store_clock(self._now(c), words._unsigned(self._sums, 0, 128))
    return passed_on


# ---------------------------------------------------------------- governor


@external
def set_ceilings(cap_wad: uint256, share_ppm: uint256):
    """
    @notice How much may be owed against collateral. The steward may lower what one account may
            owe; the share of all is the owner's alone, since the rate of interest follows it.
    @param cap_wad by one account, at most 10^9 USD
    @param share_ppm by all, of the pool line, at most 500,000
    @custom:reverts ownable: caller is not the owner; debts: out of range
    """
    terms: Terms = self._load_terms()
    stewardship._check(cap_wad <= terms.cap_wad and share_ppm == terms.share_ppm)
    assert cap_wad <= MAX_CAP and share_ppm <= MAX_SHARE_PPM, "debts: out of range"
    extcall CLEARINGHOUSE.accrue_debt()
    self._terms = (self._terms >> 120 << 120) | cap_wad | (share_ppm << 96)
    self._reprice()
    log CeilingsChanged(cap_wad=cap_wad, share_ppm=share_ppm)


@external
def set_curve(
    base_ppm: uint256, kink_ppm: uint256, low_ppm: uint256, high_ppm: uint256, insurance_ppm: uint256
):
    """
    @notice What debt costs, from now on: `base` a year when nothing is lent, `low` more at the
            kink, `high` more again when all is lent that may be.
    @param base_ppm base + low + high at most 2,000,000
    @param kink_ppm of what may be lent, 10,000 to 990,000
    @param low_ppm a year
    @param high_ppm a year
    @param insurance_ppm insurance's share of interest, at most 500,000
    @custom:reverts ownable: caller is not the owner; debts: out of range
    """
    ownable._check_owner()
    assert (
        base_ppm <= interest.MAX_YEARLY_PPM
        and low_ppm <= interest.MAX_YEARLY_PPM
        and high_ppm <= interest.MAX_YEARLY_PPM
        and base_ppm + low_ppm + high_ppm <= interest.MAX_YEARLY_PPM
        and kink_ppm >= MIN_KINK_PPM
        and kink_ppm <= MAX_KINK_PPM
        and insurance_ppm <= MAX_INSURANCE_PPM
    ), "debts: out of range"
    extcall CLEARINGHOUSE.accrue_debt()
    self._terms = (
        words._unsigned(self._terms, 0, 120)
        | (base_ppm << 120)
        | (kink_ppm << 144)
        | (low_ppm << 168)
        | (high_ppm << 192)
        | (insurance_ppm << 216)
    )
    self._reprice()
    log CurveChanged(
        base_ppm=base_ppm,
        kink_ppm=kink_ppm,
        low_ppm=low_ppm,
        high_ppm=high_ppm,
        insurance_ppm=insurance_ppm,
    )


# ---------------------------------------------------------------- views


@external
@view
@reentrant
def owed(account: bytes32, debt: uint256) -> uint256:
    """
    @return interest that a debt of the account has run up since it was settled, WAD
    """
    settled: uint256 = self._indices[account]
    if settled == 0:
        return 0
    return scan._ceil_div(debt * self._now(self._load_clock()).index, settled) - debt


@external
@view
@reentrant
def due() -> int256:
    """
    @notice Interest of all accounts that is the pool's and in nobody's cash yet: what it will pass
            on to insurance is taken off.
    @return WAD; never more than what the accounts owe
    """
    c: Clock = self._load_clock()
    return self._due(self._now(c).index) - self._advance(c)


@external
@view
@reentrant
def total() -> uint256:
    """
    @return sum of all debt, interest apart, WAD
    """
    return words._unsigned(self._sums, 0, 128)


@external
@view
@reentrant
def fits(debt: uint256, more: int256) -> bool:
    """
    @notice Whether a debt, and the sum of all, are below their ceilings (docs/SPEC.md 2.7).
    @param debt WAD, of an account
    @param more WAD, debt that the sum of all does not hold yet
    """
    t: Terms = self._load_terms()
    return debt <= t.cap_wad and self._lent() + more <= self._lendable(t.share_ppm)


@external
@view
@reentrant
def room(debt: uint256) -> int256:
    """
    @notice The most that an account may owe: its own ceiling, and what others leave of that of all.
    @param debt WAD, its debt now, interest included
    """
    t: Terms = self._load_terms()
    others: int256 = self._lent() - convert(debt, int256)
    return min(convert(t.cap_wad, int256), self._lendable(t.share_ppm) - others)


@external
@view
@reentrant
def terms() -> Terms:
    return self._load_terms()


@external
@view
@reentrant
def index_of(account: bytes32) -> uint256:
    """
    @return index that an account's debt is settled to, RAY; 0: none, or it bears no interest
    """
    return self._indices[account]


@external
@view
@reentrant
def state() -> (uint256, uint256, uint256, uint256, uint256, uint256):
    """
    @return (index RAY, rate RAY a second, accrued at, total WAD, bearing WAD, scaled WAD), as stored
    """
    c: Clock = self._load_clock()
    sums: uint256 = self._sums
    return (
        c.index, c.rate, c.accrued_at, words._unsigned(sums, 0, 128), sums >> 128, self._scaled
    )


# ---------------------------------------------------------------- internals


@internal
@view
def _only_clearinghouse():
    assert msg.sender == CLEARINGHOUSE.address, "debts: only clearinghouse"


@internal
@view
def _now(c: Clock) -> Clock:
    """
    @notice The clock with its index up to now
    """
    return Clock(
        index=interest._index_after(c.index, c.rate, block.timestamp - c.accrued_at),
        rate=c.rate,
        accrued_at=block.timestamp,
    )


@internal
@view
def _due(index: uint256) -> int256:
    """
    @notice Interest of all bearing debts at an index, counted down: 0 where rounding would have it
            below
    """
    bearing: int256 = convert(self._sums >> 128, int256)
    return max(convert(self._scaled * index // RAY, int256) - bearing, 0)


@internal
@view
def _advance(c: Clock) -> int256:
    """
    @notice What the pool passes on to insurance of the interest since the clock stood
    """
    grown: uint256 = convert(self._due(self._now(c).index) - self._due(c.index), uint256)
    return convert(grown * self._load_terms().insurance_ppm // PPM, int256)


@internal
@view
def _lent() -> int256:
    """
    @notice Sum of all debt with its interest
    """
    total: uint256 = words._unsigned(self._sums, 0, 128)
    return convert(total, int256) + self._due(self._now(self._load_clock()).index)


@internal
@view
def _lendable(share_ppm: uint256) -> int256:
    pool: int256 = (staticcall MARKETS.ledger())[0]
    return max(pool, 0) * convert(share_ppm, int256) // convert(PPM, int256)


@internal
def _reprice():
    """
    @notice The rate by new terms, from now on
    """
    self._store_clock(self._load_clock(), words._unsigned(self._sums, 0, 128))


@internal
def _store_clock(c: Clock, total: uint256):
    """
    @notice Store an index that is up to now, and the rate that follows from what is lent now
    """
    t: Terms = self._load_terms()
    utilisation: uint256 = 0
    if total != 0:
        lendable: uint256 = convert(self._lendable(t.share_ppm), uint256)
        utilisation = RAY
        if total < lendable:
            utilisation = scan._ceil_div(total * RAY, lendable)
    rate: uint256 = interest._rate(utilisation, t.base_ppm, t.kink_ppm, t.low_ppm, t.high_ppm)
    self._clock = c.index | (rate << 128) | (block.timestamp << 200)
    log IDebts.InterestAccrued(
        index=c.index, rate=rate, total=total, bearing=self._sums >> 128, scaled=self._scaled
    )


@internal
@view
def _load_clock() -> Clock:
    word: uint256 = self._clock
    return Clock(
        index=words._unsigned(word, 0, 128),
        rate=words._unsigned(word, 128, 72),
        accrued_at=word >> 200,
    )


@internal
@view
def _load_terms() -> Terms:
    word: uint256 = self._terms
    return Terms(
        cap_wad=words._unsigned(word, 0, 96),
        share_ppm=words._unsigned(word, 96, 24),
        base_ppm=words._unsigned(word, 120, 24),
        kink_ppm=words._unsigned(word, 144, 24),
        low_ppm=words._unsigned(word, 168, 24),
        high_ppm=words._unsigned(word, 192, 24),
        insurance_ppm=words._unsigned(word, 216, 24),
    )
