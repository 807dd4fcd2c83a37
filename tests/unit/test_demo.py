"""The demo's front: what it refuses before it starts, its cast, which telling it shows."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from scripts import demo, roles
from scripts.price_paths import BarOrder
from scripts.story.cast import MAXIMUM, WALLETS, cast
from scripts.story.record import Record

HIGHEST = {"BTC-PERP": Decimal(12), "ETH-PERP": Decimal(10), "SOL-PERP": Decimal(6)}


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **how: str) -> str:
    """What the command says to a variable that it cannot use."""
    for name, value in how.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["demo"])
    assert demo.main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    return " ".join(said.err.split())


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"NODE": "geth"}, "NODE=geth: use ganache or anvil"),
        ({"STEPS": "many"}, "STEPS=many: expected a whole number from 0 to 10000"),
        ({"STEPS": "-1"}, "STEPS=-1: expected a whole number"),
        ({"STEPS": "3"}, "STEPS=3: a story takes at least 8 steps"),
        ({"SEED": "x"}, "SEED=x: expected a whole number"),
        ({"PRICES": "absent.csv"}, "absent.csv: no such file"),
        ({"PRICES": "XRP=absent.csv"}, "no instrument for 'XRP'; there are BTC, ETH, SOL"),
    ],
)
def test_wrong_variable__one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    how: dict[str, str],
    says: str,
) -> None:
    assert says in refused(monkeypatch, capsys, **how)


def told(**figures: Any) -> Record:
    whole = {
        "bad_debt": 0.0,
        "accounts_liquidated": 5,
        "pool_nav_after": 10.0,
        "ledger_difference": 0,
        "reference_drift": 0,
        "withdrawn_everything": True,
    }
    return Record("a test", "anvil", figures=whole | figures)


@pytest.mark.parametrize(
    ("first", "second", "worse"),
    [
        ({"bad_debt": 3.0}, {"accounts_liquidated": 9}, 0),
        ({}, {"accounts_liquidated": 6}, 1),
        ({"pool_nav_after": 11.0}, {}, 1),
    ],
)
def test_two_orders__the_worse_is_shown(
    first: dict[str, Any], second: dict[str, Any], worse: int
) -> None:
    records = [told(**first), told(**second)]
    shown = demo._worse(records, list(BarOrder))
    assert shown is records[worse]
    assert str(list(BarOrder)[1 - worse]) in shown.notes[0]


def test_two_orders__the_milder_astray__fails_the_command() -> None:
    shown = demo._worse([told(bad_debt=3.0), told(reference_drift=-2)], list(BarOrder))
    assert shown.figures["reference_drift"] == -2
    assert not demo._is_whole(shown)
    shown = demo._worse([told(bad_debt=3.0), told(withdrawn_everything=False)], list(BarOrder))
    assert not demo._is_whole(shown)
    assert demo._is_whole(demo._worse([told(), told()], list(BarOrder)))


def test_names__without_folders(tmp_path: Path) -> None:
    assert demo._names(f"{tmp_path}/a.csv") == ["a.csv"]
    assert demo._names(f"BTC={tmp_path}/a.csv ETH=b.gz") == ["BTC (a.csv)", "ETH (b.gz)"]


def test_cast__more_than_sixty_of_every_kind() -> None:
    everybody = cast(list(HIGHEST), HIGHEST)
    assert len(everybody) >= 60
    assert len({(role.wallet, role.bucket) for role in everybody}) == len(everybody)
    assert len(WALLETS) <= len(roles.TRADERS)
    isolated = [role for role in everybody if not role.cross]
    assert all(len(role.legs) == 1 for role in isolated)
    assert all(len(role.legs) > 1 for role in everybody if role.cross)
    for name, highest in HIGHEST.items():
        asked = {role.leverage for role in isolated if role.legs[0].instrument == name}
        assert {Decimal(2), MAXIMUM} <= asked
        assert all(leverage < highest for leverage in asked)
        sides = [leg.long for role in everybody for leg in role.legs if leg.instrument == name]
        assert 0.2 < sides.count(False) / len(sides) < 0.5, "most are long, but not all"
