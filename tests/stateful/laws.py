"""What must hold of single acts, beside equality with the model; named as in docs/INVARIANTS.md."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

from keeper.core import liquidation
from keeper.core.accounts import Account
from keeper.core.liquidation import Assessment
from keeper.core.protocol import clearing
from keeper.core.protocol.checks import Broken
from keeper.core.protocol.liquidations import Liquidated
from keeper.core.protocol.state import Order
from keeper.core.types import AccountId, Level, Mode, account_id, owner_of
from keeper.core.units import WAD
from tests.stateful import pool_laws
from tests.stateful.twin import Act, Ended, Twin

# After one of these the account that value left is above initial margin: where it stands in args.
_LEAVES = {
    "withdraw": 1,
    "move_cash": 1,
    "move_position": 1,
    "withdraw_collateral": 1,
    "move_collateral": 1,
    "set_mode": 1,
}


@dataclass(frozen=True, slots=True)
class Before:
    """What a law compares with."""

    accounts: dict[AccountId, Account]
    health: Assessment | None
    preview: Any  # what the lens says that the act will do
    pool: pool_laws.Before


class Laws:
    """Checks around an act, on the model's state, which equals the chain's."""

    def __init__(self, twin: Twin) -> None:
        self.twin, self.state = twin, twin.state

    def before(self, act: Act) -> Before:
        """What has to be known before an act to judge it afterwards."""
        state, health = self.state, None
        if act.name == "liquidate":
            _, account, instrument, _ = act.args
            if state.positions[account, instrument].size:
                health = clearing.assess(state, account, Level.ANY)
        pool = pool_laws.before(state, act.name, act.args)
        return Before(dict(state.accounts.items()), health, self._preview(act), pool)

    def after(self, act: Act, ended: Ended, before: Before) -> None:
        """Judge an act; Broken names the law."""
        self._foreseen(act, ended, before.preview)
        if ended.refusal is not None:
            if dict(self.state.accounts.items()) != before.accounts:
                raise Broken(f"I-38 a refused act changed accounts: {act}")
            return
        self._bystanders(act, before)
        pool_laws.after(self.state, act.name, act.args, ended.result, before.pool)
        place = _LEAVES.get(act.name)
        if place is not None:
            self._above_initial(act, act.args[place])
        elif act.name == "liquidate":
            self._progress(act, ended.result, before)

    def _preview(self, act: Act) -> Any:
        """What the lens foresees of an act that its owner, or anyone, may do."""
        lens = self.twin.world.lens
        if act.name == "liquidate":
            who, account, instrument, most = act.args
            if owner_of(account) != who and most >= 1 << 255:
                return lens.preview_liquidation(account, instrument)
        elif act.name == "commit":
            who, order = act.args
            if owner_of(order.account) == who and _in_words(order):
                return lens.preview_order(astuple(order))
        elif act.name == "withdraw":
            who, account, amount, _ = act.args
            if owner_of(account) == who and amount:
                return lens.preview_withdraw(account)
        return None

    def _foreseen(self, act: Act, ended: Ended, preview: Any) -> None:
        """I-41: preview equals act."""
        if preview is None:
            return
        if act.name == "withdraw":
            amount = act.args[2]
            if (amount <= preview) != (ended.refusal is None):
                raise Broken(f"I-41 of {preview} withdrawable: {act} {ended.label}")
            return
        if preview.refusal != (ended.refusal or ""):
            raise Broken(f"I-41 {preview} before {act}, which was {ended.label!r}")
        if ended.refusal is not None:
            return
        done = ended.result
        if act.name == "commit":
            if (preview.reserve, preview.lapse) != (done.reserved, done.lapse):
                raise Broken(f"I-41 {preview} before {act}, which made {done}")
        elif (abs(preview.size), preview.reward) != (done.size, done.reward):
            raise Broken(f"I-41 {preview} before {act}, which did {done}")

    def _bystanders(self, act: Act, before: Before) -> None:
        """I-15, I-20, I-21: no act touches an account that has no part in it."""
        changed = [
            account
            for account, record in self.state.accounts.items()
            if record is not before.accounts.get(account)
        ]
        if not changed:
            return
        part = set(_parties(act.args))
        if act.name == "top_up":
            part.add(account_id(owner_of(act.args[0]), 0))
        for account in changed:
            if account not in part:
                raise Broken(f"I-21 {account.hex()} has no part in {act}")

    def _above_initial(self, act: Act, account: AccountId) -> None:
        """I-12, I-15, I-22."""
        state = self.state
        record = state.accounts[account]
        if not record.book and record.cash >= record.reserved:
            return
        found = clearing.assess(state, account, Level.ANY)
        if found.equity_initial < found.initial + record.reserved:
            raise Broken(f"I-12 below initial margin after {act}")
        if act.name != "set_mode" and (
            found.settled_cash + found.collateral_initial < record.reserved
        ):
            raise Broken(f"I-22 a gain left with {act}")

    def _progress(self, act: Act, done: Liquidated, before: Before) -> None:
        """I-16, I-17, I-18."""
        state = self.state
        _, account, instrument, _ = act.args
        old = before.health
        assert old is not None
        if old.equity >= old.maintenance:
            raise Broken(f"I-16 a healthy account was liquidated: {act}")
        terms = state.listed(instrument)
        stored = state.prices[terms.underlying.feed]
        assert stored is not None
        index = stored.median * 10 ** (18 - state.feeds[terms.underlying.feed].decimals)
        left = abs(state.positions[account, instrument].size)
        if left and left * index < terms.limit.min_notional_wad * WAD:
            raise Broken(f"I-17 a rest below the minimum stays: {act}")
        new = clearing.assess(state, account, Level.ANY)
        # a portfolio below the hard level may lose a hedge on the way to nothing
        hedged = before.accounts[account].mode is Mode.PORTFOLIO and liquidation.below_hard(
            old, state.parameters.calls
        )
        if left and not hedged and new.equity * old.maintenance <= old.equity * new.maintenance:
            raise Broken(f"I-17 health did not rise: {act}: {old} to {new}")
        penalty = -(-done.size * index * terms.limit.penalty_ppm // (10**6 * WAD))
        if done.reward > min(penalty, max(0, old.equity)):
            raise Broken(f"I-18 a reward of {done.reward}: {act}")


def _in_words(order: Order) -> bool:
    """Whether an order's figures fit the words of a call."""
    return abs(order.size) < 1 << 255 and max(order.acceptable, order.execution_fee) < 1 << 256


def _parties(args: object) -> list[bytes]:
    """Accounts that an act names, and bucket 0 of every wallet it names."""
    found: list[bytes] = []
    if isinstance(args, (tuple, list)):
        for one in args:
            found.extend(_parties(one))
    elif isinstance(args, bytes):
        found.append(args if len(args) == 32 else account_id(args, 0))  # type: ignore[arg-type]
    elif hasattr(args, "account"):
        found.append(args.account)
    return found
