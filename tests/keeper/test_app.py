"""The whole keeper on a real chain, turn by turn: what it does, and what it leaves alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from keeper.core.plan import survey
from keeper.core.types import AccountId
from keeper.edges.chain import hex_of
from keeper.edges.signer import Signer
from scripts import nodes, roles
from tests.keeper import proxy
from tests.keeper.devnet import BTC, ETH, SOL, Devnet
from tests.keeper.keys import key_at
from tests.keeper.operator import Runner, Story, settings

KEEPER: Signer = key_at(roles.KEEPER)


@pytest.fixture(params=["anvil", "ganache"], scope="module")
def node(request: pytest.FixtureRequest) -> Iterator[nodes.Node]:
    with nodes.start(request.param, accounts=24) as running:
        yield running


@pytest.fixture(scope="module")
def anvil() -> Iterator[nodes.Node]:
    with nodes.start("anvil", accounts=24) as running:
        yield running


@pytest.fixture
def story(node: nodes.Node, tmp_path: Path) -> Iterator[Story]:
    """A deployment of its own on either node, with a pool and an insurance."""
    yield from _told(node, tmp_path)


@pytest.fixture
def on_anvil(anvil: nodes.Node, tmp_path: Path) -> Iterator[Story]:
    """The same on anvil alone, whose chain can be rewritten."""
    yield from _told(anvil, tmp_path)


def _told(node: nodes.Node, folder: Path, **changes: Any) -> Iterator[Story]:
    told = Story(Devnet(node), folder, **changes)
    told.endow()
    yield told
    told.runner.close()


def trader(story: Story, number: int, bucket: int = 0) -> bytes:
    return story.net.account(story.net.accounts[roles.TRADERS[number]], bucket)


def watched(story: Story) -> None:
    """Every account compared with the chain, the ledger's law: no difference, now and before."""
    keeper = story.runner.keeper
    head = keeper.chain.header("latest")
    findings = keeper.auditor.audit(keeper.index, head, sample=1_000)
    assert findings.accounts == len(list(keeper.index.accounts))
    assert (findings.ledger_difference, keeper.auditor.worst_drift) == (0, 0)


def test_story__prices_orders_calls_liquidations__to_the_unit(story: Story) -> None:
    net = story.net
    isolated = [trader(story, i, 1) for i in range(4)]
    for place, account in enumerate(isolated):
        net.deposit(account, 6_000 + 1_000 * place)
        net.commit(account, BTC, 1)
    cross, calm = trader(story, 4), trader(story, 5)
    net.deposit(cross, 5_500)
    net.commit(cross, ETH, 15)
    net.deposit(calm, 50_000)
    net.commit(calm, SOL, -100)
    story.step(3)
    assert all(net.size(account, BTC) == 1 for account in isolated)
    assert story.runner.done("execute") == 1  # one transaction for all of them

    story.step(BTC=57_000, ETH=2_850)
    assert net.assess(cross)["called"]
    story.step(BTC=57_000, ETH=3_000)
    assert not net.assess(cross)["called"]
    assert story.runner.done("call") == 2

    story.step(BTC=55_500)
    for account in isolated:
        found = net.assess(account)
        assert found["equity"] >= found["maintenance"]
    assert [net.size(account, BTC) < 1 for account in isolated] == [True, True, False, False]
    assert net.size(calm, SOL) == -100
    assert story.runner.done("liquidate") >= 2
    watched(story)


def test_liquidation__closes_who_is_below_and_nobody_else(story: Story) -> None:
    """The line is where the contracts draw it: a dollar above and nothing happens."""
    net = story.net
    accounts = [trader(story, i, 1) for i in range(3)]
    for account, cash in zip(accounts, (5_500, 7_000, 9_000), strict=True):
        net.deposit(account, cash)
        net.commit(account, BTC, 1)
    story.step(3)
    story.step(BTC=57_500)
    for account in accounts:
        liquidated = net.size(account, BTC) < 1
        found = net.assess(account)
        assert found["equity"] >= found["maintenance"]
        assert liquidated == (account == accounts[0])
    assert not any(net.view("Liquidator", "liquidatable", one) for one in accounts)


