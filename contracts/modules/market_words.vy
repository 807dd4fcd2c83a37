# pragma version 0.4.3
"""
@title The state of one instrument, packed in five words (docs/SPEC.md 5.1)
@notice Funding, gap fee and deficit shares all flow through one money index per side.
@custom:signs index > 0: the side owes; rate > 0: longs pay; forced > 0: longs were added by force
@custom:units WAD; indices and rates per unit of size; times unix seconds
"""

from contracts.modules import wad_math

struct Market:
    long_index: int256     # owed per unit by longs since listing
    short_index: int256
    forced_at: uint256
    rate: int256           # per unit and second, from longs to shorts
    accrued_at: uint256
    gap: int256            # per unit and second, from both sides to insurance
    forced: int256         # residual at forced_at: size that premium has not seen yet
    long_interest: int256
    short_interest: int256
    stopped: uint256       # 1 after a deficit that nobody could pay
    notional_sum: int256   # sum of N
    index_sum: int256      # sum of floor(|q| * G0 / WAD)
    mark: int256           # the pool's result at the last accrual, premium reserve taken off
    requirement: uint256   # what the pool must hold for it
    gap_due: int256        # not stored: gap fee of the time since, on its way to insurance


WAD: constant(int256) = 10**18

MASK_32: constant(uint256) = 2**32 - 1
MASK_56: constant(uint256) = 2**56 - 1
MASK_80: constant(uint256) = 2**80 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_104: constant(uint256) = 2**104 - 1
MASK_128: constant(uint256) = 2**128 - 1


@internal
@pure
def _unpack(w: uint256[5]) -> Market:
    return Market(
        long_index=convert(convert(w[0] << 152, bytes32), int256) >> 152,
        short_index=convert(convert(w[0] << 48, bytes32), int256) >> 152,
        forced_at=w[0] >> 208,
        rate=convert(convert(w[1] << 176, bytes32), int256) >> 176,
        accrued_at=(w[1] >> 80) & MASK_32,
        gap=convert((w[1] >> 112) & MASK_56, int256),
        forced=convert(convert(w[1], bytes32), int256) >> 168,
        long_interest=convert(w[2] & MASK_96, int256),
        short_interest=convert((w[2] >> 96) & MASK_96, int256),
        stopped=w[2] >> 192,
        notional_sum=convert(convert(w[3] << 128, bytes32), int256) >> 128,
        index_sum=convert(convert(w[3], bytes32), int256) >> 128,
        mark=convert(convert(w[4] << 128, bytes32), int256) >> 128,
        requirement=w[4] >> 128,
        gap_due=0,
    )


@internal
@pure
def _pack(m: Market) -> uint256[5]:
    """
    @dev What is signed fits n bits when it is below 2^n after adding 2^(n-1), modulo 2^256.
    """
    long_index: uint256 = convert(convert(m.long_index, bytes32), uint256)
    short_index: uint256 = convert(convert(m.short_index, bytes32), uint256)
    rate: uint256 = convert(convert(m.rate, bytes32), uint256)
    gap: uint256 = convert(m.gap, uint256)
    forced: uint256 = convert(convert(m.forced, bytes32), uint256)
    longs: uint256 = convert(m.long_interest, uint256)
    shorts: uint256 = convert(m.short_interest, uint256)
    notional_sum: uint256 = convert(convert(m.notional_sum, bytes32), uint256)
    index_sum: uint256 = convert(convert(m.index_sum, bytes32), uint256)
    mark: uint256 = convert(convert(m.mark, bytes32), uint256)
    assert (
        (unsafe_add(long_index, 2**103) >> 104)
        | (unsafe_add(short_index, 2**103) >> 104)
        | (m.forced_at >> 48)
        | (unsafe_add(rate, 2**79) >> 80)
        | (m.accrued_at >> 32)
        | (gap >> 56)
        | (unsafe_add(forced, 2**87) >> 88)
        | (longs >> 96)
        | (shorts >> 96)
        | (m.stopped >> 8)
        | (unsafe_add(notional_sum, 2**127) >> 128)
        | (unsafe_add(index_sum, 2**127) >> 128)
        | (unsafe_add(mark, 2**127) >> 128)
        | (m.requirement >> 128)
        == 0
    ), "word: value too large"
    return [
        (long_index & MASK_104) | ((short_index & MASK_104) << 104) | (m.forced_at << 208),
        (rate & MASK_80) | (m.accrued_at << 80) | (gap << 112) | (forced << 168),
        longs | (shorts << 96) | (m.stopped << 192),
        (notional_sum & MASK_128) | (index_sum << 128),
        (mark & MASK_128) | (m.requirement << 128),
    ]


@internal
@pure
def _interest(third: uint256) -> (uint256, uint256):
    """
    @notice Open interest of (longs, shorts), from the third word
    """
    return third & MASK_96, (third >> 96) & MASK_96


@internal
@view
def _indices(first: uint256, second: uint256) -> (int256, int256):
    """
    @notice Money indices of (longs, shorts) accrued to this block, from the first two words
    """
    rate: int256 = convert(convert(second << 176, bytes32), int256) >> 176
    gap: int256 = convert((second >> 112) & MASK_56, int256)
    elapsed: int256 = convert(block.timestamp - ((second >> 80) & MASK_32), int256)
    # below 2^81 times a time below 2^40, on top of an index below 2^104
    return (
        unsafe_add(
            convert(convert(first << 152, bytes32), int256) >> 152,
            unsafe_mul(unsafe_add(rate, gap), elapsed),
        ),
        unsafe_add(
            convert(convert(first << 48, bytes32), int256) >> 152,
            unsafe_mul(unsafe_sub(gap, rate), elapsed),
        ),
    )


@internal
@pure
def _residual(forced: int256, forced_at: uint256, at: uint256, span: uint256) -> int256:
    """
    @notice What is left at `at` of size closed by force, entering the premium linearly over `span`
    """
    elapsed: uint256 = min(at - forced_at, span)
    return forced - forced * convert(elapsed, int256) // convert(span, int256)


@internal
@pure
def _owed(size: int256, index: int256, settled: int256) -> int256:
    """
    @notice What a position owes since it last settled, rounded up; < 0: it is owed money
    """
    return wad_math._ceil_div(abs(size) * (index - settled), WAD)


@internal
@pure
def _index_part(size: int256, settled: int256) -> int256:
    """
    @notice A position's part of `index_sum`
    """
    return wad_math._floor_div(abs(size) * settled, WAD)


@internal
@pure
def _reserve(index: int256, depth: int256, net: int256, premium_net: int256) -> int256:
    """
    @notice Premium that the pool would have to give back, rounded up (docs/SPEC.md 5.11)
    """
    return wad_math._ceil_div(index * net * (2 * premium_net - net), 2 * depth * WAD)
