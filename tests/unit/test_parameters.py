"""Parameter files: exact units, and errors that name file, key, value and what is expected."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from scripts.parameters import FOLDER, ParameterError, Parameters, load, units

DEVNET = (FOLDER / "devnet.toml").read_text()


def load_changed(folder: Path, old: str, new: str) -> Parameters:
    assert old in DEVNET
    path = folder / "changed.toml"
    path.write_text(DEVNET.replace(old, new, 1))
    return load(path)


def test_units__exact() -> None:
    assert units.ppm(Decimal("5.2")) == 52_000
    assert units.ppm(Decimal("0.0001")) == 1
    assert units.bps(Decimal("0.01")) == 1
    assert units.factor_ppm(Decimal("1.000001")) == 1_000_001
    assert units.wad(Decimal("0.1")) == 10**17
    assert units.native(Decimal("1.2345678"), 6) == 1_234_567
    with pytest.raises(ValueError, match="whole number"):
        units.bps(Decimal("0.001"))


def test_devnet__every_market_is_whole() -> None:
    terms = load("devnet")
    assert list(terms.feeds) == ["BTC", "ETH", "SOL"]
    assert {i.underlying for i in terms.instruments.values()} == set(terms.underlyings)
    for instrument in terms.instruments.values():
        assert units.ppm(instrument.taker_fee_percent) > 0
        assert units.bps(instrument.liquidator_share_percent) > 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "shock_percent = 5.2",
            "shock_percent = -5.2",
            "underlyings.BTC.shock_percent = -5.2: expected a percentage from 0 to 100",
        ),
        ("shock_percent = 5.2", "shock_percent = 5.00001", "4 decimals at most"),
        ("shock_percent = 5.2", 'shock_percent = "5.2"', "BTC.shock_percent = 5.2: expected a"),
        ("shock_percent = 5.2", "shock_percent = nan", "BTC.shock_percent = NaN: expected a"),
        ("shock_percent = 5.2", "shock_percent = true", "BTC.shock_percent = True: expected a"),
        ("factor = 1.5", "factor = 0.5", "BTC.factor = 0.5: expected a factor from 1 to 10"),
        ("factor = 1.5", "", "underlyings.BTC.factor: missing"),
        (
            "decimals = 6",
            "decimals = 19",
            "settlement.decimals = 19: expected decimals from 0 to 18",
        ),
        ("decimals = 6", "decimals = 6.5", "settlement.decimals = 6.5: expected decimals"),
        (
            "quorum = 3",
            "quorun = 3",
            "oracle.quorun: unknown key; did you mean quorum?",
        ),
        (
            "quorum = 3",
            "quorum = 6",
            "oracle.quorum = 6: expected no more than oracle.reporters = 5",
        ),
        (
            "sale_discount_percent = 3 ",
            "sale_discount_percent = 13 ",
            "collateral.WETH.haircut_percent = 12: expected at least debt.sale_discount",
        ),
        ('kind = "future"', 'kind = "option"', "instruments.BTC-PERP.kind = option: "),
        (
            'underlying = "SOL"',
            'underlying = "DOGE"',
            'instruments.SOL-PERP.underlying = "DOGE": expected one of BTC, ETH, SOL',
        ),
        ("[margin]", "[zebra]\nstripes = 3\n[margin]", "zebra: unknown key; known are settlement"),
        ("[margin]", "[margin", "not TOML: "),
    ],
)
def test_wrong_figure__named(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        load_changed(tmp_path, old, new)
    assert str(caught.value).startswith(f"{tmp_path / 'changed.toml'}: ")
    assert says in str(caught.value)


def test_several_wrong_figures__all_named(tmp_path: Path) -> None:
    path = tmp_path / "changed.toml"
    path.write_text(
        DEVNET.replace("delay_seconds", "delay_secs").replace("factor = 1.5", "factor = 0")
    )
    with pytest.raises(ParameterError) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert any(
        "orders.delay_secs: unknown key; did you mean delay_seconds?" in line for line in lines
    )
    assert sum("expected a factor" in line for line in lines) == 3


def test_no_such_market__lists_those_there_are() -> None:
    with pytest.raises(ParameterError, match=r"mars\.toml: no such file; there are: .*devnet"):
        load("mars")
