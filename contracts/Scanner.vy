# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Scanner
@notice What is not linear in the price: options and powers, and what a book of them can lose.
        The RiskEngine asks for it where a book holds more than futures.
@dev Pure: no storage, no owner, no price of its own. Terms come as packed words.
@custom:units prices, sizes, money WAD
@custom:rounding values down, losses up, exposures towards 0
@custom:halt nothing to halt
"""

from contracts.interfaces import IScanner
from contracts.modules import pricing
from contracts.modules import scenarios
from contracts.modules import terms

implements: IScanner


@external
@pure
@reentrant
def price(risk: uint256, scan: uint256, index: uint256) -> (uint256, uint256, int256):
    """
    @notice (fair value, payoff, delta) of one unit, WAD.
    @param risk word of terms
    @param scan word of terms of its underlying
    """
    sigma: uint256 = terms._sigma(scan, risk)
    fair: uint256 = 0
    payoff: uint256 = 0
    fair, payoff = pricing._value(risk, sigma, index)
    return fair, payoff, pricing._delta(risk, sigma, index, fair)


@external
@pure
@reentrant
def measure(
    legs: DynArray[scenarios.Leg, 16], at: scenarios.Point, netted: bool
) -> (uint256, int256):
    """
    @notice (loss, directional exposure) of positions on one underlying.
    @param netted together; else each alone, losses added, no exposure
    """
    return scenarios._measure(legs, at, netted)