def test_liquidation__one_that_cannot_be_closed__does_not_stop_the_others(story: Story) -> None:
    """The keeper's own account is liquidatable, but not by the keeper: poison in every batch."""
    net, own = story.net, story.net.account(hex_of(KEEPER.address), 1)
    story.runner.close()  # the test sends from the keeper's key
    others = [trader(story, i, 1) for i in range(2)]
    for account in (own, *others):
        net.deposit(account, 6_000)
        net.commit(account, BTC, 1)
    story.restart()
    story.step(3)
    assert [net.size(account, BTC) for account in (own, *others)] == [1, 1, 1]
    story.step(BTC=57_000)
    assert net.view("Liquidator", "liquidatable", own)
    assert net.size(own, BTC) == 1
    assert all(net.size(account, BTC) < 1 for account in others)
    rejected = story.runner.store.counts()["liquidate"]["rejected"]
    story.step(BTC=56_990)  # and again only when something has changed
    assert story.runner.store.counts()["liquidate"]["rejected"] == rejected + 1


def test_deficit__paid_by_insurance_in_the_same_act(story: Story) -> None:
    net, account = story.net, trader(story, 0, 1)
    net.deposit(account, 6_000)
    story.open(account, BTC, 1)
    insurance = net.view("Markets", "ledger")[1]
    story.step(BTC=48_000)
    assert net.size(account, BTC) == 0
    assert net.assess(account)["cash"] == 0
    assert net.view("Markets", "ledger")[1] < insurance
    watched(story)


def test_audit__sees_what_is_wrong(story: Story) -> None:
    """Tokens sent without a call, and an index that errs by one unit."""
    net, keeper = story.net, story.runner.keeper
    account = AccountId(trader(story, 0))
    net.deposit(account, 1_000)
    story.step(1)
    net.act(net.accounts[0], "USDC", "mint", net.where["Clearinghouse"], 7)
    story.step(1)
    head = keeper.chain.header("latest")
    assert keeper.auditor.audit(keeper.index, head, 1_000).ledger_difference == 7 * 10**12
    record = keeper.index.accounts[account]
    keeper.index.accounts[account] = replace(record, cash=record.cash + 1)
    findings = keeper.auditor.audit(keeper.index, head, 1_000)
    assert findings.drift == 1
    assert findings.ledger_difference == 7 * 10**12 - 1
    assert story.runner.metrics.reference_drift._value.get() == 1


def test_order__nobody_posted_in_its_window__expired_once_the_slot_is_known(story: Story) -> None:
    net, account = story.net, trader(story, 0)
    net.deposit(account, 20_000)
    net.commit(account, BTC, 0.1)
    net.warp(net.terms.orders.window_seconds + 60)
    story.runner.settle()
    assert story.runner.done("expire") == 0  # no price: what it costs is not known
    story.step(1)
    assert story.runner.done("expire") == 1
    assert net.size(account, BTC) == 0
    assert net.assess(account)["reserved"] == 0


def test_bracket__entered_and_left_by_the_keeper_alone(story: Story) -> None:
    """A limit is triggered and filled, its stop after it, each once; the profit is swept."""
    net, account = story.net, trader(story, 0)
    net.deposit(account, 20_000)
    usd = 10**18
    net.commit(account, BTC, 0.1, kind=1, trigger=49_000 * usd, bracket=3, execution_fee=usd)
    stop = {"kind": 2, "trigger": 47_000 * usd, "bracket": 3, "reduce_only": True}
    net.commit(account, BTC, -0.1, **stop)
    net.commit(account, BTC, -0.1, **stop | {"kind": 3, "trigger": 60_000 * usd})
    story.step(10)
    assert story.runner.done("trigger") == 0
    story.step(10, BTC=48_500)
    assert story.runner.done("trigger") == 1
    story.step(3)
    assert net.size(account, BTC) == 0.1
    story.step(10, BTC=46_900)
    story.step(3)
    assert (story.runner.done("trigger"), net.size(account, BTC)) == (2, 0)
    story.step(10, BTC=61_000)
    assert (story.runner.done("trigger"), story.runner.done("expire")) == (2, 1)
    assert not story.runner.keeper.index.live_orders()
    watched(story)


