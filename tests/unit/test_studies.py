"""The study of margin that moves: it moves within its pace, and tells what the page says."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from scripts.build import ROOT
from scripts.studies import moving_margin
from scripts.studies.moving_margin import Fate

HOUR = 3_600


def test_table__of_the_generator_is_the_one_in_the_document() -> None:
    about = moving_margin.asset("BTC")
    told = moving_margin.table(
        "BTC, generated", about, moving_margin.generated("BTC", 1), latency=120
    )
    assert told in (ROOT / "docs" / "RISK.md").read_text()


def test_moving__keeps_its_pace_and_its_cap(seed: int) -> None:
    about = moving_margin.asset("ETH")
    series = moving_margin.generated("ETH", seed)[::5]
    margin = moving_margin.moving(about, series)
    assert margin.fastest([time for time, _ in series]) <= 0.2
    assert about.least <= min(margin.shocks) <= max(margin.shocks) <= about.terms.cap_ppm
    assert all(i >= s for i, s in zip(margin.initials, margin.shocks, strict=True))
    assert max(margin.shocks) > about.least


def test_fates__of_a_fall_that_closes_and_loses() -> None:
    """100 for an hour, 93 at once, 80 two minutes later: who is long at the limit loses."""
    about = moving_margin.asset("BTC")
    flat = [(60 * i, Decimal(100)) for i in range(60)]
    fall = [(HOUR, Decimal(93)), (HOUR + 120, Decimal(80)), (2 * HOUR, Decimal(80))]
    series = (*flat, *fall)
    found = moving_margin.fates(about, series, moving_margin.still(about, series), 120, own=False)
    assert found.opened > 100
    assert found.only_closed == found.only_called == 0
    assert found.closed >= 4
    # 1 x: 8.05 % of margin, 20 % of loss, 0.28 % of what a forced fill costs
    assert found.worst == pytest.approx(0.2 - 0.0805 + 0.8 * 0.0035)
    calm = moving_margin.fates(
        about, tuple(flat), moving_margin.still(about, tuple(flat)), 120, False
    )
    assert calm == Fate(opened=calm.opened)


def test_command__names_a_file_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "none.csv"
    monkeypatch.setattr("sys.argv", ["moving_margin", f"BTC={missing}"])
    assert moving_margin.main() == 2
    assert f"{missing}: no such file" in capsys.readouterr().err
