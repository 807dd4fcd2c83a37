"""The whole protocol as one state machine: every act of the contracts, in exact integers.

    protocol = Protocol(State(parameters, feeds, tokens, instruments, now))
    protocol.deposit(caller, account, 5_000_000)     # returns what the contract returns
    protocol.withdraw(caller, account, 9, receiver)  # Refused("account: below initial margin")

An act happens whole, or is refused with the text of the contract and leaves no trace. Time
passes by `state.now`; nothing else moves without an act.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from keeper.core.protocol import (
    clearing,
    collateral,
    debts,
    lifecycle,
    liquidations,
    liquidity,
    markets,
    oracle,
    orders,
    samples,
    topups,
)
from keeper.core.protocol.state import CLEARINGHOUSE, SETTLEMENT, State
from keeper.core.types import Address
from keeper.core.units import MICRO

P = ParamSpec("P")
R = TypeVar("R")


def _act(
    function: Callable[Concatenate[State, P], R],
) -> Callable[Concatenate[Protocol, P], R]:
    """A function of the state as an act: whole or not at all."""

    def whole(protocol: Protocol, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with protocol.state.attempt():
            return function(protocol.state, *args, **kwargs)

    return whole


def _collect_protocol(state: State, receiver: Address) -> int:
    """The governor takes the protocol's fees, whole native units of them."""
    scale = state.parameters.scale
    amount = state.lines.protocol * MICRO // scale
    markets.change_lines(state, protocol=-(amount * scale // MICRO))
    state.send(SETTLEMENT, CLEARINGHOUSE, receiver, amount)
    return amount


def _donate(state: State, caller: Address, amount: int) -> None:
    """Someone sends settlement tokens to the Clearinghouse without a call (I-07)."""
    state.send(SETTLEMENT, caller, CLEARINGHOUSE, amount)
    state.dust += amount


class Protocol:
    """The acts; `state` may be read at any time."""

    def __init__(self, state: State) -> None:
        self.state = state

    # Clearinghouse
    deposit = _act(clearing.deposit)
    withdraw = _act(clearing.withdraw)
    move_cash = _act(clearing.move_cash)
    move_position = _act(clearing.move_position)
    set_mode = _act(clearing.set_mode)
    fund_insurance = _act(clearing.fund_insurance)
    accrue_debt = _act(debts.accrue)
    collect_protocol = _act(_collect_protocol)
    donate = _act(_donate)

    # Markets and Instruments
    accrue = _act(markets.accrue)
    set_status = _act(lifecycle.set_status)
    halt = _act(lifecycle.halt)
    resume = _act(lifecycle.resume)
    delist = _act(lifecycle.delist)
    settle_instrument = _act(markets.settle_instrument)

    # OracleHub
    post = _act(oracle.post)

    # Volatility
    sample = _act(samples.sample)

    # Orders
    commit = _act(orders.commit)
    commit_many = _act(orders.commit_many)
    relay_signed = _act(orders.relay_signed)
    cancel_nonces = _act(orders.cancel_nonces)
    set_delegate = _act(orders.set_delegate)
    trigger = _act(orders.trigger)
    cancel = _act(orders.cancel)
    execute = _act(orders.execute)
    execute_many = _act(orders.execute_many)
    expire = _act(orders.expire)

    # Liquidator
    call = _act(liquidations.call)
    liquidate = _act(liquidations.liquidate)
    liquidate_many = _act(liquidations.liquidate_many)
    settle_positions = _act(liquidations.settle_positions)
    absorb = _act(liquidations.absorb)
    mark_debt = _act(liquidations.mark_debt)
    repay_with_collateral = _act(liquidations.repay_with_collateral)

    # TopUps
    set_top_up = _act(topups.set_rule)
    top_up = _act(topups.top_up)

    # Vault
    deposit_collateral = _act(collateral.deposit)
    withdraw_collateral = _act(collateral.withdraw)
    move_collateral = _act(collateral.move)

    # LiquidityPool
    request_deposit = _act(liquidity.request_deposit)
    request_redeem = _act(liquidity.request_redeem)
    set_operator = _act(liquidity.set_operator)
    execute_requests = _act(liquidity.execute)
    lapse_requests = _act(liquidity.lapse)
    mark = _act(liquidity.mark)
    claim_deposit = _act(liquidity.deposit)
    claim_mint = _act(liquidity.mint)
    claim_redeem = _act(liquidity.redeem)
    claim_withdraw = _act(liquidity.withdraw)
    claim_returned = _act(liquidity.claim_returned)
    transfer_shares = _act(liquidity.transfer)
