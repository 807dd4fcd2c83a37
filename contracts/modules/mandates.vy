# pragma version 0.4.3
"""
@title Mandates
@notice Whom an owner lets trade for him and how far: which instruments, which buckets, how much
        notional and how much in fees a day, until when. A mandate is for orders alone: nothing
        that moves value out of an account asks for one. Owned by Orders.
@dev The fees of a delegate's orders are limited because he may be the one who is paid them.
@custom:units notional and fees WAD, their limits whole USD of a UTC day; times unix seconds
"""

from contracts.modules import account_words
from contracts.modules import words

DAY: constant(uint256) = 86_400
USD: constant(uint256) = 10**18            # WAD
EVERY_BUCKET: constant(uint256) = 2**40    # bit of the limits word


struct Mandate:
    expiry: uint256          # unix seconds, its last moment; 0: there is none
    instruments: uint256     # bit i: instrument i may be traded
    every_bucket: bool
    bucket: uint256          # the one that it is for, unless for every
    daily_usd: uint256       # whole USD of notional a UTC day
    daily_fees_usd: uint256  # whole USD of execution and relay fees a UTC day


event MandateChanged:
    owner: indexed(address)
    delegate: indexed(address)
    mandate: Mandate


event MandateUsed:
    owner: indexed(address)
    delegate: indexed(address)
    day: uint256        # days since the epoch
    notional: uint256   # WAD, of that day so far
    fees: uint256       # WAD, of that day so far


_instruments: HashMap[address, HashMap[address, uint256]]  # owner -> delegate -> bits
# expiry 40 | every bucket 1 | bucket 96 | daily_usd 48 | daily_fees_usd 32
_limits: HashMap[address, HashMap[address, uint256]]
_used: HashMap[address, HashMap[address, uint256]]         # day 32 | notional 112 | fees 112


@external
def set_delegate(delegate: address, mandate: Mandate):
    """
    @notice Let somebody commit and cancel orders for the caller's accounts; expiry 0 ends it.
    @dev What was used of the day stays used. His waiting orders expire with the mandate at the
         latest; ended early, they are the owner's to cancel.
    @param mandate instruments by bit (1 to 255), limits in whole USD
    @custom:reverts word: value too large
    """
    self._instruments[msg.sender][delegate] = mandate.instruments
    self._limits[msg.sender][delegate] = (
        words._put_unsigned(mandate.expiry, 0, 40)
        | words._put_unsigned(convert(mandate.every_bucket, uint256), 40, 1)
        | words._put_unsigned(mandate.bucket, 41, 96)
        | words._put_unsigned(mandate.daily_usd, 137, 48)
        | words._put_unsigned(mandate.daily_fees_usd, 185, 32)
    )
    log MandateChanged(owner=msg.sender, delegate=delegate, mandate=mandate)


@external
@view
def mandate(owner: address, delegate: address) -> Mandate:
    """
    @notice What an owner lets somebody do; all zero when nothing.
    """
    limits: uint256 = self._limits[owner][delegate]
    return Mandate(
        expiry=words._unsigned(limits, 0, 40),
        instruments=self._instruments[owner][delegate],
        every_bucket=limits & EVERY_BUCKET != 0,
        bucket=words._unsigned(limits, 41, 96),
        daily_usd=words._unsigned(limits, 137, 48),
        daily_fees_usd=words._unsigned(limits, 185, 32),
    )


@external
@view
def mandate_used(owner: address, delegate: address) -> (uint256, uint256):
    """
    @return (notional, fees) of the present day, WAD
    """
    used: uint256 = self._used_today(owner, delegate)
    return words._unsigned(used, 32, 112), used >> 144


@internal
@view
def _check_scope(delegate: address, account: bytes32, instrument: uint256) -> uint256:
    """
    @notice He may act on this account and instrument now.
    @return last moment of the mandate
    @custom:reverts account: not the owner; delegate: mandate is over;
                    delegate: instrument not in it; delegate: bucket not in it
    """
    owner: address = account_words._owner(account)
    limits: uint256 = self._limits[owner][delegate]
    expiry: uint256 = words._unsigned(limits, 0, 40)
    assert expiry != 0, "account: not the owner"
    assert block.timestamp <= expiry, "delegate: mandate is over"
    allowed: uint256 = self._instruments[owner][delegate]
    assert instrument < 256 and (allowed >> instrument) & 1 == 1, "delegate: instrument not in it"
    assert (
        limits & EVERY_BUCKET != 0
        or words._unsigned(limits, 41, 96)
        == convert(account, uint256) & account_words.BUCKET_MASK
    ), "delegate: bucket not in it"
    return expiry


@internal
def _spend(owner: address, delegate: address, notional: uint256, fees: uint256):
    """
    @notice Count an order against the day's limits.
    @custom:reverts delegate: beyond the day's limit; delegate: beyond the day's fees
    """
    limits: uint256 = self._limits[owner][delegate]
    used: uint256 = self._used_today(owner, delegate)
    notional_used: uint256 = words._unsigned(used, 32, 112) + notional
    fees_used: uint256 = (used >> 144) + fees
    assert (
        notional_used <= words._unsigned(limits, 137, 48) * USD
    ), "delegate: beyond the day's limit"
    assert fees_used <= words._unsigned(limits, 185, 32) * USD, "delegate: beyond the day's fees"
    day: uint256 = block.timestamp // DAY
    self._used[owner][delegate] = (
        words._put_unsigned(day, 0, 32)
        | words._put_unsigned(notional_used, 32, 112)
        | words._put_unsigned(fees_used, 144, 112)
    )
    log MandateUsed(
        owner=owner, delegate=delegate, day=day, notional=notional_used, fees=fees_used
    )


@internal
@view
def _used_today(owner: address, delegate: address) -> uint256:
    """
    @return word of what was used, zero on a new day
    """
    used: uint256 = self._used[owner][delegate]
    if words._unsigned(used, 0, 32) != block.timestamp // DAY:
        return 0
    return used
