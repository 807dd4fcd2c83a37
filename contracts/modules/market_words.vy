# pragma version 0.4.3
"""
@title The state of one instrument, packed in five words (docs/SPEC.md 5.1)
@notice Funding, gap fee and deficit shares all flow through one money index per side.
@custom:signs index > 0: the side owes; rate > 0: longs pay; forced > 0: longs were added by force
@custom:units WAD; indices and rates per unit of size; times unix seconds
"""

from contracts.modules import wad_math
from contracts.modules import words

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


@internal
@pure
def _unpack(w: uint256[5]) -> Market:
    return Market(
        long_index=words._signed(w[0], 0, 104),
        short_index=words._signed(w[0], 104, 104),
        forced_at=words._unsigned(w[0], 208, 48),
        rate=words._signed(w[1], 0, 80),
        accrued_at=words._unsigned(w[1], 80, 32),
        gap=convert(words._unsigned(w[1], 112, 56), int256),
        forced=words._signed(w[1], 168, 88),
        long_interest=convert(words._unsigned(w[2], 0, 96), int256),
        short_interest=convert(words._unsigned(w[2], 96, 96), int256),
        stopped=words._unsigned(w[2], 192, 8),
        notional_sum=words._signed(w[3], 0, 128),
        index_sum=words._signed(w[3], 128, 128),
        mark=words._signed(w[4], 0, 128),
        requirement=words._unsigned(w[4], 128, 128),
        gap_due=0,
    )


@internal
@pure
def _pack(m: Market) -> uint256[5]:
    return [
        words._put_signed(m.long_index, 0, 104)
        | words._put_signed(m.short_index, 104, 104)
        | words._put_unsigned(m.forced_at, 208, 48),
        words._put_signed(m.rate, 0, 80)
        | words._put_unsigned(m.accrued_at, 80, 32)
        | words._put_unsigned(convert(m.gap, uint256), 112, 56)
        | words._put_signed(m.forced, 168, 88),
        words._put_unsigned(convert(m.long_interest, uint256), 0, 96)
        | words._put_unsigned(convert(m.short_interest, uint256), 96, 96)
        | words._put_unsigned(m.stopped, 192, 8),
        words._put_signed(m.notional_sum, 0, 128) | words._put_signed(m.index_sum, 128, 128),
        words._put_signed(m.mark, 0, 128) | words._put_unsigned(m.requirement, 128, 128),
    ]


@internal
@view
def _indices(first: uint256, second: uint256) -> (int256, int256):
    """
    @notice Money indices of (longs, shorts) accrued to this block, from the first two words
    """
    rate: int256 = words._signed(second, 0, 80)
    gap: int256 = convert(words._unsigned(second, 112, 56), int256)
    elapsed: int256 = convert(block.timestamp - words._unsigned(second, 80, 32), int256)
    return (
        words._signed(first, 0, 104) + (rate + gap) * elapsed,
        words._signed(first, 104, 104) + (gap - rate) * elapsed,
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
