"""One round of decisions at one head: plan, confirm on chain, journal, submit, urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from keeper.config import Config
from keeper.core import plan, relays, schedule
from keeper.core.index import Index
from keeper.core.plan import Health, Target
from keeper.core.reports import PriceReport
from keeper.core.schedule import Posting
from keeper.core.types import AccountId, FeedId
from keeper.core.units import WAD
from keeper.edges import abi
from keeper.edges.acts import Act, Result, Unsafe
from keeper.edges.addresses import AddressBook
from keeper.edges.chain import Call, Header, RpcError
from keeper.edges.desk import Desk, relay_name, slot_name
from keeper.edges.inbox import Inbox
from keeper.edges.parameters import Views
from keeper.edges.reporter import Reporter
from keeper.edges.store import Store
from keeper.edges.submitter import Submitter
from keeper.edges.telemetry import Metrics, logger

MAX_POSTS = 8  # slots in one transaction
CALLS = 4  # calls of accounts in one round: each is a transaction of its own
TRIGGERS = 16  # of waiting orders, likewise
EXPIRIES = 4  # likewise
SETTLED = 16  # positions in one transaction
RELAYS = 8  # of signed orders, likewise

T = TypeVar("T")


class Rounds:
    """Decides and acts for one deployment."""

    def __init__(
        self,
        config: Config,
        addresses: AddressBook,
        views: Views,
        store: Store,
        submitter: Submitter,
        reporter: Reporter | None,
        metrics: Metrics,
        settlement: bytes,
    ) -> None:
        self._settlement = settlement
        self._config, self._addresses, self._views = config, addresses, views
        self._store, self._submitter, self._reporter = store, submitter, reporter
        self._metrics = metrics
        self._desk = Desk(addresses)
        self._inbox = Inbox(config.relay.folder)
        self._looked_at: tuple[object, ...] = ()  # head and reports of the last posting

    def post(self, index: Index, head: Header) -> int:
        """Post what is due of the reports that this keeper holds; how many transactions went."""
        if self._reporter is None or not self._config.duties.prices:
            return 0
        settings = self._config.prices
        said = {feed: self._reporter.said(feed) for feed in index.feeds}
        newest = [reports[-1].report.slot for reports in said.values() if reports]
        looked_at = (head.hash, *newest)
        if looked_at == self._looked_at:
            return 0  # nothing is new since the last look
        chosen = schedule.postings(
            index,
            {feed: [one.report for one in all_said] for feed, all_said in said.items()},
            self._wanted(index),
            Posting(settings.deviation_ppm, settings.heartbeat_seconds),
        )
        chosen = [
            one
            for one in chosen
            if not self._submitter.pending("post", slot_name(one.feed, one.slot))
        ]
        seen = {
            (one.report.feed, one.report.slot): one.seen_at
            for all_said in said.values()
            for one in all_said
        }
        sent = 0
        for batch in _batches(chosen, MAX_POSTS):
            result = self._post(self._reporter, index, head, batch, seen)
            if result is Result.REJECTED and len(batch) > 1:  # one refusal refuses them all
                each = [self._post(self._reporter, index, head, [one], seen) for one in batch]
                sent += each.count(Result.SENT)
            sent += result is Result.SENT
        self._looked_at = looked_at
        return sent

    def _wanted(self, index: Index) -> list[tuple[FeedId, int]]:
        """(feed, time) of which the first slot at or after it is waited for."""
        wanted = list(schedule.due_orders(index).wanting)
        if self._config.duties.volatility:
            wanted += schedule.due_samples(index).wanting
        if self._config.duties.settlements:
            wanted += schedule.endings(index).wanting
        return wanted

    def _post(
        self,
        reporter: Reporter,
        index: Index,
        head: Header,
        batch: Sequence[PriceReport],
        seen: Mapping[tuple[FeedId, int], float | None],
    ) -> Result:
        try:
            signed = [reporter.sign(one, index.parameters.quorum) for one in batch]
        except ValueError as error:
            raise Unsafe(f"prices cannot be posted: {error}") from None
        moments = [seen[one.feed, one.slot] for one in batch]
        newest = max((one for one in moments if one is not None), default=None)
        result = self._submit(self._desk.post(signed, newest), head)
        if result is Result.SENT:
            self._metrics.prices_applied.inc(len(batch))
        return result

    def act(self, index: Index, head: Header, seen_at: float | None) -> int:
        """Everything else that is due at this head; how many transactions went."""
        duties = self._config.duties
        healths = plan.survey(index)
        self._show(index, healths)
        sent = 0
        if duties.calls:
            for account in plan.top_ups(index):
                sent += self._submit(self._desk.top_up(index, account), head) is Result.SENT
        if duties.liquidations:
            sent += self._liquidate(index, head, healths, seen_at)
        if duties.orders:
            sent += self._orders(index, head, seen_at)
            sent += self._relays(index, head)
        if duties.settlements:
            sent += self._settlements(index, head)
        if duties.calls:
            sent += self._calls(index, head, healths, seen_at)
            for account in plan.debt_marks(index, healths):
                sent += self._submit(self._desk.mark_debt(index, account), head) is Result.SENT
        if duties.liquidations:
            for account in plan.deficits(index, healths):
                sent += self._submit(self._desk.absorb(index, account), head) is Result.SENT
        if duties.debt_sales:
            sent += self._debt_sales(index, head, healths)
        if duties.pool:
            for act in self._desk.pool(index, schedule.due_requests(index)):
                sent += self._submit(act, head) is Result.SENT
        if duties.funding:
            longest = self._config.policy.accrue_seconds
            if plan.debt_accrual_due(index, longest):
                sent += self._submit(self._desk.accrue_debt(index), head) is Result.SENT
            due = plan.accruals(index, longest)
            for batch in _batches(due, 16):
                sent += self._submit(self._desk.accrue(index, batch), head) is Result.SENT
        if duties.volatility:
            for one in schedule.due_samples(index).samples:
                sent += self._submit(self._desk.sample(one), head) is Result.SENT
        return sent

    # urgent

    def _liquidate(
        self, index: Index, head: Header, healths: Sequence[Health], seen_at: float | None
    ) -> int:
        policy = self._config.policy
        targets = [
            one
            for one in plan.liquidations(index, healths)
            if not self._submitter.pending("liquidate", one.account.hex())
        ]
        targets = targets[: policy.liquidation_batch * policy.liquidation_rounds]
        if not targets:
            return 0
        of_account = {one.account: _figures(one) for one in healths}
        self._journal(
            index, head, "liquidate",
            [of_account[one.account] for one in targets],
            [[one.account.hex(), one.instrument] for one in targets],
        )  # fmt: skip
        sent = 0
        for batch in _batches(targets, policy.liquidation_batch):
            result = self._submit(self._desk.liquidate(index, batch, seen_at), head)
            if result is Result.REJECTED:  # the simulation would not close them all
                sent += self._liquidate_each(index, head, batch, seen_at)
            sent += result is Result.SENT
        return sent

    def _liquidate_each(
        self, index: Index, head: Header, batch: Sequence[Target], seen_at: float | None
    ) -> int:
        """One by one those that the chain, too, calls liquidatable: none stops the others."""
        confirmed = self._confirmed([one.account for one in batch], head)
        if len(confirmed) < len(batch):
            logger().error(
                "index and chain differ on who is liquidatable",
                block=head.number, index=len(batch), chain=len(confirmed),
            )  # fmt: skip
        acts = [
            self._desk.liquidate(index, [one], seen_at) for one in batch if one.account in confirmed
        ]
        return sum(self._submit(act, head) is Result.SENT for act in acts)

    def _confirmed(self, accounts: Sequence[AccountId], head: Header) -> set[AccountId]:
        """Those that the chain, too, calls liquidatable at this very block."""
        wanted = [("Liquidator", "liquidatable", (account,)) for account in accounts]
        answers = self._views.try_ask(list(wanted), head)
        return {account for account, yes in zip(accounts, answers, strict=True) if yes is True}

    def _orders(self, index: Index, head: Header, seen_at: float | None) -> int:
        due = schedule.due_orders(index)
        fills = [
            one for one in due.fills if not self._submitter.pending("execute", one.order_id.hex())
        ]
        triggers = [
            one
            for one in due.triggers
            if not self._submitter.pending("trigger", one.order_id.hex())
        ]
        if fills or triggers or due.expiries:
            self._journal(
                index, head, "orders", {"live": len(index.live_orders())},
                {"trigger": [[one.order_id.hex(), one.slot] for one in triggers],
                 "fill": [[one.order_id.hex(), one.slot] for one in fills],
                 "expire": [[one.order_id.hex(), one.slot] for one in due.expiries]},
            )  # fmt: skip
        sent = 0
        for one in triggers[:TRIGGERS]:
            sent += self._submit(self._desk.trigger(index, one, seen_at), head) is Result.SENT
        for batch in _batches(fills, self._config.policy.order_batch):
            sent += self._submit(self._desk.execute(index, batch, seen_at), head) is Result.SENT
        for one in due.expiries[:EXPIRIES]:
            sent += self._submit(self._desk.expire(index, one), head) is Result.SENT
        return sent

    def _relays(self, index: Index, head: Header) -> int:
        """Bring signed orders: each at most once, whatever becomes of it (its nonce)."""
        least = int(self._config.relay.min_fee_usd * WAD)
        chosen = [
            one
            for one in relays.relays(index, self._inbox.read(), least)
            if not self._submitter.pending("relay", relay_name(one))
        ][:RELAYS]
        if chosen:
            names = [relay_name(one) for one in chosen]
            self._journal(index, head, "relay", {"least": str(least)}, names)
        acts = [self._desk.relay(index, one) for one in chosen]
        return sum(self._submit(act, head) is Result.SENT for act in acts)

    def _calls(
        self, index: Index, head: Header, healths: Sequence[Health], seen_at: float | None
    ) -> int:
        chosen = plan.calls(healths)[:CALLS]
        if chosen:
            self._journal(index, head, "call", [_figures(one) for one in chosen],
                          [one.account.hex() for one in chosen])  # fmt: skip
        acts = [self._desk.call(index, one.account, seen_at) for one in chosen]
        return sum(self._submit(act, head) is Result.SENT for act in acts)

    def _settlements(self, index: Index, head: Header) -> int:
        """Instruments at their end: their value first, then everybody's positions."""
        due = schedule.endings(index)
        if due.fixable or due.settling:
            self._journal(
                index, head, "settle", {"fixable": due.fixable},
                [[one, [account.hex() for account in holders]] for one, holders in due.settling],
            )  # fmt: skip
        acts = [self._desk.fix_value(index, one, slot) for one, slot in due.fixable]
        for one, holders in due.settling:
            acts.extend(self._desk.settle(index, one, some) for some in _batches(holders, SETTLED))
        return sum(self._submit(act, head) is Result.SENT for act in acts)

    # with the keeper's own money

    def _debt_sales(self, index: Index, head: Header, healths: Sequence[Health]) -> int:
        if not any(one.debt for one in healths):
            return 0
        cash = self._inventory(head)
        least = self._config.policy.min_debt_sale_usd * WAD
        discount = self._config.policy.min_debt_discount_ppm
        sales = plan.debt_sales(index, healths, cash, least, discount)
        tokens = {place: token for token, place in index.places.items()}
        if sales:
            bought = [[one.account.hex(), one.cash, str(one.amount)] for one in sales]
            self._journal(index, head, "debt sale", {"cash": cash}, bought)
        acts = [self._desk.buy_debt(index, one, tokens[one.place]) for one in sales]
        return sum(self._submit(act, head) is Result.SENT for act in acts)

    def _inventory(self, head: Header) -> int:
        """Native settlement tokens that the sender holds and has allowed to be taken."""
        owner, spender = self._submitter.sender, self._addresses.address("Clearinghouse")
        calls = [
            Call(self._settlement, abi.BALANCE_OF.data(owner)),
            Call(self._settlement, abi.ALLOWANCE.data(owner, spender)),
        ]
        answers = self._views.chain.calls(calls, head)
        amounts = [
            0 if isinstance(one, RpcError) else int.from_bytes(one, "big") for one in answers
        ]
        return min(amounts)

    # shared

    def _submit(self, act: Act, head: Header) -> Result:
        return self._submitter.submit(act, head)

    def _journal(self, index: Index, head: Header, kind: str, inputs: Any, outputs: Any) -> None:
        prices = {feed: one.median for feed, one in index.prices.items() if one is not None}
        self._store.journal(
            head.number, head.timestamp, kind, {"prices": prices, "of": inputs}, outputs
        )

    def _show(self, index: Index, healths: Sequence[Health]) -> None:
        states = self._metrics.accounts
        states.labels("all").set(sum(1 for _ in index.accounts))
        states.labels("with positions or debt").set(len(healths))
        states.labels("called").set(sum(one.called for one in healths))
        states.labels("liquidatable").set(sum(one.liquidatable for one in healths))
        self._metrics.orders.set(sum(1 for _ in index.order_ids))
        for feed, stored in index.prices.items():
            if stored is not None:
                name = self._addresses.feed_name(feed)
                self._metrics.price_age.labels(name).set(index.now - stored.slot)


def _figures(health: Health) -> dict[str, Any]:
    """What a decision about an account was made from, as JSON holds it."""
    return {
        "account": health.account.hex(),
        "equity": str(health.equity),
        "maintenance": str(health.maintenance),
        "line": str(health.line),
        "called": health.called,
    }


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
