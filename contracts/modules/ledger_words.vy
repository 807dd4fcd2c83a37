# pragma version 0.4.3
"""
@title The two words of the house (docs/SPEC.md 2.2, 5.1)
@notice What pool, insurance and protocol have in cash, and what the pool's side of all
        instruments is worth and must hold.
@custom:units WAD, but for the protocol's line: micro-USD, 10^-6
@custom:layout bits, from 0 up
        lines   pool int96, insurance uint96, protocol uint64
        totals  mark int128, requirement uint128
"""

struct Lines:
    pool: int256        # cash of the pool, may be negative
    insurance: int256   # never negative
    protocol: uint256   # micro


struct Totals:
    mark: int256          # sum over instruments
    requirement: uint256  # sum over instruments


MASK_96: constant(uint256) = 2**96 - 1
MASK_128: constant(uint256) = 2**128 - 1


@internal
@pure
def _unpack(word: uint256) -> Lines:
    return Lines(
        pool=convert(convert(word << 160, bytes32), int256) >> 160,
        insurance=convert((word >> 96) & MASK_96, int256),
        protocol=word >> 192,
    )


@internal
@pure
def _pack(lines: Lines) -> uint256:
    """
    @dev The pool fits 96 bits when it is below 2^96 after adding 2^95, modulo 2^256.
    """
    pool: uint256 = convert(convert(lines.pool, bytes32), uint256)
    insurance: uint256 = convert(lines.insurance, uint256)
    assert (
        (unsafe_add(pool, 2**95) >> 96) | (insurance >> 96) | (lines.protocol >> 64) == 0
    ), "word: value too large"
    return (pool & MASK_96) | (insurance << 96) | (lines.protocol << 192)


@internal
@pure
def _pool(word: uint256) -> int256:
    return convert(convert(word << 160, bytes32), int256) >> 160


@internal
@pure
def _unpack_totals(word: uint256) -> Totals:
    return Totals(
        mark=convert(convert(word << 128, bytes32), int256) >> 128,
        requirement=word >> 128,
    )


@internal
@pure
def _pack_totals(totals: Totals) -> uint256:
    mark: uint256 = convert(convert(totals.mark, bytes32), uint256)
    assert (
        (unsafe_add(mark, 2**127) >> 128) | (totals.requirement >> 128) == 0
    ), "word: value too large"
    return (mark & MASK_128) | (totals.requirement << 128)
