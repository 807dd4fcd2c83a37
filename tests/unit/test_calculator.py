"""The calculator: worked cases, parts that add up, and a sentence for every bad input."""

from __future__ import annotations

import json
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keeper import calculator, cli
from keeper.calculator import BookError
from keeper.core import pricing, scan
from keeper.core.pricing import Kind, Series
from keeper.core.units import PPM, WAD
from tests.support import world

CASES: dict[str, Any] = tomllib.loads(
    (Path(world.__file__).with_name("worked_cases.toml")).read_text(encoding="utf-8")
)


def named(kind: str) -> Any:
    return pytest.mark.parametrize("case", CASES[kind], ids=lambda case: case["id"])


def close(found: str | Decimal, expected: str, tolerance: str = "1e-9") -> bool:
    """Within a part of the expected number; a zero is met exactly."""
    return abs(Decimal(found) - Decimal(expected)) <= Decimal(tolerance) * abs(Decimal(expected))


def priced(case: dict[str, Any], kind: str, **more: Any) -> dict[str, str]:
    return calculator.price(
        kind, case["spot"], case.get("strike", ""), case["vol"], case["period_seconds"],
        more.get("power", 2), "1",
    )  # fmt: skip


# worked cases


@named("option")
def test_option__worked_case(case: dict[str, Any]) -> None:
    found = priced(case, case["kind"])
    near = Decimal("1e-15") * max(Decimal(case["spot"]), Decimal(case["strike"]))
    assert abs(Decimal(found["value"]) - Decimal(case["value"])) <= near
    assert abs(Decimal(found["time_value"]) - Decimal(case["time_value"])) <= near
    for slope in ("delta", "gamma", "vega"):
        assert close(found[slope], case[slope]), slope
    u = pricing.root(int(Decimal(case["vol"]) * PPM), case["period_seconds"])
    assert close(calculator.shown(u), case["u"])


@named("parity")
def test_parity__worked_case(case: dict[str, Any]) -> None:
    call, put = priced(case, "call")["value"], priced(case, "put")["value"]
    assert close(call, case["call"])
    assert close(put, case["put"])
    assert Decimal(call) - Decimal(put) == Decimal(case["diff"])


@named("rent")
def test_gamma_rent_is_funding__worked_case(case: dict[str, Any]) -> None:
    found = priced(case, "call")
    spot, vol = Decimal(case["spot"]), Decimal(case["vol"])
    rent = vol * vol * spot * spot * Decimal(found["gamma"]) / 2
    assert close(rent, case["gamma_rent"])
    assert close(Decimal(found["funding_per_day"]) * 365, case["funding_a_year"])


@named("funding")
def test_funding__worked_case(case: dict[str, Any]) -> None:
    """f = (mark − payoff)/T per unit and second: what a long pays at a premium of nothing."""
    time = int((Decimal(case["mark"]) - Decimal(case["payoff"])) * WAD)
    paid = time * case["seconds"] // case["period_seconds"]
    assert close(calculator.shown(paid), case["paid"])


def test_funding__of_the_option_of_the_first_case_is_what_the_calculator_says() -> None:
    found = priced(CASES["option"][0], "call")["funding_per_day"]
    assert close(found, CASES["funding"][0]["paid"])


@named("power")
def test_power__worked_case(case: dict[str, Any]) -> None:
    found = priced(case, "power", power=case["power"])
    for name in ("value", "delta", "gamma"):
        assert close(found[name], case[name]), name
    paid = Decimal(found["value"]) - Decimal(found["time_value"])
    assert close(paid, case["payoff"])


@named("offset")
def test_offset__worked_case(case: dict[str, Any]) -> None:
    assert close(calculator.shown(scan.phi(int(Decimal(case["rho"]) * PPM))), case["phi"])


def book(positions: dict[str, Any], **more: Any) -> str:
    return json.dumps({"params": CASES["params"], "positions": positions, **more})


