# pragma version 0.4.3
"""
@title What a trade costs (docs/SPEC.md 5.7 to 5.10, 8.4)
@notice Pure laws, asked by whoever trades and by whoever shows what a trade would cost.
@custom:units sizes, prices, money WAD; rates ppm, in the words of modules/terms.vy
@custom:signs size and delta > 0 long; a cost > 0 is paid by the account
@custom:rounding costs and fees up
"""

from contracts.modules import terms
from contracts.modules import wad_math

WAD: constant(int256) = 10**18
PPM: constant(int256) = 10**6


@internal
@pure
def _is_reduction(size: int256, delta: int256) -> bool:
    """
    @notice Whether a trade only shrinks a position
    """
    return size * delta < 0 and abs(delta) <= abs(size)


@internal
@pure
def _leaves_dust(size: int256, price: int256, limit: uint256) -> bool:
    """
    @notice Whether a position would be worth less than the least that may stand
    """
    return size != 0 and abs(size) * price < convert(terms._min_notional(limit), int256) * WAD


@internal
@pure
def _premium_cost(index: int256, depth: int256, delta: int256, premium_net: int256) -> int256:
    """
    @notice What moving the premium from premium_net to premium_net + delta costs: the integral,
            so that splitting a trade gains nothing
    """
    return wad_math._ceil_div(index * delta * (2 * premium_net + delta), 2 * depth * WAD)


@internal
@pure
def _trading_fee(delta: int256, net: int256, price: int256, fill: uint256) -> int256:
    """
    @notice Maker rate on the part that brings the pool nearer to flat, taker on the rest
    @param net WAD, longs less shorts before the trade
    """
    maker: int256 = 0
    if delta * net < 0:
        maker = min(abs(delta), abs(net))
    rates: int256 = (
        maker * convert(terms._maker_ppm(fill), int256)
        + (abs(delta) - maker) * convert(terms._taker_ppm(fill), int256)
    )
    return wad_math._ceil_div(rates * price, PPM * WAD)


@internal
@pure
def _gap_fee(size: int256, delta: int256, price: int256, fill: uint256) -> int256:
    """
    @notice A day of the gap fee on what a trade opens
    """
    opened: int256 = abs(delta)
    if size * delta < 0:
        opened -= min(opened, abs(size))
    return wad_math._ceil_div(
        opened * price * convert(terms._gap_ppm(fill), int256), PPM * 365 * WAD
    )


@internal
@pure
def _forced_charges(
    delta: int256, index: int256, net: int256, equity: int256, fill: uint256, limit: uint256
) -> (int256, int256, int256, int256):
    """
    @notice What closing by force costs beside fair value: fee and penalty take no more than the
            spread leaves of the equity.
    @return (spread to the pool, fee, penalty, the liquidator's part of the penalty)
    """
    turnover: int256 = abs(delta) * index
    spread: int256 = wad_math._ceil_div(
        turnover * convert(terms._lambda_ppm(limit), int256), PPM * WAD
    )
    left: int256 = max(equity - spread, 0)
    fee: int256 = min(self._trading_fee(delta, net, index, fill), left)
    penalty: int256 = min(
        wad_math._ceil_div(turnover * convert(terms._penalty_ppm(limit), int256), PPM * WAD),
        left - fee,
    )
    reward: int256 = penalty * convert(terms._liquidator_bps(limit), int256) // 10_000
    return spread, fee, penalty, reward
