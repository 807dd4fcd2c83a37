# pragma version 0.4.3
"""
@title The two words of an account (docs/SPEC.md 1.3)
@custom:units cash and reserved WAD quote; ids of instruments; deadline unix seconds
"""

struct Account:
    cash: int256          # WAD, settled quote balance, may be negative
    reserved: uint256     # WAD, held by open commitments
    heads: uint256        # ids[0] | ids[1] << 16
    count: uint256        # positions, 0 to 16
    collateral: uint256   # mask of the tokens that the Vault holds for it
    mode: uint256         # 0 default of its bucket, 1 isolated, 2 cross
    called: bool


MASK_32: constant(uint256) = 2**32 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_112: constant(uint256) = 2**112 - 1
BUCKET_MASK: constant(uint256) = MASK_96
DEADLINE_SHIFT: constant(uint256) = 224


@internal
@pure
def _unpack(word: uint256) -> Account:
    return Account(
        cash=convert(convert(word << 144, bytes32), int256) >> 144,
        reserved=(word >> 112) & MASK_96,
        heads=(word >> 208) & MASK_32,
        count=(word >> 240) & 31,
        collateral=(word >> 245) & 255,
        mode=(word >> 253) & 3,
        called=(word >> 255) == 1,
    )


@internal
@pure
def _pack(a: Account) -> uint256:
    """
    @dev Cash fits 112 bits when it is below 2^112 after adding 2^111, modulo 2^256.
    """
    cash: uint256 = convert(convert(a.cash, bytes32), uint256)
    assert (unsafe_add(cash, 2**111) >> 112) | (a.reserved >> 96) == 0, "word: value too large"
    return (
        (cash & MASK_112)
        | (a.reserved << 112)
        | (a.heads << 208)
        | (a.count << 240)
        | (a.collateral << 245)
        | (a.mode << 253)
        | (convert(a.called, uint256) << 255)
    )


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