@named("book")
def test_book__worked_case(case: dict[str, Any]) -> None:
    found = calculator.requirement(book(case["positions"]), "portfolio")
    for name in ("maintenance", "initial", "gross", "offset", "risk"):
        assert close(found[name], case[name]), name
    for name in ("scan_loss", "exposure"):
        assert set(found[name]) == set(case[name])
        assert all(close(found[name][one], case[name][one]) for one in case[name]), name
    assert found["worst_scenario"] == case["worst_scenario"]


def test_scenarios__worked_case() -> None:
    positions = next(case["positions"] for case in CASES["book"] if case["id"] == "PM-4")
    found = calculator.requirement(book(positions), "portfolio")["scenarios"]["ETH"]
    assert len(found) == scan.SCENARIOS == 23
    for one, expected in zip(found, CASES["scenarios"]["results"], strict=True):
        assert close(one, expected)


# modes and parts

SPREAD = {
    "ETH": [
        {"type": "eo", "q": "-10", "K": "3300", "T": "0.0191780821917808", "call": True},
        {"type": "eo", "q": "10", "K": "3600", "T": "0.0191780821917808", "call": True},
    ]
}
PAIR = {"ETH": [{"type": "perp", "q": "10"}], "BTC": [{"type": "perp", "q": "-0.5"}]}


@pytest.mark.parametrize("positions", [SPREAD, PAIR])
def test_modes__a_hedge_needs_less_in_portfolio_than_in_cross(positions: dict[str, Any]) -> None:
    cross = calculator.requirement(book(positions), "cross")
    portfolio = calculator.requirement(book(positions), "portfolio")
    assert Decimal(portfolio["maintenance"]) < Decimal(cross["maintenance"])
    assert cross["offset"] == "0"
    with pytest.raises(BookError, match="positions: an isolated account holds one instrument"):
        calculator.requirement(book(positions), "isolated")


def test_modes__one_instrument_needs_the_same_in_all() -> None:
    one = {"ETH": SPREAD["ETH"][:1]}
    found = [calculator.requirement(book(one), mode) for mode in calculator.MODES]
    assert len({each["maintenance"] for each in found}) == 1
    assert len({each["initial"] for each in found}) == 1


def test_parts__add_up_and_the_lines_stand_in_order() -> None:
    params = {**CASES["params"], "provision_hours": 8, "funding_cap": "0.0075", "reserve": "2"}
    params["ETH"] = {**params["ETH"], "confidence": "0.001"}
    file = {
        "params": params,
        "positions": {**SPREAD, "BTC": PAIR["BTC"]},
        "cash": "20000.5",
        "collateral": {"WETH": {"amount": "2", "price": "3000", "haircut": "0.12"}},
    }
    found = calculator.requirement(json.dumps(file), "portfolio")
    add_ons = {name: Decimal(one) for name, one in found["add_ons"].items()}
    assert Decimal(found["maintenance"]) == Decimal(found["risk"]) + sum(add_ons.values())
    assert Decimal(found["risk"]) == Decimal(found["gross"]) - Decimal(found["offset"])
    assert add_ons["reserve"] == 6
    assert add_ons["short_options"] == 90
    assert Decimal(found["equity"]) == Decimal("20000.5") + Decimal("5280")
    lines = [Decimal(found[name]) for name in ("maintenance", "call_line", "initial")]
    assert lines == sorted(lines)
    assert lines[0] < lines[2]


def test_provision__is_what_eight_hours_of_a_long_option_cost() -> None:
    """A long pays its time value over T; who owes the option provides for nothing but the cap."""
    option = {"type": "eo", "K": "3300", "T": "0.0191780821917808", "call": True}
    params = {**CASES["params"], "provision_hours": 8}
    needs = []
    for size in ("1", "-1"):
        file = {"params": params, "positions": {"ETH": [{**option, "q": size}]}}
        needs.append(calculator.requirement(json.dumps(file), "cross")["add_ons"]["provision"])
    day = calculator.price("call", "3000", "3300", "0.8", 604_800, 2, "1")["funding_per_day"]
    assert close(needs[0], str(Decimal(day) / 3))
    assert needs[1] == "0"


