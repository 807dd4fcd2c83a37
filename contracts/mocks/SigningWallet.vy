# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title A wallet that is a contract, of one key, and what a hostile one may answer
@notice Signs as ERC-1271 asks; `set_answer` makes it answer something else.
@dev Never deploy it where anything is worth something.
"""

MAGIC: constant(bytes4) = 0x1626ba7e

SIGNS: constant(uint256) = 0      # as its owner's key has
EMPTY: constant(uint256) = 1      # nothing at all
SHORT: constant(uint256) = 2      # the magic value in four bytes, not in a word
DIRTY: constant(uint256) = 3      # the magic value with more behind it
ONE: constant(uint256) = 4        # true
REVERTS: constant(uint256) = 5
BURNS: constant(uint256) = 6      # all the gas there is

owner: public(address)
answer: public(uint256)


@deploy
def __init__(owner: address):
    self.owner = owner


@external
def set_answer(answer: uint256):
    """
    @param answer 0 honest, 1 empty, 2 short, 3 dirty, 4 true, 5 reverts, 6 burns gas
    """
    self.answer = answer


@external
def act(target: address, data: Bytes[2048]):
    """
    @notice Call something as this wallet.
    """
    raw_call(target, data)


@external
@view
@raw_return
def isValidSignature(digest: bytes32, signature: Bytes[1024]) -> Bytes[64]:
    """
    @return the magic value when the owner's key has signed the digest
    """
    padded: bytes32 = convert(convert(MAGIC, uint256) << 224, bytes32)
    if self.answer == EMPTY:
        return b""
    if self.answer == SHORT:
        return b"\x16\x26\xba\x7e"
    if self.answer == DIRTY:
        return concat(convert(convert(padded, uint256) | 1, bytes32), empty(bytes32))
    if self.answer == ONE:
        return concat(convert(1, bytes32), b"")
    if self.answer == REVERTS:
        raise "wallet: refuses"
    if self.answer == BURNS:
        for i: uint256 in range(10**9):
            assert keccak256(convert(i, bytes32)) != empty(bytes32)
    found: address = ecrecover(
        digest,
        convert(slice(signature, 64, 1), uint256),
        convert(slice(signature, 0, 32), uint256),
        convert(slice(signature, 32, 32), uint256),
    )
    if found == self.owner and found != empty(address):
        return concat(padded, b"")
    return concat(empty(bytes32), b"")
