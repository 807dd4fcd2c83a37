"""Signed price reports: what a reporter signs, which reports make a quorum, how it is posted.

A report is EIP-712 typed data in the domain of one OracleHub on one chain (SPEC 4.3). Signing is
an edge's act; here are the digest that is signed and the call that carries the signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper.core.types import Address, FeedId
from keeper.core.units import PPM

DOMAIN_NAME = "Ballast OracleHub"
DOMAIN_VERSION = "1"

_DOMAIN_TYPE = keccak(
    text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_REPORT_TYPE = keccak(
    text="PriceReport(uint256 feed,uint256 slot,uint256 previous,uint256 price,uint256 confidence)"
)

_SIGNED = "(uint56,uint24,uint8,uint256,uint256)"
_POST = ("uint256", "uint256", "uint256", f"{_SIGNED}[]")
_POST_SELECTOR = keccak(text=f"post({','.join(_POST)})")[:4]
_POST_MANY = f"({','.join(_POST)})[]"
_POST_MANY_SELECTOR = keccak(text=f"post_many({_POST_MANY})")[:4]

_PRICE_LIMIT = 1 << 56
_CONFIDENCE_LIMIT = 1 << 24

_Posting = tuple[int, int, int, list[tuple[int, int, int, int, int]]]


@dataclass(frozen=True, slots=True)
class PriceReport:
    """What one reporter says: from `previous` to `slot` no other slot, and at `slot` this price.

    ValueError names a figure that no hub accepts.
    """

    feed: FeedId
    slot: int  # unix seconds
    previous: int  # unix seconds, < slot
    price: int  # mantissa in the feed's decimals, 1 to 2^56 − 1
    confidence: int  # ppm, below 2^24

    def __post_init__(self) -> None:
        if not 0 < self.price < _PRICE_LIMIT:
            raise ValueError(f"price {self.price}: expected 1 to 2^56 - 1 in the feed's decimals")
        if not 0 <= self.confidence < _CONFIDENCE_LIMIT:
            raise ValueError(f"confidence {self.confidence}: expected 0 to 2^24 - 1 ppm")
        if not 0 <= self.previous < self.slot:
            raise ValueError(f"previous slot {self.previous}: expected before slot {self.slot}")


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A report with its signature: v 27 or 28, s in the lower half."""

    report: PriceReport
    reporter: Address
    v: int
    r: int
    s: int


def domain_separator(chain_id: int, hub: Address) -> bytes:
    """The EIP-712 domain of one hub on one chain, 32 bytes."""
    return keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [_DOMAIN_TYPE, keccak(text=DOMAIN_NAME), keccak(text=DOMAIN_VERSION), chain_id, hub],
        )
    )


def digest(report: PriceReport, domain: bytes) -> bytes:
    """The 32 bytes that a reporter signs; `domain` as `domain_separator` gives it."""
    figures = (report.feed, report.slot, report.previous, report.price, report.confidence)
    content = keccak(_REPORT_TYPE + b"".join(figure.to_bytes(32, "big") for figure in figures))
    return keccak(b"\x19\x01" + domain + content)


def choose_quorum(
    signed: Sequence[SignedReport], size: int, width_ppm: int
) -> tuple[SignedReport, ...] | None:
    """The `size` reports of one slot that lie closest together, by price; None when none fit.

    Each reporter counts once, by its first report. Of equally narrow choices the lowest is taken,
    so that every keeper with the same reports posts the same quorum.
    """
    first: dict[Address, SignedReport] = {}
    for one in signed:
        first.setdefault(one.reporter, one)
    if len({_moment(one.report) for one in first.values()}) > 1:
        raise ValueError("reports of more than one feed, slot or previous slot")
    if not 0 < size <= len(first):
        return None
    ordered = sorted(first.values(), key=lambda one: (one.report.price, one.reporter))
    runs = [tuple(ordered[i : i + size]) for i in range(len(ordered) - size + 1)]
    fitting = (run for run in runs if _spread(run) * PPM <= width_ppm * run[0].report.price)
    return min(fitting, key=_spread, default=None)


def post_call(quorum: Sequence[SignedReport]) -> bytes:
    """Call data of `OracleHub.post` for a quorum in ascending order of price."""
    return _POST_SELECTOR + encode(list(_POST), list(_posting(quorum)))


def post_many_call(quorums: Sequence[Sequence[SignedReport]]) -> bytes:
    """Call data of `OracleHub.post_many`: one quorum for each of several feeds."""
    return _POST_MANY_SELECTOR + encode([_POST_MANY], [[_posting(one) for one in quorums]])


def _posting(quorum: Sequence[SignedReport]) -> _Posting:
    moments = {_moment(one.report) for one in quorum}
    if len(moments) != 1:
        raise ValueError(f"a quorum is of one feed, slot and previous slot, got {len(moments)}")
    prices = [one.report.price for one in quorum]
    if prices != sorted(prices):
        raise ValueError("a quorum is posted in ascending order of price")
    ((feed, slot, previous),) = moments
    return (
        feed,
        slot,
        previous,
        [(one.report.price, one.report.confidence, one.v, one.r, one.s) for one in quorum],
    )


def _moment(report: PriceReport) -> tuple[FeedId, int, int]:
    return report.feed, report.slot, report.previous


def _spread(quorum: Sequence[SignedReport]) -> int:
    return quorum[-1].report.price - quorum[0].report.price
