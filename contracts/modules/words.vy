# pragma version 0.4.3
"""
@title Fields of packed words
@notice A word is 256 bits with named fields; who owns a word names them (account_words,
        market_words, terms, quotes). A value that does not fit reverts, it is never cut.
"""


@internal
@pure
def _unsigned(word: uint256, offset: uint256, bits: uint256) -> uint256:
    """
    @notice Field of `bits` bits from bit `offset`
    """
    return (word >> offset) & ((1 << bits) - 1)


@internal
@pure
def _signed(word: uint256, offset: uint256, bits: uint256) -> int256:
    """
    @notice The same, two's complement
    """
    return convert(convert(word << (256 - offset - bits), bytes32), int256) >> (256 - bits)


@internal
@pure
def _put_unsigned(amount: uint256, offset: uint256, bits: uint256) -> uint256:
    """
    @notice The amount at its place in an empty word
    """
    assert amount >> bits == 0, "word: value too large"
    return amount << offset


@internal
@pure
def _put_signed(amount: int256, offset: uint256, bits: uint256) -> uint256:
    sign: int256 = amount >> (bits - 1)
    assert sign == 0 or sign == -1, "word: value too large"
    return ((convert(convert(amount, bytes32), uint256) << (256 - bits)) >> (256 - bits)) << offset
