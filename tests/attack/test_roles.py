"""Who may call what: every function that changes anything, tried by everybody (hazards G-06, M-02).

A function of an ABI that has no row here, and a row without a function, fail. Views are nobody's
secret: they have no rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scripts import plan
from scripts.plan import CONTRACTS
from tests.support.evm import Contract, Revert
from tests.support.world import BTC, World

ANYONE = "anyone"

# By contract, then by role, its functions; overloaded ones with the number of their arguments.
# Roles: owner (the timelock; of the timelock itself, the governor), steward and guardian (SPEC 10);
# companions by the names of their contracts; holder: who owns the account, the shares or the
# request that the arguments name; itself.
MATRIX: dict[str, dict[str, str]] = {
    "OracleHub": {
        ANYONE: "post post_many pull",
        "owner": "transfer_ownership add_feed set_feed_limits set_feed_source add_reporter "
        "remove_reporter set_quorum",
    },
    "Instruments": {
        "owner": "transfer_ownership add_underlying set_underlying add_instrument "
        "set_risk_terms set_fill_terms set_limits delist set_guardian set_steward",
        "owner steward": "set_status set_caps",
        "guardian": "halt resume",
        "Markets": "settle",
        "Volatility": "move",
    },
    "Volatility": {
        ANYONE: "sample",
        "owner": "transfer_ownership set_terms start set_congestion",
    },
    "TopUps": {ANYONE: "top_up", "holder": "set_rule"},
    "RiskEngine": {"owner": "transfer_ownership set_margin_terms"},
    "Markets": {
        ANYONE: "accrue mark_all settle_instrument",
        "owner": "transfer_ownership announce_risk_engine set_safety",
        "Clearinghouse": "fill force settle absorb change_lines take_protocol adopt_risk_engine",
    },
    "Clearinghouse": {
        ANYONE: "deposit fund_insurance accrue_debt",
        "holder": "withdraw move_cash move_position set_mode",
        "owner": "transfer_ownership adopt_risk_engine collect_protocol",
        "Orders": "hold release fill",
        "Liquidator": "force_fill set_call absorb repay",
        "Vault": "set_collateral",
        "LiquidityPool": "mark_all pool_fund pool_release",
    },
    "Debts": {
        "owner": "transfer_ownership set_curve set_steward",
        "owner steward": "set_ceilings",
        "Clearinghouse": "change accrue",
    },
    "Losses": {
        "owner": "transfer_ownership set_terms set_insurance_cap",
        "Markets": "attribute share",
    },
    "Orders": {
        ANYONE: "trigger execute execute_many expire relay_signed set_delegate cancel_nonces",
        "holder": "commit commit_many cancel",
        "owner": "transfer_ownership set_timing set_buffer",
    },
    "Liquidator": {
        ANYONE: "call liquidate liquidate_many settle_positions absorb mark_debt "
        "repay_with_collateral",
        "itself": "liquidate_item",
        "owner": "transfer_ownership set_call_terms set_debt_threshold set_debt_timing",
    },
    "Vault": {
        ANYONE: "deposit",
        "holder": "withdraw move",
        "Liquidator": "seize",
        "owner": "transfer_ownership list_token set_haircut set_slope set_sale_discount "
        "set_steward",
        "owner steward": "set_cap",
    },
    "LiquidityPool": {
        ANYONE: "transfer approve permit setOperator mark execute lapse deposit/2 mint/2 "
        "redeem/2 withdraw/2 claim_returned/1",
        "holder": "requestDeposit/3 requestDeposit/4 requestRedeem/3 requestRedeem/4 deposit/3 "
        "mint/3 redeem/3 withdraw/3 claim_returned/2",
        "nobody without allowance": "transferFrom",
        "owner": "transfer_ownership set_timing set_exit_terms",
    },
    "Lens": {},
    "Timelock": {
        ANYONE: "onERC721Received onERC1155Received onERC1155BatchReceived",
        "owner": "schedule scheduleBatch execute executeBatch cancel",
        "holder": "renounceRole",
        "itself": "grantRole revokeRole updateDelay",
    },
}

# how a contract says that it is not for the caller
REFUSALS = (
    "ownable: caller is not the owner",
    "clearinghouse: wrong caller",
    "market: only clearinghouse",
    "debts: only clearinghouse",
    "losses: only markets",
    "instruments: only markets",
    "instruments: only guardian",
    "instruments: only volatility",
    "vault: only liquidator",
    "liquidation: only a batch",
    "account: not the owner",
    "orders: no delay set",  # nobody commits to an Orders that stands alone
    "pool: not the controller",
    "pool: not the owner",
    "erc20: insufficient allowance",
    "AccessControlUnauthorizedAccount",
    "AccessControlBadConfirmation",
    "TimelockUnauthorizedCaller",
)
COMPANIONS = (
    "Clearinghouse",
    "Markets",
    "Debts",
    "Orders",
    "Liquidator",
    "Vault",
    "LiquidityPool",
    "Volatility",
)


def changing(contract: Contract) -> dict[str, dict[str, Any]]:
    """Its functions that are no views, by name; overloaded ones with the number of arguments."""
    entries = [
        entry
        for entry in contract.abi
        if entry["type"] == "function" and entry["stateMutability"] in ("nonpayable", "payable")
    ]
    names = [entry["name"] for entry in entries]
    return {
        entry["name"]
        if names.count(entry["name"]) == 1
        else f"{entry['name']}/{len(entry['inputs'])}": entry
        for entry in entries
    }


def rows(name: str) -> Iterator[tuple[str, str]]:
    """(function, who may call it) of a contract."""
    for roles, functions in MATRIX[name].items():
        for function in functions.split():
            yield function, roles


@pytest.fixture(scope="module")
def stage() -> World:
    return World()


@pytest.fixture(scope="module")
def contracts(stage: World) -> dict[str, Contract]:
    """The deployment as it is, and a timelock over it."""
    governor = [stage.governor]
    artifact = stage.artifacts["Timelock"]
    timelock = stage.evm.deploy(
        artifact, 3_600, governor, governor, "0x" + "00" * 20, sender=stage.governor
    )
    return {**stage.contracts, "Timelock": timelock}


@pytest.fixture(scope="module")
def alone(stage: World, contracts: dict[str, Contract]) -> dict[str, Contract]:
    """Each contract once more, with wallets for its companions, who cannot act otherwise."""
    where = {name: contract.address for name, contract in contracts.items()}
    known = {**where, **companions(stage), "owner": stage.governor}
    known["settlement_token"] = stage.usdc.address
    made = {}
    for name in plan.OWNED:
        artifact = stage.artifacts[name]
        arguments = plan.constructor(artifact, known)
        made[name] = stage.evm.deploy(artifact, *arguments, sender=stage.governor)
    stage.weth.approve(made["Vault"].address, plan.PROBE, sender=stage.governor)
    made["Vault"].list_token(
        stage.weth.address, 1, 120_000, 10**20, plan.PROBE, sender=stage.governor
    )
    return {**contracts, **made}


def companions(world: World) -> dict[str, str]:
    return {name: world.wallet(f"in place of {name}") for name in COMPANIONS}


def people(world: World) -> dict[str, str]:
    return {
        "owner": world.governor,
        "steward": world.steward,
        "guardian": world.guardian,
        "holder": world.wallet("holder"),
        "a reporter": world.reporters.addresses[0],
        "the keeper": world.keeper,
        "anybody": world.wallet("anybody"),
    }


def sample(world: World, entry: dict[str, Any]) -> Any:
    """An argument of a type, which names the holder where it names anybody."""
    kind = entry["type"]
    holder = world.wallet("holder")
    if kind.endswith("[]"):
        return [sample(world, {**entry, "type": kind[:-2]})]
    if kind == "tuple":
        return tuple(sample(world, one) for one in entry["components"])
    if kind == "bytes32":
        return world.account(holder, entry["name"] == "target")
    if kind == "address":
        return world.weth.address if entry["name"] == "token" else holder
    if kind == "bool":
        return True
    if kind.startswith("bytes"):
        return b""
    if entry["name"] == "expiry":
        return 0  # never
    return BTC


@pytest.mark.parametrize("name", [*CONTRACTS, "Timelock"])
def test_g06_every_function_has_its_row(contracts: dict[str, Contract], name: str) -> None:
    """Whoever adds a function says here who may call it."""
    listed = [function for function, _ in rows(name)]
    assert sorted(listed) == sorted(set(listed)), "a function has two rows"
    found = set(changing(contracts[name]))
    assert found == set(listed), (
        f"{name}: add to MATRIX {sorted(found - set(listed))}, "
        f"take out {sorted(set(listed) - found)}"
    )


@pytest.mark.parametrize("name", [*CONTRACTS, "Timelock"])
def test_g06_every_function_by_every_role(
    stage: World, contracts: dict[str, Contract], alone: dict[str, Contract], name: str
) -> None:
    """Who may is not turned away, whatever else it hears; everybody else is."""
    entries = changing(contracts[name])
    for function, roles in rows(name):
        entry = entries[function]
        arguments = [sample(stage, one) for one in entry["inputs"]]
        if function == "set_ceilings":  # the steward may lower one of the two alone
            arguments[1] = stage.debts.terms().share_ppm
        for group, contract in ((people(stage), contracts[name]), (companions(stage), alone[name])):
            for who, address in group.items():
                refused = refusal(stage, contract, entry["name"], arguments, address)
                turned_away = refused is not None and refused.startswith(REFUSALS)
                turned_away &= refused != "losses: only markets" or name == "Losses"
                allowed = roles == ANYONE or who in roles.split()
                assert turned_away != allowed, (
                    f"{name}.{function} by {who}: {refused or 'accepted'}"
                )


def refusal(
    world: World, contract: Contract, function: str, arguments: list[Any], sender: str
) -> str | None:
    """With which text a call is refused, None when it is not; it leaves no trace."""
    with world.evm.trial():
        try:
            getattr(contract, function)(*arguments, sender=sender)
        except Revert as revert:
            return revert.reason or "(no text)"
    return None
