"""Price sources: what is wrong is named by line, nothing is lost, nothing is said twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from eth_account import Account

from keeper.core import reports
from keeper.core.quotes import Feed
from keeper.core.types import Address, FeedId
from keeper.edges.prices import CsvSource, GeneratorSource, Observation, PriceError, PushSource
from keeper.edges.reporter import Reporter
from keeper.edges.store import Store
from tests.keeper.keys import key_at

ASSETS = ["BTC", "ETH"]


def prices(found: list[Observation]) -> list[tuple[int, dict[str, str]]]:
    return [(one.time, {a: str(p) for a, p in one.prices.items()}) for one in found]


# csv


def csv(tmp_path: Path, *rows: str, header: str = "time,asset,price") -> Path:
    file = tmp_path / "path.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def test_csv__each_moment_once_and_not_before_its_time(tmp_path: Path) -> None:
    file = csv(tmp_path, "100,BTC,50000.5", "100,ETH,2500", "", "160,BTC,49000")
    source = CsvSource(file, ASSETS, None)
    assert source.poll(99) == []
    assert prices(source.poll(100)) == [(100, {"BTC": "50000.5", "ETH": "2500"})]
    assert source.poll(159) == []
    assert prices(source.poll(1000)) == [(160, {"BTC": "49000"})]
    assert source.poll(9999) == []


def test_csv__moved_to_a_start(tmp_path: Path) -> None:
    source = CsvSource(csv(tmp_path, "100,BTC,1", "160,BTC,2"), ASSETS, 1_700_000_000)
    assert [one.time for one in source.poll(1_700_000_060)] == [1_700_000_000, 1_700_000_060]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (["100,BTC"], "line 2: expected time,asset,price, got 2 columns"),
        (["100,BTC,1", "noon,BTC,2"], "line 3: time 'noon': expected unix seconds"),
        (["100,DOGE,1"], "line 2: asset 'DOGE': expected one of BTC, ETH"),
        (["100,BTC,0"], "line 2: price '0': expected a number above 0"),
        (["100,BTC,-1"], "line 2: price '-1': expected a number above 0"),
        (["100,BTC,cheap"], "line 2: price 'cheap': expected a number above 0"),
        (["100,BTC,nan"], "line 2: price 'nan': expected a number above 0"),
        (["100,BTC,1", "99,BTC,2"], "line 3: time 99 is before the one above it"),
        ([], "no prices in it"),
    ],
)
def test_csv__malformed__names_file_line_and_fault(
    tmp_path: Path, rows: list[str], why: str
) -> None:
    with pytest.raises(PriceError) as refused:
        CsvSource(csv(tmp_path, *rows), ASSETS, None)
    assert str(refused.value) == f"{tmp_path / 'path.csv'}: {why}"


def test_csv__wrong_header_or_no_file__said(tmp_path: Path) -> None:
    with pytest.raises(PriceError, match="line 1: expected the header"):
        CsvSource(csv(tmp_path, "1,BTC,1", header="t,a,p"), ASSETS, None)
    with pytest.raises(PriceError, match="cannot be read"):
        CsvSource(tmp_path / "none.csv", ASSETS, None)


# generator


def walk(source: GeneratorSource, start: int, count: int) -> list[Decimal]:
    return [source.poll(moment)[0].prices["BTC"] for moment in range(start, start + count)]


def test_generator__same_seed_same_path_and_goes_on_after_a_restart() -> None:
    start = {"BTC": 50_000.0}
    whole = walk(GeneratorSource(start, 7, 0.8, {}), 1000, 20)
    first = GeneratorSource(start, 7, 0.8, {})
    half = walk(first, 1000, 10)
    again = GeneratorSource(start, 7, 0.8, {"BTC": half[-1]})
    assert half + walk(again, 1010, 10) == whole
    assert whole != walk(GeneratorSource(start, 8, 0.8, {}), 1000, 20)
    assert len(set(whole)) == 20


def test_generator__one_price_a_moment() -> None:
    source = GeneratorSource({"BTC": 1.0}, 1, 0.8, {})
    assert len(source.poll(5)) == 1
    assert source.poll(5) == []
    assert source.poll(4) == []


# push


def line(time: int, **known: str) -> str:
    return json.dumps({"time": time, "prices": known})


def test_push__appended_lines__all_of_them_half_a_line_later(tmp_path: Path) -> None:
    file = tmp_path / "feed.jsonl"
    source = PushSource(file, ASSETS)
    assert source.poll(1000) == []  # nobody has written yet
    file.write_text(line(10, BTC="1") + "\n" + line(20, BTC="2") + "\n" + line(30, BTC="3")[:9])
    assert prices(source.poll(1000)) == [(10, {"BTC": "1"}), (20, {"BTC": "2"})]
    with file.open("a") as more:
        more.write(line(30, BTC="3")[9:] + "\n" + line(2000, BTC="4") + "\n")
    assert prices(source.poll(1000)) == [(30, {"BTC": "3"})]
    assert prices(source.poll(2000)) == [(2000, {"BTC": "4"})]


def test_push__file__the_latest_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "feed.json"
    source = PushSource(file, ASSETS)
    file.write_text(line(10, BTC="1", DOGE="7"))
    assert prices(source.poll(1000)) == [(10, {"BTC": "1"})]
    assert source.poll(1000) == []
    beside = tmp_path / "new"
    beside.write_text(line(20, BTC="2"))
    beside.replace(file)
    assert prices(source.poll(1000)) == [(20, {"BTC": "2"})]


def test_push__folder__files_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "feed"
    folder.mkdir()
    source = PushSource(folder, ASSETS)
    (folder / "002.json").write_text(line(20, BTC="2"))
    (folder / "001.json").write_text(line(10, BTC="1"))
    assert [one.time for one in source.poll(1000)] == [10, 20]
    (folder / "003.json").write_text(line(30, BTC="3"))
    assert [one.time for one in source.poll(1000)] == [30]


@pytest.mark.parametrize(
    "bad",
    ["{", "[]", '{"time": 1}', '{"time": 1.5, "prices": {}}', line(1, BTC="0"), line(1, BTC="x")],
)
def test_push__malformed__left_out_and_the_next_one_is_read(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "feed.jsonl"
    file.write_text(bad + "\n" + line(10, BTC="1") + "\n")
    assert [one.time for one in PushSource(file, ASSETS).poll(1000)] == [10]


@pytest.fixture
def page() -> Iterator[tuple[str, list[str]]]:
    """A real HTTP server and the one page that it answers with."""
    content = [line(10, BTC="1")]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if content[0] else 500)
            self.end_headers()
            self.wfile.write(content[0].encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/prices", content
    server.shutdown()
    thread.join()
    server.server_close()


def test_push__address__each_answer_once_and_faults_survived(page: tuple[str, list[str]]) -> None:
    url, content = page
    source = PushSource(url, ASSETS)
    assert prices(source.poll(1000)) == [(10, {"BTC": "1"})]
    assert source.poll(1000) == []
    content[0] = ""
    assert source.poll(1000) == []
    content[0] = line(20, BTC="2")
    assert prices(source.poll(1000)) == [(20, {"BTC": "2"})]


# reporters

BTC = FeedId(1)
ABOUT = {BTC: Feed(8, 5, 240, 2_000, 120, 900, 5_000)}
DOMAIN = reports.domain_separator(31337, Address(b"h" * 20))


def reporter(store: Store, count: int = 3) -> Reporter:
    return Reporter(store, [key_at(i) for i in range(count)], {"BTC": BTC}, DOMAIN, 200)


def see(found: Reporter, time: int, price: str, stored: int = 0) -> int:
    observation = Observation(time, {"BTC": Decimal(price), "ETH": Decimal(1)})
    return found.observe(observation, ABOUT, {BTC: stored}, 1.0)


def said(found: Reporter) -> list[tuple[int, int, int]]:
    return [(one.report.slot, one.report.previous, one.report.price) for one in found.said(BTC)]


def test_reporter__slots_of_the_grid_each_naming_the_one_before(store: Store) -> None:
    one = reporter(store)
    assert see(one, 1003, "50000.000000015", stored=990) == 1
    assert see(one, 1011, "50001") == 1
    assert said(one) == [(1000, 990, 5_000_000_000_002), (1010, 1000, 5_000_100_000_000)]


def test_reporter__a_slot_spoken_of__is_never_spoken_of_again(store: Store) -> None:
    one = reporter(store)
    assert see(one, 1000, "50000") == 1
    assert see(one, 1004, "49000") == 0  # the same slot at another price
    assert see(one, 999, "49000") == 0  # an older one
    assert see(one, 1005, "49000", stored=1005) == 0  # others have fixed it
    assert len(said(one)) == 1


def test_reporter__after_a_restart__knows_what_it_has_said(store: Store) -> None:
    one = reporter(store)
    see(one, 1000, "50000")
    see(one, 1005, "50001")
    again = reporter(store)
    again.recall(0)
    assert said(again) == said(one)
    assert see(again, 1005, "1") == 0
    assert see(again, 1010, "50002") == 1
    assert said(again)[-1][:2] == (1010, 1005)


def test_reporter__signatures_are_of_its_keys_over_the_digest(store: Store) -> None:
    one = reporter(store)
    see(one, 1000, "50000")
    report = one.said(BTC)[0].report
    signed = one.sign(report, 2)
    for by in signed:
        signer = Account._recover_hash(reports.digest(report, DOMAIN), (by.v, by.r, by.s))
        assert bytes.fromhex(signer[2:]) == by.reporter
    assert [by.reporter for by in signed] == [key_at(0).address, key_at(1).address]
    with pytest.raises(ValueError, match="a quorum is 4 reporters, keys are here for 3"):
        one.sign(report, 4)


def test_reporter__price_that_no_hub_takes__is_left_out(store: Store) -> None:
    one = reporter(store)
    assert see(one, 1000, "0.000000001") == 0  # below a unit of the feed
    assert see(one, 1000, str(2**56)) == 0
    assert see(one, 1000, "50000") == 1


def test_reporter__forgets_what_no_ring_holds(store: Store) -> None:
    one = reporter(store)
    for slot in (1000, 1005, 1010):
        see(one, slot, "1")
    one.forget(1005)
    assert [slot for slot, _, _ in said(one)] == [1005, 1010]
