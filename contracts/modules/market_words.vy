# pragma version 0.4.3
"""
@title The state of one instrument, packed in four words and one more (docs/SPEC.md 5.1)
@notice Funding, gap fee and deficit shares all flow through one money index per side.
@dev The fifth word is read only while size closed by force eases into the premium.
@custom:signs index > 0: the side owes; rate > 0: longs pay; forced > 0: longs were added by force
@custom:units WAD; indices and rates per unit of size; times unix seconds
@custom:layout bits, from 0 up
        index     long int104, short int104, accrued_at 32, stopped 8, easing 8
        rates     rate int80, gap 56, notional_sum int120
        interest  long 96, short 96, requirement 64
        sums      index_sum int112, mark int96, won int48
        forced    forced int104, forced_at 48
"""

from contracts.modules import wad_math

struct Market:
    long_index: int256     # owed per unit by longs since listing
    short_index: int256
    accrued_at: uint256
    stopped: uint256       # ended by a deficit: 1 the longs lost, 2 the shorts
    easing: uint256        # 1 while a part of `forced` has not entered the premium
    rate: int256           # per unit and second, from longs to shorts
    gap: int256            # per unit and second, from both sides to insurance
    notional_sum: int256   # sum of N
    long_interest: int256
    short_interest: int256
    requirement: uint256   # micro-USD that the pool must hold for it
    index_sum: int256      # sum of floor(|q| * G0 / WAD)
    mark: int256           # the pool's result at the last accrual, premium reserve taken off
    won: int256            # micro-USD, what the pool has realised of late, losses taken off
    forced: int256         # residual at forced_at: size that premium has not seen yet
    forced_at: uint256
    gap_due: int256        # not stored: gap fee of the time since, on its way to insurance


WAD: constant(int256) = 10**18

MASK_8: constant(uint256) = 2**8 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_56: constant(uint256) = 2**56 - 1
MASK_80: constant(uint256) = 2**80 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_104: constant(uint256) = 2**104 - 1
MASK_112: constant(uint256) = 2**112 - 1
WON_SPAN: constant(int256) = 3_600        # seconds, in which it is forgotten

STOPPED: constant(uint256) = 2**240       # in the word of indices
INTEREST: constant(uint256) = 2**192 - 1  # open interest of both sides, in its word


@internal
@pure
def _unpack(w: uint256[4], forced: uint256) -> Market:
    return Market(
        long_index=convert(convert(w[0] << 152, bytes32), int256) >> 152,
        short_index=convert(convert(w[0] << 48, bytes32), int256) >> 152,
        accrued_at=(w[0] >> 208) & MASK_32,
        stopped=(w[0] >> 240) & MASK_8,
        easing=w[0] >> 248,
        rate=convert(convert(w[1] << 176, bytes32), int256) >> 176,
        gap=convert((w[1] >> 80) & MASK_56, int256),
        notional_sum=convert(convert(w[1], bytes32), int256) >> 136,
        long_interest=convert(w[2] & MASK_96, int256),
        short_interest=convert((w[2] >> 96) & MASK_96, int256),
        requirement=w[2] >> 192,
        index_sum=convert(convert(w[3] << 144, bytes32), int256) >> 144,
        mark=convert(convert(w[3] << 48, bytes32), int256) >> 160,
        won=convert(convert(w[3], bytes32), int256) >> 208,
        forced=convert(convert(forced << 152, bytes32), int256) >> 152,
        forced_at=forced >> 104,
        gap_due=0,
    )


@internal
@pure
def _pack(m: Market) -> uint256[4]:
    """
    @dev What is signed fits n bits when it is below 2^n after adding 2^(n-1), modulo 2^256.
    """
    long_index: uint256 = convert(convert(m.long_index, bytes32), uint256)
    short_index: uint256 = convert(convert(m.short_index, bytes32), uint256)
    rate: uint256 = convert(convert(m.rate, bytes32), uint256)
    gap: uint256 = convert(m.gap, uint256)
    notional_sum: uint256 = convert(convert(m.notional_sum, bytes32), uint256)
    longs: uint256 = convert(m.long_interest, uint256)
    shorts: uint256 = convert(m.short_interest, uint256)
    index_sum: uint256 = convert(convert(m.index_sum, bytes32), uint256)
    mark: uint256 = convert(convert(m.mark, bytes32), uint256)
    won: uint256 = convert(convert(m.won, bytes32), uint256)
    assert (
        (unsafe_add(long_index, 2**103) >> 104)
        | (unsafe_add(short_index, 2**103) >> 104)
        | (m.accrued_at >> 32)
        | (m.stopped >> 8)
        | (m.easing >> 8)
        | (unsafe_add(rate, 2**79) >> 80)
        | (gap >> 56)
        | (unsafe_add(notional_sum, 2**119) >> 120)
        | (longs >> 96)
        | (shorts >> 96)
        | (m.requirement >> 64)
        | (unsafe_add(index_sum, 2**111) >> 112)
        | (unsafe_add(mark, 2**95) >> 96)
        | (unsafe_add(won, 2**47) >> 48)
        == 0
    ), "word: value too large"
    return [
        (long_index & MASK_104)
        | ((short_index & MASK_104) << 104)
        | (m.accrued_at << 208)
        | (m.stopped << 240)
        | (m.easing << 248),
        (rate & MASK_80) | (gap << 80) | (notional_sum << 136),
        longs | (shorts << 96) | (m.requirement << 192),
        (index_sum & MASK_112) | ((mark & MASK_96) << 112) | (won << 208),
    ]


@internal
@pure
def _pack_forced(m: Market) -> uint256:
    forced: uint256 = convert(convert(m.forced, bytes32), uint256)
    assert (
        (unsafe_add(forced, 2**103) >> 104) | (m.forced_at >> 48) == 0
    ), "word: value too large"
    return (forced & MASK_104) | (m.forced_at << 104)


@internal
@pure
def _is_easing(first: uint256) -> bool:
    """
    @notice Whether the fifth word counts, from the first
    """
    return first >> 248 != 0


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
    gap: int256 = convert((second >> 80) & MASK_56, int256)
    elapsed: int256 = convert(block.timestamp - ((first >> 208) & MASK_32), int256)
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
def _remembered(won: int256, elapsed: int256) -> int256:
    """
    @notice What still counts of the pool's result realised `elapsed` seconds ago: it falls like
            exp(-elapsed / WON_SPAN), as 1 / (1 + x + x^2 / 2); towards 0
    """
    return won * 2 * WON_SPAN**2 // (2 * WON_SPAN**2 + (2 * WON_SPAN + elapsed) * elapsed)


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
