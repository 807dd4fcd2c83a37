# pragma version 0.4.3
"""
@title The two words of an account (docs/SPEC.md 1.3)
@custom:units cash and reserved WAD quote; ids of instruments; deadline unix seconds
"""

from contracts.modules import words

struct Account:
    cash: int256          # WAD, settled quote balance, may be negative
    reserved: uint256     # WAD, held by open commitments
    heads: uint256        # ids[0] | ids[1] << 16
    count: uint256        # positions, 0 to 16
    collateral: uint256   # mask of the tokens that the Vault holds for it
    mode: uint256         # 0 default of its bucket, 1 isolated, 2 cross
    called: bool


BUCKET_MASK: constant(uint256) = 2**96 - 1
DEADLINE_SHIFT: constant(uint256) = 224


@internal
@pure
def _unpack(word: uint256) -> Account:
    return Account(
        cash=words._signed(word, 0, 112),
        reserved=words._unsigned(word, 112, 96),
        heads=words._unsigned(word, 208, 32),
        count=words._unsigned(word, 240, 5),
        collateral=words._unsigned(word, 245, 8),
        mode=words._unsigned(word, 253, 2),
        called=(word >> 255) == 1,
    )


@internal
@pure
def _pack(a: Account) -> uint256:
    flags: uint256 = (a.heads << 208) | (a.count << 240) | (a.collateral << 245) | (a.mode << 253)
    if a.called:
        flags |= 1 << 255
    return flags | words._put_signed(a.cash, 0, 112) | words._put_unsigned(a.reserved, 112, 96)


@internal
@pure
def _id_at(heads: uint256, tail: uint256, i: uint256) -> uint256:
    """
    @notice Instrument at place i of the book
    """
    if i < 2:
        return (heads >> (16 * i)) & 65535
    return (tail >> (16 * (i - 2))) & 65535


@internal
@pure
def _with_id(heads: uint256, tail: uint256, i: uint256, instrument: uint256) -> (uint256, uint256):
    """
    @notice (heads, tail) with the instrument at place i; 0 empties the place
    """
    offset: uint256 = 16 * i
    if i < 2:
        return (heads & ~(65535 << offset)) | (instrument << offset), tail
    offset -= 32
    return heads, (tail & ~(65535 << offset)) | (instrument << offset)


@internal
@pure
def _owner(account: bytes32) -> address:
    return convert(convert(account, uint256) >> 96, address)


@internal
@pure
def _cross_bucket(owner: address) -> bytes32:
    """
    @notice Bucket 0 of an owner
    """
    return convert(convert(owner, uint256) << 96, bytes32)


@internal
@pure
def _mode(account: bytes32, stored: uint256) -> uint256:
    """
    @notice 1 isolated, 2 cross: what is stored, else bucket 0 is cross and others isolated
    """
    if stored != 0:
        return stored
    if convert(account, uint256) & BUCKET_MASK == 0:
        return 2
    return 1
