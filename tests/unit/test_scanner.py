"""Scanner: values and scans on the bytecode equal the reference to the unit; what a scan costs.

docs/OPTIONS.md, all of it.
"""

from __future__ import annotations

import random
from dataclasses import asdict

import pytest
from eth_abi import encode
from eth_utils import keccak

from keeper.core import pricing, scan
from keeper.core.pricing import Kind, Series
from keeper.core.scan import Leg, Point
from keeper.core.terms import RISK, SCAN, ScanTerms
from keeper.core.units import DAY, WAD
from scripts import build
from tests.support.evm import Contract, Evm
from tests.support.refusals import refused

TERMS = ScanTerms(800_000, 700_000, 300_000, 500_000, 400_000, 330_000, 3_000, 1_200_000, 900_000)
SCAN_WORD = SCAN.pack(asdict(TERMS))
OPTIONS = (Kind.CALL, Kind.PUT)
POWERS = (Kind.SQUARE, Kind.CUBE)

Position = tuple[Series, int, int]  # series, strike class, size


@pytest.fixture(scope="module")
def evm() -> Evm:
    return Evm()


@pytest.fixture(scope="module")
def scanner(evm: Evm) -> Contract:
    return evm.deploy(build.artifact("Scanner", "cancun"), sender=evm.account("governor"))


def risk_word(series: Series, strike_class: int = 0) -> int:
    named = dict.fromkeys(RISK.names, 0) | {
        "kind": series.kind,
        "strike_wad": series.strike,
        "period_seconds": series.period,
        "margin_class": strike_class,
    }
    return RISK.pack(named)


def drawn(rng: random.Random, index: int) -> Series:
    """Any instrument; strikes around the index as well as far from it."""
    kind = rng.choice((Kind.FUTURE, *OPTIONS, *OPTIONS, *POWERS))
    if kind == Kind.FUTURE:
        return Series(kind, 0, 28_800)
    near = max(1, index * rng.randrange(50, 200) // 100)
    strike = min(rng.choice((near, index, rng.randrange(1, 1 << 96))), pricing.MAX_INDEX)
    return Series(kind, strike, rng.choice((3_600, DAY, 7 * DAY, 90 * DAY)))


def measured(
    scanner: Contract, book: list[Position], point: Point, netted: bool
) -> tuple[int, int]:
    legs = [(risk_word(series, strike_class), size) for series, strike_class, size in book]
    at = (point.index, point.shock_ppm, SCAN_WORD)
    loss, exposure = scanner.measure(legs, at, netted)
    return loss, exposure


@pytest.mark.parametrize("seed", range(4))
def test_price__equals_the_model_to_the_unit(scanner: Contract, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(150):
        index = rng.choice((1, 3_000 * WAD, rng.randrange(1, 10**24), rng.randrange(1, 1 << 96)))
        series, strike_class = drawn(rng, index), rng.randrange(3)
        sigma = TERMS.sigma_ppm * TERMS.class_ppm(strike_class) // 10**6
        worth = pricing.value(series, index, sigma)
        expected = (worth.fair, worth.payoff, pricing.greeks(series, index, sigma).delta)
        assert tuple(scanner.price(risk_word(series, strike_class), SCAN_WORD, index)) == expected


@pytest.mark.parametrize("seed", range(4))
def test_measure__equals_the_model_to_the_unit(scanner: Contract, seed: int) -> None:
    """Books of up to 16 legs, netted and each alone, mixed periods and classes, any shock."""
    rng = random.Random(seed)
    for _ in range(40):
        index = rng.choice((3_000 * WAD, rng.randrange(10**6, 10**24)))
        book = [
            (drawn(rng, index), rng.randrange(3), rng.randrange(-(10**22), 10**22))
            for _ in range(rng.randrange(1, 17))
        ]
        point = Point(index, rng.randrange(1, 500_001), TERMS.sigmas, TERMS.tail_weight_ppm)
        legs = [Leg(size, series, TERMS.class_ppm(which)) for series, which, size in book]
        assert measured(scanner, book, point, True) == scan.measure(legs, point)
        alone = sum(scan.measure((leg,), point)[0] for leg in legs)
        assert measured(scanner, book, point, False) == (alone, 0)


def test_measure__of_nothing_is_nothing(scanner: Contract) -> None:
    assert measured(scanner, [], Point(3_000 * WAD, 150_000), True) == (0, 0)


def test_measure__a_size_beyond_any_position__refused(scanner: Contract) -> None:
    with refused("scan: size too large"):
        measured(scanner, [(pricing.FUTURE, 0, 1 << 96)], Point(3_000 * WAD, 150_000), True)


@pytest.mark.parametrize(("series", "most"), [(1, 85_000), (4, 150_000), (16, 470_000)])
def test_measure__gas_by_number_of_series(
    evm: Evm, scanner: Contract, series: int, most: int
) -> None:
    """Execution of one underlying's scan: strikes around the price, two periods."""
    legs = [
        (
            risk_word(Series(1 + i % 2, (2_000 + 125 * i) * WAD, 7 * DAY if i < 8 else 30 * DAY)),
            -WAD * (i + 1),
        )
        for i in range(series)
    ]
    asked = ["(uint256,int256)[]", "(uint256,uint256,uint256)", "bool"]
    data = keccak(text=f"measure({','.join(asked)})")[:4]
    data += encode(asked, [legs, (3_000 * WAD, 150_000, SCAN_WORD), True])
    evm.transact(scanner.address, data, evm.account("governor"))
    intrinsic = 21_000 + sum(16 if byte else 4 for byte in data)
    assert evm.gas_used - intrinsic < most
