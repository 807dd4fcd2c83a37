# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title A push feed of the aggregator form, as a price source
@notice Adapter between one aggregator proxy and the OracleHub. It keeps nothing and has no
        owner: to change the figures below, deploy another and point the feed to it.
@dev Trust: the proxy's operator, who may start a new phase at any time. Rounds of a phase that
     is over are refused, so that nobody picks between two phases. The first round of a phase
     says nothing about the time before it; it claims the one second it surely owns, so that
     the price moves on and no order can take it for the first after its due time.
@custom:units answer in the proxy's decimals, asked each time; WAD outside; times unix seconds
@custom:halt nothing to halt: views only
"""

from contracts.interfaces import IAggregator
from contracts.interfaces import IPriceSource

implements: IPriceSource

MAX_DECIMALS: constant(uint256) = 18
MAX_CONFIDENCE_PPM: constant(uint256) = 100_000  # 10 %
PHASE_SHIFT: constant(uint256) = 64
ROUND_MASK: constant(uint256) = 2**64 - 1
MAX_ROUND_ID: constant(uint256) = 2**80 - 1

PROXY: public(immutable(IAggregator))
CONFIDENCE_PPM: public(immutable(uint256))  # the feed's deviation threshold


@deploy
def __init__(proxy: IAggregator, confidence_ppm: uint256):
    """
    @param confidence_ppm how far the market may be from an answer before a new one comes: the
           deviation threshold that the feed's operator publishes
    @custom:reverts aggregator: has no code, decimals above 18, confidence out of range
    """
    assert proxy.address.is_contract, "aggregator: has no code"
    assert confidence_ppm >= 1, "aggregator: conf out of range"
    assert confidence_ppm <= MAX_CONFIDENCE_PPM, "aggregator: conf out of range"
    decimals: uint8 = staticcall proxy.decimals()
    assert convert(decimals, uint256) <= MAX_DECIMALS, "aggregator: decimals above 18"
    PROXY = proxy
    CONFIDENCE_PPM = confidence_ppm


@external
@view
@reentrant
def read(hint: uint256) -> (uint256, uint256, uint256, uint256):
    """
    @notice One round of the proxy's present phase.
    @param hint round id of the proxy; 0 for the newest
    @return (price WAD, confidence ppm, updated at, updated at of the round before)
    @custom:reverts aggregator: no such round, round of an old phase, no answer, answer not
            positive, answer at its clamp, decimals above 18
    """
    round_id: uint80 = 0
    answer: int256 = 0
    started_at: uint256 = 0
    updated_at: uint256 = 0
    answered_in: uint80 = 0
    round_id, answer, started_at, updated_at, answered_in = staticcall PROXY.latestRoundData()
    if hint != 0:
        assert hint <= MAX_ROUND_ID, "aggregator: no such round"
        phase: uint256 = convert(round_id, uint256) >> PHASE_SHIFT
        assert hint >> PHASE_SHIFT == phase, "aggregator: round of old phase"
        round_id = convert(hint, uint80)
        round_id, answer, started_at, updated_at, answered_in = staticcall PROXY.getRoundData(
            round_id
        )
    assert updated_at != 0, "aggregator: no answer"
    assert answer > 0, "aggregator: answer not positive"
    clamp: IAggregator = IAggregator(staticcall PROXY.aggregator())
    lowest: int192 = staticcall clamp.minAnswer()
    highest: int192 = staticcall clamp.maxAnswer()
    assert answer > convert(lowest, int256), "aggregator: answer at its clamp"
    assert answer < convert(highest, int256), "aggregator: answer at its clamp"

    decimals: uint8 = staticcall PROXY.decimals()
    assert convert(decimals, uint256) <= MAX_DECIMALS, "aggregator: decimals above 18"
    # an answer below the clamp's int192 times 10^18 stays below 2^251
    price_wad: uint256 = convert(answer, uint256) * 10 ** (
        MAX_DECIMALS - convert(decimals, uint256)
    )
    return price_wad, CONFIDENCE_PPM, updated_at, self._previous(round_id, updated_at)


@internal
@view
def _previous(round_id: uint80, updated_at: uint256) -> uint256:
    """
    @notice When the round before was updated; a second before this one if there is none.
    """
    if convert(round_id, uint256) & ROUND_MASK <= 1:
        return updated_at - 1
    before: uint80 = 0
    answer: int256 = 0
    started_at: uint256 = 0
    previous: uint256 = 0
    answered_in: uint80 = 0
    before, answer, started_at, previous, answered_in = staticcall PROXY.getRoundData(round_id - 1)
    if previous == 0:
        return updated_at - 1
    return previous
