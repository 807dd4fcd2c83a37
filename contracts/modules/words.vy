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
    @notice Field of `bits` bits from bit `offset`; offset + bits <= 256, bits > 0
    """
    # both differences are >= 0 by the bounds above
    return (word << unsafe_sub(unsafe_sub(256, offset), bits)) >> unsafe_sub(256, bits)


@internal
@pure
def _signed(word: uint256, offset: uint256, bits: uint256) -> int256:
    """
    @notice The same, two's complement
    """
    top: uint256 = word << unsafe_sub(unsafe_sub(256, offset), bits)
    return convert(convert(top, bytes32), int256) >> unsafe_sub(256, bits)


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
    """
    @notice The same, two's complement
    """
    spare: uint256 = unsafe_sub(256, bits)
    top: uint256 = convert(convert(amount, bytes32), uint256) << spare
    assert convert(convert(top, bytes32), int256) >> spare == amount, "word: value too large"
    return (top >> spare) << offset