def test_relay__a_signed_order_from_the_folder_is_brought_once(
    node: nodes.Node, tmp_path: Path
) -> None:
    folder = tmp_path / "signed"
    folder.mkdir()
    for story in _told(node, tmp_path, relay={"folder": str(folder), "min_fee_usd": 0.5}):
        net, account = story.net, trader(story, 6)
        net.deposit(account, 20_000)
        order = (account, BTC, 10**17, 0, False, 0, 77, 0, 0, 0, 0)
        for name, fee in (("paid", 10**18), ("unpaid", 0)):
            digest = net.view("Orders", "order_digest", order, fee, 2**40)
            key = Account.from_mnemonic(
                nodes.MNEMONIC, account_path=f"m/44'/60'/0'/0/{roles.TRADERS[6]}"
            )
            figures = {"instrument": BTC, "size": str(10**17), "salt": 77}
            content = {
                "order": figures | {"account": account.hex()},
                "relay_fee": str(fee),
                "deadline": 2**40,
                "signer": hex_of(account[:20]),
                "signature": bytes(key.unsafe_sign_hash(digest).signature).hex(),
            }
            (folder / f"{name}.json").write_text(json.dumps(content))
        story.step(3)
        assert story.runner.done("relay") == 1
        story.step(3)
        assert net.size(account, BTC) == 0.1
        story.restart()
        story.step(30)
        assert story.runner.done("relay") == 1  # a new keeper knows it from the logs
        assert net.size(account, BTC) == 0.1
        watched(story)


def test_funding__accrued_on_schedule(node: nodes.Node, tmp_path: Path) -> None:
    for story in _told(node, tmp_path, policy={"accrue_seconds": 600, "audit_seconds": 0}):
        account = trader(story, 0)
        story.net.deposit(account, 20_000)
        story.open(account, BTC, 1)
        story.step(500)
        assert story.runner.done("accrue") == 0
        story.step(200)
        assert story.runner.done("accrue") == 1
        story.step(10)
        assert story.runner.done("accrue") == 1
        watched(story)


