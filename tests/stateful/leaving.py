"""From wherever a walk has led, everybody goes home (I-43)."""

from __future__ import annotations

from keeper.core.protocol import debts
from keeper.core.protocol.lifecycle import LATE
from keeper.core.protocol.markets import SHORTS_LOST
from keeper.core.protocol.orders import Ending
from keeper.core.protocol.state import CLEARINGHOUSE, SETTLEMENT, Order, Side
from keeper.core.quotes import Report
from keeper.core.types import AccountId, InstrumentId, Status, owner_of
from tests.stateful.scene import Scene
from tests.stateful.twin import Act, Ended

ROUNDS = 12  # of closing and liquidating, until no position is left
WHOLE = 2**256 - 1


class Exodus:
    """Closes every position, pays every debt, takes everything out, through acts on both sides."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.twin, self.state = scene, scene.twin, scene.twin.state
        self._salt = 2**64

    def run(self) -> None:
        """Everybody out; each act that has to succeed is insisted upon."""
        for instrument in self.twin.instruments:
            if self.state.listed(instrument).fill.status >= Status.DELISTING:
                self._end_instrument(instrument)
            else:
                self._must("set_status", instrument, 0)
        self._end_orders()
        for _ in range(ROUNDS):
            self._close_positions()
            self._liquidate()
            if not any(self.state.accounts[one].book for one in self.scene.accounts):
                break
        for account in self.twin.accounts:
            self._pay_debt(account)
        for account in self.twin.accounts:
            self._take_all(account)
            self._must("absorb", account)  # what was recorded of a deficit is forgotten
        self._close_pool()
        self.twin.sweep()

    def _may(self, name: str, *args: object) -> Ended:
        act = Act(name, args)
        ended = self.twin.act(act)
        self.twin.check(act)
        return ended

    def _must(self, name: str, *args: object) -> Ended:
        ended = self._may(name, *args)
        assert ended.refusal is None, f"I-43 {name} {args}: {ended.refusal}"
        return ended

    def _refresh(self, seconds: int) -> int:
        """Time passes, then every feed has a slot of now at its last price; returns the slot."""
        self.twin.pass_time(seconds)
        quorum = self.twin.signer.reporters[: self.state.parameters.quorum]
        for feed, stored in list(self.state.prices.items()):
            assert stored is not None
            reports = tuple(Report(who, stored.median, 100) for who in quorum)
            self._must("post", feed, self.state.now, stored.slot, reports)
        return self.state.now

    def _end_orders(self) -> None:
        live = [order for order, found in self.state.orders.items() if found is not None]
        self.twin.pass_time(self.state.parameters.order_window_seconds + 10)
        for order in live:
            self._must("cancel", owner_of(order.account), order)

    def _end_instrument(self, instrument: InstrumentId) -> None:
        """What is to be delisted, or settles already, goes to its end: every position settled."""
        if not self.state.listed(instrument).settles:
            left = self.state.settlements[instrument].at - self.state.now
            slot = self._refresh(max(left + LATE, 1))
            self._must("settle_instrument", instrument, slot)
        side = -1 if self.state.markets[instrument].stopped == SHORTS_LOST else 1
        losers_first = sorted(
            self.scene.accounts, key=lambda one: -side * self.state.positions[one, instrument].size
        )
        self._must("settle_positions", tuple(losers_first), instrument)
        totals = self.state.markets[instrument]
        assert (totals.long_interest, totals.short_interest, totals.mark) == (0, 0, 0)

    def _close_positions(self) -> None:
        """A reduce-only order for each position, filled at the price as it is."""
        self._refresh(1)
        committed = []
        for account in self.scene.accounts:
            for instrument in self.state.accounts[account].book:
                self._salt += 1
                size = -self.state.positions[account, instrument].size
                order = Order(account, instrument, size, 0, True, 0, self._salt)
                if self._may("commit", owner_of(account), order).refusal is None:
                    committed.append(order)
        slot = self._refresh(self.state.parameters.order_delay_seconds)
        for order in committed:
            ended = self._must("execute", self.scene.keeper, order, slot)
            assert ended.result in (Ending.FILLED, Ending.MARGIN), f"I-13 {order}: {ended.result}"

    def _liquidate(self) -> None:
        """What could not close itself is closed by force; grace passes between two rounds."""
        for account in self.scene.accounts:
            for instrument in self.state.accounts[account].book:
                self._may("liquidate", self.scene.keeper, account, instrument, WHOLE)
            if self.state.accounts[account].book:
                self._may("call", account)
        self._refresh(max(1, self.state.parameters.calls.grace_cross))

    def _pay_debt(self, account: AccountId) -> None:
        """Insurance pays what it may of a deficit; the owner, who could walk away, the rest."""
        self._must("absorb", account)
        debt = self.state.accounts[account].debt + debts.owed(self.state, account)
        if debt:
            self._must("deposit", self.scene.keeper, account, -(-debt // 10**12))

    def _take_all(self, account: AccountId) -> None:
        owner = owner_of(account)
        for place in range(len(self.state.tokens)):
            held = self.state.collateral[account, place]
            if held:
                self._must("withdraw_collateral", owner, account, place, held, owner)
        units = self.state.accounts[account].cash // 10**12
        if self.state.lines.pool < 0:
            # winners have realised more than the pool had: who comes last finds no tokens
            units = min(units, self.state.wallets[SETTLEMENT, CLEARINGHOUSE])
        if units:
            self._must("withdraw", owner, account, units, owner)

    def _close_pool(self) -> None:
        """Providers ask, wait, and claim; what the pool does not have they leave behind."""
        self._claim_all()
        delay = self.state.parameters.request_delay_seconds
        window = self.state.parameters.request_window_seconds
        self.twin.pass_time(delay + window + 1)
        self._must("lapse_requests", tuple(self.scene.providers), tuple(self.scene.providers))
        asking = []
        for provider in self.scene.providers:
            shares = self.state.shares[provider]
            if shares:
                self._must("request_redeem", provider, shares, provider, provider, 0)
                asking.append(provider)
        self._refresh(delay)
        if asking:
            self._must("execute_requests", (), tuple(asking))
        self._claim_all()

    def _claim_all(self) -> None:
        for provider in self.scene.providers:
            if self.state.claims[Side.ENTRY, provider].amount:
                amount = self.state.claims[Side.ENTRY, provider].amount
                self._must("claim_deposit", provider, amount, provider, provider)
            if self.state.claims[Side.EXIT, provider].amount:
                amount = self.state.claims[Side.EXIT, provider].amount
                self._must("claim_redeem", provider, amount, provider, provider)
            if self.state.returned[provider]:
                self._must("claim_returned", provider, provider, provider)
