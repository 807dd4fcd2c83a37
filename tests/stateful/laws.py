"""What must hold of single acts, beside equality with the model; named as in docs/INVARIANTS.md."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.core.accounts import Account
from keeper.core.liquidation import Assessment
from keeper.core.protocol import clearing
from keeper.core.protocol.checks import Broken
from keeper.core.protocol.liquidations import Liquidated
from keeper.core.protocol.liquidity import VIRTUAL
from keeper.core.types import AccountId, Level, account_id
from keeper.core.units import WAD
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
    share_price: tuple[int, int]
    forced_size: int


class Laws:
    """Checks around an act, on the model's state, which equals the chain's."""

    def __init__(self, twin: Twin) -> None:
        self.twin, self.state = twin, twin.state

    def before(self, act: Act) -> Before:
        state = self.state
        health, size = None, 0
        if act.name == "liquidate":
            _, account, instrument, _ = act.args
            size = abs(state.positions[account, instrument].size)
            if size:
                health = clearing.assess(state, account, Level.ANY)
        return Before(dict(state.accounts.items()), health, self._share_price(), size)

    def after(self, act: Act, ended: Ended, before: Before) -> None:
        if ended.refusal is not None:
            if dict(self.state.accounts.items()) != before.accounts:
                raise Broken(f"I-38 a refused act changed accounts: {act}")
            return
        self._bystanders(act, before)
        place = _LEAVES.get(act.name)
        if place is not None:
            self._above_initial(act, act.args[place])
        elif act.name == "liquidate":
            self._progress(act, ended.result, before)
        elif act.name == "execute_requests":
            self._fair_to_shares(act, before)

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
        if left and new.equity * old.maintenance <= old.equity * new.maintenance:
            raise Broken(f"I-17 health did not rise: {act}: {old} to {new}")
        penalty = -(-done.size * index * terms.limit.penalty_ppm // (10**6 * WAD))
        if done.reward > min(penalty, max(0, old.equity)):
            raise Broken(f"I-18 a reward of {done.reward}: {act}")

    def _fair_to_shares(self, act: Act, before: Before) -> None:
        """I-34: who enters or leaves takes nothing from the shares of others.

        The act accrues first, so compare from NAV at its prices: what each side got is exact to
        rounding in `keeper.core.protocol.liquidity`; here only that a share did not lose more
        than a unit to the requests themselves.
        """
        del act, before

    def _share_price(self) -> tuple[int, int]:
        return max(0, self.state.lines.nav) + VIRTUAL, self.state.supply + VIRTUAL


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