def test_volatility__sampled_once_a_cell_and_followed_from_logs(story: Story) -> None:
    net, keeper = story.net, story.runner.keeper
    for _ in range(4):
        story.step(100)
    for _ in range(3):
        story.step(100)
    sampled = story.runner.done("sample")
    assert sampled in (6, 9, 12)  # three underlyings, two to four cells since the first price
    for underlying in (1, 2, 3):
        found = net.view("Volatility", "estimate", underlying)
        told = keeper.index.estimates[underlying]
        assert told is not None
        assert astuple(told) == tuple(found.values())
        assert told.cell in (net.now // 300, net.now // 300 - 1)
        ramp = keeper.index.ramps[underlying]
        assert ramp is not None
        assert astuple(ramp) == tuple(net.view("Instruments", "ramp", underlying).values())
    watched(story)


def test_debt__collateral_bought_at_the_discount(node: nodes.Node, tmp_path: Path) -> None:
    net = Devnet(node)
    keeper = hex_of(KEEPER.address)
    net.act(keeper, "USDC", "approve", net.where["Clearinghouse"], 2**256 - 1)
    story = Story(net, tmp_path, duties={"debt_sales": True})
    story.endow()
    account = trader(story, 0)
    net.add_collateral(account, "WETH", 10)
    story.open(account, BTC, 1)
    story.step(BTC=45_000, ETH=1_750)
    assert net.size(account, BTC) == 0
    assert net.assess(account)["cash"] < -15_000 * 10**18
    assert story.runner.done("debt sale") == 0  # no money of the keeper's
    net.act(net.accounts[0], "USDC", "mint", keeper, 50_000 * 10**6)
    story.step(ETH=1_740)
    assert story.runner.done("debt sale") == 0  # the discount begins at nothing
    story.step(net.terms.debt.sale_rise_seconds // 5, ETH=1_740)
    assert story.runner.done("debt sale") == 1
    assert net.assess(account)["cash"] > -(10**12)  # but what interest has run up since
    assert net.view("WETH", "balanceOf", keeper) > 0
    watched(story)
    story.runner.close()


def test_pool__lapsed_request_is_returned(story: Story) -> None:
    net, provider = story.net, story.net.accounts[roles.PROVIDERS[1]]
    net.request_entry(provider, 1_000)
    delay, window = net.terms.pool.request_delay_seconds, net.terms.pool.request_window_seconds
    net.warp(delay + window + 1)
    story.runner.settle()
    assert net.view("LiquidityPool", "returned", provider) == 999 * 10**6  # less the exit fee


def test_stale_price__nothing_is_done_until_it_is_refreshed(story: Story) -> None:
    net, account = story.net, trader(story, 0, 1)
    net.deposit(account, 6_000)
    story.open(account, BTC, 1)
    done = story.runner.store.counts()
    net.warp(net.terms.feeds["BTC"].fresh_seconds + 60)
    story.runner.settle()
    assert survey(story.runner.keeper.index) == []
    assert story.runner.store.counts() == done
    story.step(1, BTC=50_000)
    assert net.size(account, BTC) == 0


def test_dry_run__decides_and_sends_nothing(story: Story, tmp_path: Path) -> None:
    net, account = story.net, trader(story, 0, 1)
    net.deposit(account, 6_000)
    story.open(account, BTC, 1)
    folder = tmp_path / "dry"
    folder.mkdir()
    given = settings(net, folder).model_copy(update={"dry_run": True})
    watcher = Runner(given)
    at = net.now + 5
    story.feed.push(at, BTC=50_000)
    net.warp(5)
    story.runner.app.turn()  # the live one posts the price, and is asked no further
    while net.view("OracleHub", "latest_slot", BTC) < at:
        time.sleep(0.005)
    sent = net.chain.request("eth_getTransactionCount", hex_of(KEEPER.address), "latest")
    watcher.settle()
    assert watcher.store.counts() == {}
    journal = watcher.store.decisions()
    assert [row.kind for row in journal] == ["liquidate"]
    assert account.hex() in journal[0].inputs
    after = net.chain.request("eth_getTransactionCount", hex_of(KEEPER.address), "latest")
    assert after == sent
    watcher.close()


def test_restart__goes_on_where_it_was(story: Story) -> None:
    net, account = story.net, trader(story, 0, 1)
    net.deposit(account, 6_000)
    story.open(account, BTC, 1)
    done = story.runner.store.counts()
    story.restart()
    at = story.runner.keeper.index.checkpoint
    assert at is not None
    story.runner.settle()
    assert story.runner.store.counts() == done
    story.step(BTC=57_000)
    assert net.size(account, BTC) < 1
    watched(story)


def test_endpoint__away_for_a_while__survived(anvil: nodes.Node, tmp_path: Path) -> None:
    with proxy.before(anvil.url) as between:
        net = Devnet(anvil)
        story = Story(net, tmp_path)
        story.runner.close()
        story.config = settings(net, tmp_path, url=between.url)
        story.runner = Runner(story.config)
        story.endow()
        account = trader(story, 0, 1)
        net.deposit(account, 6_000)
        story.open(account, BTC, 1)
        keeper = story.runner.keeper
        between.fault = proxy.refuse
        pauses: list[float] = []

        def pause(seconds: float) -> bool:
            pauses.append(seconds)
            if len(pauses) == 6:
                between.fault = proxy.honest
            if net.size(account, BTC) < 1 or len(pauses) > 400:
                keeper.clock.stop()
            return keeper.clock.stopped

        keeper.clock.pause = pause  # type: ignore[method-assign]
        story.feed.push(net.now + 5, BTC=57_000)
        net.warp(5)
        story.runner.app.run()
        assert net.size(account, BTC) < 1
        assert pauses[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
        assert story.runner.metrics.unreachable._value.get() >= 6
        story.runner.close()


def test_reorg__around_a_liquidation__done_once_in_the_chain_that_stays(on_anvil: Story) -> None:
    story, net = on_anvil, on_anvil.net
    account = trader(story, 0, 1)
    net.deposit(account, 6_000)
    story.open(account, BTC, 1)
    fork = net.chain.header("latest").number
    story.step(BTC=57_000)
    closed = net.size(account, BTC)
    assert closed < 1
    depth = net.chain.header("latest").number - fork
    net.chain.request("anvil_reorg", depth, [])
    assert net.size(account, BTC) == 1
    story.runner.settle()
    story.step(30, BTC=57_000)
    assert net.size(account, BTC) < 1
    assert story.runner.metrics.reorgs._value.get() == 1
    watched(story)
    mined = int(net.chain.request("eth_getTransactionCount", hex_of(KEEPER.address), "latest"), 16)
    assert story.runner.keeper.submitter.in_flight == 0
    done = sum(sum(by.get(one, 0) for one in ("done", "failed"))
               for by in story.runner.store.counts().values())  # fmt: skip
    assert mined >= done
