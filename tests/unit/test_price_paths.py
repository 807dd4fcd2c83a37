"""Price paths: generated ones keep their promises, files say what is wrong with them and where."""

from __future__ import annotations

import gzip
import random
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from scripts.price_paths import ASSETS, BarOrder, PathError, generate, orders, replay
from scripts.price_paths.files import read
from scripts.price_paths.replay import STEPS_MIN, thin
from scripts.price_paths.types import PricePath

BARS = """ts,open,high,low,close,volume,trades
1584008760,7220.68,7258.19,7219.44,7254.36,1450.377,12
1584008820,7254.86,7265.0,5199.17,7207.3,1515.002,9
1584008880,7207.3,7242.35,7178.77,7226.62,2075.787,4
"""
LONG = """time,asset,price
1700000000,BTC,37000
1700000000,ETH,2000.5
1700000060,BTC,36500
1700000120,ETH,1900
1700000120,BTC,30000.123456789
"""


def write(folder: Path, text: str, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def read_all(specification: str, order: BarOrder | None = None) -> object:
    return read(specification, order, ASSETS)


class TestGenerate:
    def test_same_seed__same_path(self) -> None:
        assert generate(seed=4, steps=50) == generate(seed=4, steps=50)
        assert generate(seed=4, steps=50) != generate(seed=5, steps=50)

    def test_asset_alone__same_prices_as_in_company(self) -> None:
        together, alone = generate(seed=4, steps=50), generate(seed=4, steps=50, assets=["SOL"])
        assert alone.prices == {"SOL": together.prices["SOL"]}

    @pytest.mark.parametrize("seed", range(20))
    def test_crash_and_partial_recovery(self, seed: int) -> None:
        path = generate(seed=seed, steps=144)
        assert path.steps == 144
        for asset, prices in path.prices.items():
            assert prices[0] == ASSETS[asset].start
            assert all(price > 0 for price in prices)
            bottom = min(prices)
            assert bottom < prices[0] * Decimal("0.85"), "falls far enough to liquidate"
            assert prices.index(bottom) > 144 // 4
            assert bottom * Decimal("1.03") < prices[-1] < prices[0], "recovers, but not all of it"

    def test_assets_fall_together(self) -> None:
        path = generate(seed=1, steps=144)
        moves = {
            asset: [after / before - 1 for before, after in pairwise(prices)]
            for asset, prices in path.prices.items()
        }
        same = sum((a > 0) == (b > 0) for a, b in zip(moves["BTC"], moves["ETH"], strict=True))
        assert same > 0.75 * len(moves["BTC"])

    def test_one_step__refused(self) -> None:
        with pytest.raises(ValueError, match="at least 2 steps"):
            generate(seed=1, steps=1)


class TestFiles:
    def test_long_form(self, tmp_path: Path) -> None:
        series = read(str(write(tmp_path, LONG)), None, ASSETS)
        assert series["ETH"] == ((1700000000, Decimal("2000.5")), (1700000120, Decimal(1900)))
        assert series["BTC"][-1] == (1700000120, Decimal("30000.12345679"))

    def test_long_form__iso_times_and_windows_line_ends(self, tmp_path: Path) -> None:
        text = "\ufefftime,asset,price\r\n2023-11-14T22:13:20Z,btc,1\r\n1700000060.0,BTC,2\r\n\r\n"
        series = read(str(write(tmp_path, text)), None, ASSETS)
        assert series == {"BTC": ((1700000000, Decimal(1)), (1700000060, Decimal(2)))}

    def test_bars__extremes_in_both_orders(self, tmp_path: Path) -> None:
        plain = write(tmp_path, BARS)
        packed = tmp_path / "bars.csv.gz"
        packed.write_bytes(gzip.compress(BARS.encode()))
        assert orders(f"BTC={plain}") == (BarOrder.HIGH_FIRST, BarOrder.LOW_FIRST)
        high = read(f"BTC={plain}", BarOrder.HIGH_FIRST, ASSETS)["BTC"]
        low = read(f"BTC={packed}", BarOrder.LOW_FIRST, ASSETS)["BTC"]
        prices = [float(price) for _, price in high[4:8]]
        assert prices == [7254.86, 7265.0, 5199.17, 7207.3]
        assert [float(price) for _, price in low[4:8]] == [7254.86, 5199.17, 7265.0, 7207.3]
        assert [time - 1584008820 for time, _ in high[4:8]] == [0, 15, 30, 45]

    def test_long_form__replayed_once(self) -> None:
        assert orders("path.csv") == (None,)

    @pytest.mark.parametrize(
        ("text", "line", "says"),
        [
            ("", "", "the file is empty; expected the header time,asset,price"),
            ("time,asset,price\n", "", "no rows below the header"),
            ("time,asset\n1,BTC\n", ":1", "no column price"),
            (BARS, ":1", 'PRICES="BTC='),
            ("time,asset,price\n1700000000,BTC\n", ":2", "2 fields; expected 3"),
            ("time,asset,price\n1700000000,BTC,\n", ":2", "price '' is empty"),
            ("time,asset,price\n1700000000,BTC,12k\n", ":2", "price '12k' is not a number"),
            ("time,asset,price\n1700000000,BTC,NaN\n", ":2", "price 'NaN' is not a number"),
            ("time,asset,price\n1700000000,BTC,0\n", ":2", "price '0' is out of range"),
            ("time,asset,price\n1700000000,BTC,-5\n", ":2", "price '-5' is out of range"),
            ("time,asset,price\n1700000000,BTC,1e30\n", ":2", "price '1e30' is out of range"),
            ("time,asset,price\nnoon,BTC,5\n", ":2", "time 'noon' is not a time"),
            ("time,asset,price\n2020-03-12T00:00,BTC,5\n", ":2", "has no time zone"),
            ("time,asset,price\n1700000000000,BTC,5\n", ":2", "looks like milliseconds"),
            ("time,asset,price\n1700000000,DOGE,5\n", ":2", "no instrument for 'DOGE'"),
            (LONG + "1700000060,BTC,5\n", ":7", "is before the row above"),
            (LONG + "1700000120,BTC,5\n", ":7", "has a second price of BTC"),
            ("time,asset,price\n1700000000,BTC,5\n", "", "BTC has one price"),
        ],
    )
    def test_long_form__malformed(self, tmp_path: Path, text: str, line: str, says: str) -> None:
        path = write(tmp_path, text)
        with pytest.raises(PathError) as caught:
            read_all(str(path))
        assert str(caught.value).startswith(f"{path}{line}: ")
        assert says in str(caught.value)

    @pytest.mark.parametrize(
        ("old", "new", "line", "says"),
        [
            ("5199.17", "8000", 3, "open '7254.86' is outside low"),
            ("7226.62", "9000", 4, "close '9000' is outside low"),
            ("1584008880", "1584008820", 4, "is not after the row above"),
            ("ts,open", "date,open", 1, "no column ts"),
            ("7265.0", "x", 3, "high 'x' is not a number"),
        ],
    )
    def test_bars__malformed(
        self, tmp_path: Path, old: str, new: str, line: int, says: str
    ) -> None:
        path = write(tmp_path, BARS.replace(old, new))
        with pytest.raises(PathError) as caught:
            read_all(f"ETH={path}", BarOrder.LOW_FIRST)
        assert str(caught.value).startswith(f"{path}:{line}: ")
        assert says in str(caught.value)

    def test_bars__long_form_given(self, tmp_path: Path) -> None:
        path = write(tmp_path, LONG)
        with pytest.raises(PathError, match="this is the long form"):
            read_all(f"BTC={path}")

    @pytest.mark.parametrize(
        ("specification", "says"),
        [
            ("absent.csv", "absent.csv: no such file"),
            (".", "is a folder"),
            ("DOGE=absent.csv", "no instrument for 'DOGE'; there are BTC, ETH, SOL"),
            ("BTC=a.csv rest.csv", "every word has to be ASSET=file"),
            ("a.csv b.csv", "name one file in long form"),
            ("'a.csv", "check the quotes"),
            ("", "name one file in long form"),
        ],
    )
    def test_specification__refused(self, specification: str, says: str) -> None:
        with pytest.raises(PathError) as caught:
            read_all(specification)
        assert says in str(caught.value)

    def test_asset_named_twice__refused(self, tmp_path: Path) -> None:
        path = write(tmp_path, BARS)
        with pytest.raises(PathError, match="BTC is named twice"):
            read_all(f"BTC={path} BTC={path}")

    @pytest.mark.parametrize(
        "content", [b"not gzip", gzip.compress(BARS.encode(), mtime=0)[:40]], ids=["foreign", "cut"]
    )
    def test_broken_gzip__refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "bars.csv.gz"
        path.write_bytes(content)
        with pytest.raises(PathError, match="not a whole gzip file"):
            read_all(f"BTC={path}")

    def test_binary_file__refused(self, tmp_path: Path) -> None:
        path = tmp_path / "bars.csv"
        path.write_bytes(b"ts,open\xff\xfe")
        with pytest.raises(PathError, match="not text at byte 7"):
            read_all(f"BTC={path}")


class TestThin:
    def walk(self, seed: int, steps: int) -> PricePath:
        dice = random.Random(seed)
        prices = [Decimal(100)]
        for _ in range(steps - 1):
            prices.append(round(prices[-1] * Decimal(dice.uniform(0.97, 1.031)), 8))
        other = tuple(reversed(prices))
        return PricePath(tuple(range(0, 7 * steps, 7)), {"BTC": tuple(prices), "ETH": other})

    @pytest.mark.parametrize("steps", [STEPS_MIN, 17, 144])
    def test_keeps_ends_and_extremes__changes_no_price(self, seed: int, steps: int) -> None:
        path = self.walk(seed, 900)
        thinned = thin(path, steps)
        assert thinned.steps == steps
        assert thinned.seconds[0] == 0
        assert thinned.seconds[-1] == path.seconds[-1]
        moments = dict(zip(path.seconds, range(path.steps), strict=True))
        for asset, prices in thinned.prices.items():
            assert min(prices) == min(path.prices[asset])
            assert max(prices) == max(path.prices[asset])
            for time, price in zip(thinned.seconds, prices, strict=True):
                assert price == path.prices[asset][moments[time]]

    def test_short_path__all_of_it(self, seed: int) -> None:
        path = self.walk(seed, 30)
        assert thin(path, 30) is path

    def test_spends_its_steps_where_the_market_moves(self) -> None:
        quiet, wild = [Decimal(100)] * 300, [Decimal(100 + 9 * (-1) ** i) for i in range(40)]
        path = PricePath(tuple(range(640)), {"BTC": (*quiet, *wild, *quiet)})
        kept = thin(path, 40).seconds
        assert sum(300 <= second < 340 for second in kept) >= 36


class TestReplay:
    def test_assets_without_a_file_follow_the_generator(self, tmp_path: Path) -> None:
        path = replay(str(write(tmp_path, LONG)), None, steps=60, seed=9)
        assert path.seconds == (0, 60, 120)
        assert list(path.prices) == list(ASSETS)
        assert [float(price) for price in path.prices["ETH"]] == [2000.5, 2000.5, 1900]
        assert path.prices["SOL"] == generate(seed=9, steps=3, assets=["SOL"]).prices["SOL"]

    def test_overlapping_files__common_time_only(self, tmp_path: Path) -> None:
        later = BARS.replace("1584008760", "1584008800", 1)
        early, late = write(tmp_path, BARS, "a.csv"), write(tmp_path, later, "b.csv")
        path = replay(f"BTC={early} ETH={late}", BarOrder.HIGH_FIRST, steps=60, seed=9)
        assert path.prices["BTC"][0] == Decimal("7219.44"), "what it was when ETH began"
        assert path.prices["ETH"][0] == Decimal("7220.68")

    def test_files_of_different_days__start_together(self, tmp_path: Path) -> None:
        day = BARS.replace("1584008", "1684008")
        first, second = write(tmp_path, BARS, "a.csv"), write(tmp_path, day, "b.csv")
        path = replay(f"BTC={first} ETH={second}", BarOrder.LOW_FIRST, steps=60, seed=9)
        assert path.prices["BTC"] == path.prices["ETH"]
        assert path.seconds[-1] == 165

    def test_too_few_steps__refused(self, tmp_path: Path) -> None:
        with pytest.raises(PathError, match="STEPS=3: a replay takes at least 8"):
            replay(str(write(tmp_path, LONG)), None, steps=3, seed=1)
