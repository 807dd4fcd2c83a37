"""What governance sets, read by views at one block: terms, feeds, tokens, limits."""

from __future__ import annotations

from typing import Any

from keeper.core import terms
from keeper.core.fold import Constants
from keeper.core.interest import Curve
from keeper.core.liquidation import Policy
from keeper.core.losses import Limits
from keeper.core.margin import Haircut
from keeper.core.protocol.state import Parameters, Settlement, Token
from keeper.core.quotes import Feed
from keeper.core.types import Address, FeedId, InstrumentId
from keeper.edges import abi
from keeper.edges.addresses import AddressBook
from keeper.edges.chain import Call, Chain, Header, RpcError, bytes_of

View = tuple[str, str, tuple[Any, ...]]  # contract, function, arguments


class Views:
    """Reads of the contracts of one address book, many at a time, at one pinned block."""

    def __init__(self, chain: Chain, book: AddressBook) -> None:
        self.chain, self._book = chain, book

    def ask(self, wanted: list[View], block: Header) -> list[Any]:
        """Answers in the order asked; a struct is a dict. Raises Unreachable, RpcError."""
        answers = self.try_ask(wanted, block)
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
        return answers

    def try_ask(self, wanted: list[View], block: Header) -> list[Any]:
        """As `ask`, with the RpcError of a view that reverts in its place."""
        functions = [abi.contract(contract).function(name) for contract, name, _ in wanted]
        calls = [
            Call(self._book.address(contract), function.data(*arguments))
            for function, (contract, _, arguments) in zip(functions, wanted, strict=True)
        ]
        answers = self.chain.calls(calls, block)
        return [
            answer if isinstance(answer, RpcError) else function.values(answer)
            for function, answer in zip(functions, answers, strict=True)
        ]


def settlement_token(views: Views, block: Header) -> bytes:
    """Address of the token that cash is counted in: it never changes."""
    (address,) = views.ask([("Clearinghouse", "SETTLEMENT_TOKEN", ())], block)
    return bytes_of(address)


def read(views: Views, block: Header) -> Constants:
    """Everything that the logs do not tell. Raises Unreachable, RpcError."""
    counts: list[View] = [
        ("OracleHub", "feed_count", ()),
        ("Instruments", "count", ()),
        ("Vault", "tokens", ()),
    ]
    feed_count, instrument_count, tokens = views.ask(counts, block)
    feed_ids = [FeedId(i) for i in range(1, feed_count + 1)]
    instruments = [InstrumentId(i) for i in range(1, instrument_count + 1)]
    feeds = views.ask([("OracleHub", "feed_config", (one,)) for one in feed_ids], block)
    words = views.ask([("Instruments", "terms", (one,)) for one in instruments], block)
    ends = views.ask([("Instruments", "settlement", (one,)) for one in instruments], block)
    causes = [InstrumentId(0), *instruments]  # of deficits: 0 is debt that no instrument caused
    caps = views.ask([("Losses", "insurance_cap", (one,)) for one in causes], block)
    listings = views.ask([("Vault", "listing", (one,)) for one in tokens], block)
    return Constants(
        parameters=_parameters(views, block, dict(zip(causes, caps, strict=True))),
        feeds={one: _feed(about) for one, about in zip(feed_ids, feeds, strict=True)},
        tokens=[_token(listing) for listing in listings],
        places={Address(bytes_of(token)): place for place, token in enumerate(tokens)},
        instruments={
            one: terms.decode(*four) for one, four in zip(instruments, words, strict=True)
        },
        settlements={one: Settlement(*end) for one, end in zip(instruments, ends, strict=True)},
    )


def _parameters(views: Views, block: Header, caps: dict[InstrumentId, int]) -> Parameters:
    wanted: list[View] = [
        ("Clearinghouse", "SCALE", ()),
        ("Debts", "terms", ()),
        ("Markets", "safety", ()),
        ("Losses", "terms_in_force", ()),
        ("RiskEngine", "margin_terms", ()),
        ("Liquidator", "call_terms", ()),
        ("Liquidator", "debt_threshold", ()),
        ("Liquidator", "debt_timing", ()),
        ("Vault", "sale_discount_ppm", ()),
        ("Orders", "policy", ()),
        ("LiquidityPool", "policy", ()),
        ("OracleHub", "quorum", ()),
        ("OracleHub", "all_reporters", ()),
        ("Instruments", "guardian", ()),
    ]
    (scale, debt, safety, losses, margin, calls, threshold, timing, discount, orders, pool,
     quorum, reporters, guardian) = views.ask(wanted, block)  # fmt: skip
    return Parameters(
        settlement_decimals=18 - (len(str(scale)) - 1),
        forced_window_seconds=safety[3],
        upnl_ppm=margin["upnl_ppm"],
        debt_maintenance_ppm=margin["debt_maintenance_ppm"],
        debt_initial_ppm=margin["debt_initial_ppm"],
        debt_cap=debt["cap_wad"],
        debt_share_ppm=debt["share_ppm"],
        debt_curve=Curve(
            base_ppm=debt["base_ppm"],
            kink_ppm=debt["kink_ppm"],
            low_ppm=debt["low_ppm"],
            high_ppm=debt["high_ppm"],
            insurance_ppm=debt["insurance_ppm"],
        ),
        pool_factor_ppm=safety[1],
        pool_low_ppm=safety[2],
        losses=Limits(
            instrument_ppm=losses["instrument_ppm"],
            underlying_ppm=losses["underlying_ppm"],
            total_ppm=losses["total_ppm"],
            window_seconds=losses["window_seconds"],
            floor=losses["floor_wad"],
        ),
        calls=Policy(
            call_ppm=calls["call_ppm"],
            hard_ppm=calls["hard_ppm"],
            grace_isolated=calls["isolated_grace"],
            grace_cross=calls["cross_grace"],
        ),
        debt_sale_threshold=threshold,
        debt_discount_ppm=discount,
        debt_grace_seconds=timing[0],
        debt_rise_seconds=timing[1],
        order_delay_seconds=orders["delay_seconds"],
        order_window_seconds=orders["window_seconds"],
        order_buffer_ppm=orders["buffer_ppm"],
        request_delay_seconds=pool["delay_seconds"],
        request_window_seconds=pool["window_seconds"],
        exit_fee_ppm=pool["exit_fee_ppm"],
        exit_factor_ppm=pool["exit_factor_ppm"],
        quorum=quorum,
        reporters=frozenset(Address(bytes_of(one)) for one in reporters),
        insurance_caps=caps,
        guardian=Address(bytes_of(guardian)),
    )


def _feed(about: dict[str, Any]) -> Feed:
    return Feed(
        decimals=about["decimals"],
        grid_seconds=about["grid_seconds"],
        ring_length=about["ring_length"],
        width_ppm=about["width_ppm"],
        max_age_seconds=about["max_age_seconds"],
        max_age_recent_seconds=about["max_age_recent_seconds"],
        conf_max_ppm=about["conf_max_ppm"],
    )


def _token(listing: dict[str, Any]) -> Token:
    return Token(
        feed=FeedId(listing["feed"]),
        decimals=listing["decimals"],
        haircut=Haircut(
            from_ppm=listing["from_ppm"],
            target_ppm=listing["target_ppm"],
            since=listing["since"],
            slope_ppm=listing["slope_ppm"],
        ),
        cap=listing["cap"],
    )
