# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title A push feed for development chains: anybody pushes answers and starts phases
@notice Proxy and aggregator in one, of the form that IAggregator describes.
@dev Never deploy it where a price is worth something.
@custom:units answers in `decimals`, signed as the form has them
"""

from contracts.interfaces import IAggregator

implements: IAggregator

PHASE_SHIFT: constant(uint256) = 64


struct Round:
    answer: int256
    updated_at: uint256


decimals: public(uint8)
minAnswer: public(int192)
maxAnswer: public(int192)
phase: public(uint256)
latest: HashMap[uint256, uint256]              # phase -> its newest round, from 1
rounds: HashMap[uint256, HashMap[uint256, Round]]  # phase -> round


@deploy
def __init__(decimals: uint8):
    self.decimals = decimals
    self.minAnswer = 1
    self.maxAnswer = max_value(int192)
    self.phase = 1


@external
def push(answer: int256, updated_at: uint256):
    """
    @notice The next round of the present phase.
    """
    number: uint256 = self.latest[self.phase] + 1
    self.latest[self.phase] = number
    self.rounds[self.phase][number] = Round(answer=answer, updated_at=updated_at)


@external
def start_phase():
    """
    @notice As when an operator replaces the aggregator behind the proxy.
    """
    self.phase += 1


@external
def set_clamp(lowest: int192, highest: int192):
    self.minAnswer = lowest
    self.maxAnswer = highest


@external
def set_decimals(decimals: uint8):
    self.decimals = decimals


@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    return self._round(self.phase, self.latest[self.phase])


@external
@view
def getRoundData(round_id: uint80) -> (uint80, int256, uint256, uint256, uint80):
    """
    @notice Zeros for a round that is not there.
    """
    full: uint256 = convert(round_id, uint256)
    return self._round(full >> PHASE_SHIFT, full & (2**PHASE_SHIFT - 1))


@external
@view
def aggregator() -> address:
    return self


@internal
@view
def _round(phase: uint256, number: uint256) -> (uint80, int256, uint256, uint256, uint80):
    found: Round = self.rounds[phase][number]
    round_id: uint80 = convert((phase << PHASE_SHIFT) | number, uint80)
    return round_id, found.answer, found.updated_at, found.updated_at, round_id