def test_stale_feed__takes_the_offset_out_of_initial_and_not_of_maintenance() -> None:
    fresh = calculator.requirement(book(PAIR), "portfolio")
    params = {**CASES["params"], "BTC": {**CASES["params"]["BTC"], "stale": True}}
    stale = calculator.requirement(json.dumps({"params": params, "positions": PAIR}), "portfolio")
    assert stale["maintenance"] == fresh["maintenance"]
    gap = Decimal(stale["initial"]) - Decimal(fresh["initial"])
    assert close(gap, str(Decimal("1.3") * Decimal(fresh["offset"])))


def test_entry__decides_equity_and_not_the_requirement() -> None:
    at = {"ETH": [{"type": "perp", "q": "-10", "entry": "2900"}]}
    found = calculator.requirement(book(at, cash="5000"), "cross")
    assert found["equity"] == "4000"
    assert found["maintenance"] == "4500"


# the command


def test_command__prints_the_same_as_json_and_as_lines(tmp_path: Path) -> None:
    file = tmp_path / "book.json"
    file.write_text(book(PAIR))
    runner = CliRunner()
    done = runner.invoke(cli.app, ["margin", str(file), "--mode", "portfolio", "--json"])
    assert json.loads(done.stdout) == calculator.requirement(book(PAIR), "portfolio")
    lines = runner.invoke(cli.app, ["margin", str(file), "--mode", "portfolio"])
    assert "scan_loss ETH" in lines.stdout
    future = runner.invoke(cli.app, ["price", "--kind", "future", "--spot", "3000", "--json"])
    assert json.loads(future.stdout) == {
        "value": "3000", "time_value": "0", "delta": "1", "gamma": "0", "vega": "0",
        "funding_per_day": "0",
    }  # fmt: skip


def test_command__bad_input__exit_2_and_the_field(tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(cli.app, ["price", "--kind", "call", "--spot", "3000", "--vol", "0.8"])
    assert done.exit_code == 2
    assert done.stderr.startswith("--strike: ")
    missing = runner.invoke(cli.app, ["margin", str(tmp_path / "none.json")])
    assert missing.exit_code == 2
    assert "cannot be read" in missing.stderr


PRICE = {
    "kind": "call", "spot": "3000", "strike": "3300", "vol": "0.8", "period_seconds": 604_800,
    "power": 2, "scale": "1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "swap"}, "--kind: 'swap' is none of future, call, put, power"),
        ({"spot": "0"}, "--spot: must be above 0"),
        ({"spot": "three"}, "--spot: must be a decimal number"),
        ({"spot": "NaN"}, "--spot: NaN is out of range"),
        ({"spot": "1e30"}, "--spot: 1e30 is out of range"),
        ({"spot": "0.0000000000000000001"}, "--spot: .* more than 18 decimals"),
        ({"strike": "-1"}, "--strike: must be above 0"),
        ({"vol": ""}, "--vol: must be a decimal number"),
        ({"vol": "0.001"}, "--vol: must be from 0.01 to 10"),
        ({"vol": "0.8000001"}, "--vol: .* more than 6 decimals"),
        ({"period_seconds": 3_599}, "--period-seconds: must be from an hour"),
        ({"period_seconds": 7_776_001}, "--period-seconds: must be from an hour"),
        ({"kind": "power", "power": 4}, "--power: must be 2 or 3"),
        ({"kind": "power", "vol": "4", "period_seconds": 7_776_000}, "--power: hT is above"),
        ({"kind": "power", "scale": "0"}, "--scale: must be above 0"),
    ],
)
def test_price__bad_input__names_the_field(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BookError, match=says):
        calculator.price(**{**PRICE, **change})


ETH = {"S": "3000", "shock": "0.15", "vol": "0.8"}
OPTION = {"type": "eo", "q": "1", "K": "3300", "T": "0.02", "call": True}


