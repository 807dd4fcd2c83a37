# pragma version 0.4.3
"""
@title The modules of words and divisions, each function in the open
@notice For tests: what is internal in every contract that uses it can be called here, with
        values that no act would reach.
@dev Never deployed.
"""

from contracts.modules import account_words
from contracts.modules import market_words
from contracts.modules import pricing
from contracts.modules import quotes
from contracts.modules import scan
from contracts.modules import wad_math
from contracts.modules import words


@external
@pure
def unsigned(word: uint256, offset: uint256, bits: uint256) -> uint256:
    return words._unsigned(word, offset, bits)


@external
@pure
def signed(word: uint256, offset: uint256, bits: uint256) -> int256:
    return words._signed(word, offset, bits)


@external
@pure
def put_unsigned(amount: uint256, offset: uint256, bits: uint256) -> uint256:
    return words._put_unsigned(amount, offset, bits)


@external
@pure
def put_signed(amount: int256, offset: uint256, bits: uint256) -> uint256:
    return words._put_signed(amount, offset, bits)


@external
@pure
def unpack_account(word: uint256) -> account_words.Account:
    return account_words._unpack(word)


@external
@pure
def pack_account(account: account_words.Account) -> uint256:
    return account_words._pack(account)


@external
@pure
def id_at(heads: uint256, tail: uint256, place: uint256) -> uint256:
    return account_words._id_at(heads, tail, place)


@external
@pure
def with_id(
    heads: uint256, tail: uint256, place: uint256, instrument: uint256
) -> (uint256, uint256):
    return account_words._with_id(heads, tail, place, instrument)


@external
@pure
def owner(account: bytes32) -> address:
    return account_words._owner(account)


@external
@pure
def cross_bucket(owner_: address) -> bytes32:
    return account_words._cross_bucket(owner_)


@external
@pure
def mode(account: bytes32, stored: uint256) -> uint256:
    return account_words._mode(account, stored)


@external
@pure
def unpack_market(stored: uint256[5]) -> market_words.Market:
    return market_words._unpack([stored[0], stored[1], stored[2], stored[3]], stored[4])


@external
@pure
def pack_market(market: market_words.Market) -> uint256[5]:
    w: uint256[4] = market_words._pack(market)
    return [w[0], w[1], w[2], w[3], market_words._pack_forced(market)]


@external
@pure
def residual(forced: int256, forced_at: uint256, at: uint256, span: uint256) -> int256:
    return market_words._residual(forced, forced_at, at, span)


@external
@pure
def owed(size: int256, index: int256, settled: int256) -> int256:
    return market_words._owed(size, index, settled)


@external
@pure
def index_part(size: int256, settled: int256) -> int256:
    return market_words._index_part(size, settled)


@external
@pure
def reserve(index: int256, depth: int256, net: int256, premium_net: int256) -> int256:
    return market_words._reserve(index, depth, net, premium_net)


@external
@pure
def floor_div(a: int256, b: int256) -> int256:
    return wad_math._floor_div(a, b)


@external
@pure
def ceil_div(a: int256, b: int256) -> int256:
    return wad_math._ceil_div(a, b)


@external
@pure
def ceil_div_unsigned(a: uint256, b: uint256) -> uint256:
    return scan._ceil_div(a, b)


@external
@pure
def fair_and_payoff(kind: uint256, index: uint256) -> (uint256, uint256):
    return pricing._fair(kind, index), pricing._payoff(kind, index)


@external
@pure
def payoff(kind: uint256, index: uint256) -> uint256:
    return pricing._payoff(kind, index)


@external
@pure
def quote(
    price: uint256, conf_ppm: uint256, slot: uint256, gap: uint256
) -> (uint256, uint256, uint256, uint256):
    """
    @return what comes out of a quote word of what goes in
    """
    word: uint256 = quotes._pack(price, conf_ppm, slot, gap)
    return quotes._price(word), quotes._conf_ppm(word), quotes._slot(word), quotes._gap(word)
