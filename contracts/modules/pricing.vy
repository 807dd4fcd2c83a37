# pragma version 0.4.3
"""
@title What one unit of an instrument is worth
@notice The only place that asks which kind an instrument is. Trade, funding, margin and
        liquidation see a payoff and a fair value.
@custom:units prices WAD quote per unit
"""

KIND_FUTURE: constant(uint256) = 0


@internal
@pure
def _payoff(kind: uint256, index: uint256) -> uint256:
    """
    @notice What funding pulls the instrument to
    """
    assert kind == KIND_FUTURE, "pricing: kind not priced"
    return index


@internal
@pure
def _fair(kind: uint256, index: uint256) -> uint256:
    """
    @notice Fair value theta at an index price; a future is worth its index
    """
    assert kind == KIND_FUTURE, "pricing: kind not priced"
    return index