@pytest.mark.parametrize(
    ("root", "says"),
    [
        ([], "the book: must be an object"),
        ({"positions": {}}, "params: is missing"),
        ({"params": {}}, "positions: is missing"),
        ({"params": {}, "positions": {}, "credit": 1}, "the book.credit: unknown"),
        ({"params": {"ETH": {"shock": "0.1"}}, "positions": {}}, "params.ETH.S: is missing"),
        ({"params": {"ETH": {**ETH, "hsock": 1}}, "positions": {}}, "params.ETH.hsock: unknown"),
        ({"params": {"ETH": {**ETH, "shock": "0"}}, "positions": {}}, "ETH.shock: is too small"),
        ({"params": {"ETH": {**ETH, "shock": "2"}}, "positions": {}}, "ETH.shock: must be at most"),
        ({"params": {"ETH": {**ETH, "ext_mult": 4}}, "positions": {}}, "ETH.ext_mult: the tail"),
        ({"params": {"ETH": {**ETH, "ext_weight": "0.4"}}, "positions": {}}, "ETH.ext_weight"),
        ({"params": {"ETH": {**ETH, "cluster": -1}}, "positions": {}}, "ETH.cluster: must be"),
        ({"params": {"ETH": {**ETH, "stale": 1}}, "positions": {}}, "ETH.stale: must be"),
        ({"params": {"grid": "mine"}, "positions": {}}, "params.grid: the scan has one"),
        ({"params": {"im_factor": "0.9"}, "positions": {}}, "params.im_factor: is too small"),
        ({"params": {"rho_min": "1.1"}, "positions": {}}, "params.rho_min: must be at most 1"),
        ({"params": {}, "positions": {"SOL": []}}, "positions.SOL: params has no underlying"),
        ({"params": {"ETH": ETH}, "positions": {"ETH": {}}}, "positions.ETH: must be a list"),
        ({"params": {}, "positions": {}, "cash": True}, "cash: must be a decimal number"),
        (
            {"params": {}, "positions": {}, "collateral": {"WETH": {"amount": "1"}}},
            "collateral.WETH.price: is missing",
        ),
        (
            {"params": {}, "positions": {}, "collateral": {"WETH": {"amount": "-1"}}},
            "collateral.WETH.amount: must not be negative",
        ),
    ],
)
def test_book__bad_field__is_named(root: Any, says: str) -> None:
    with pytest.raises(BookError, match=says):
        calculator.requirement(json.dumps(root), "portfolio")


@pytest.mark.parametrize(
    ("position", "says"),
    [
        ({**OPTION, "type": "swap"}, r"positions.ETH\[0\].type: must be one of"),
        ({**OPTION, "q": None}, r"positions.ETH\[0\].q: is missing"),
        ({**OPTION, "k": 1}, r"positions.ETH\[0\].k: unknown"),
        ({**OPTION, "T": "1"}, r"positions.ETH\[0\].T: must be from an hour"),
        ({**OPTION, "call": "yes"}, r"positions.ETH\[0\].call: must be true or false"),
        ({"type": "power", "q": "1", "T": "0.02", "p": 5}, r"positions.ETH\[0\].p: must be 2 or 3"),
        ({"type": "power", "q": "1", "T": "0.24", "p": 3}, r"positions.ETH\[0\].p: hT is above"),
    ],
)
def test_book__bad_position__is_named(position: dict[str, Any], says: str) -> None:
    file = {"params": {"ETH": ETH}, "positions": {"ETH": [position]}}
    with pytest.raises(BookError, match=says):
        calculator.requirement(json.dumps(file), "portfolio")


def test_book__not_json__says_the_line() -> None:
    with pytest.raises(BookError, match="line 1: not JSON"):
        calculator.requirement("{", "cross")
    with pytest.raises(BookError, match="--mode: 'all' is none of"):
        calculator.requirement("{}", "all")


def test_book__option_without_volatility__names_it() -> None:
    file = {"params": {"ETH": {"S": "1", "shock": "0.1"}}, "positions": {"ETH": [OPTION]}}
    with pytest.raises(BookError, match=r"params.ETH.vol: must be from 0.01"):
        calculator.requirement(json.dumps(file), "cross")


def test_core_and_calculator_price_alike() -> None:
    series = Series(Kind.PUT, 3_300 * WAD, 604_800)
    found = calculator.price("put", "3000", "3300", "0.8", 604_800, 2, "1")["value"]
    assert found == calculator.shown(pricing.value(series, 3_000 * WAD, 800_000).fair)
