# pragma version 0.4.3
"""
@title The price words of the OracleHub (docs/SPEC.md 4)
@notice A slot word is what the hub keeps of a quorum: mantissas in the feed's own decimals.
        A quote word is what leaves the hub: WAD, for whoever prices.
@custom:units mantissa = price * 10^decimals; WAD = mantissa * 10^(18 - decimals)
@custom:layout bits, from 0 up
        slot   median 56, high 56, low 56, conf_ppm 24, slot 40, gap 24
        quote  price_wad 128, conf_ppm 32, slot 40, gap 24
        The gap is slot - previous slot in seconds, saturated at 2^24 - 1 (194 days).
"""

MASK_24: constant(uint256) = 2**24 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_56: constant(uint256) = 2**56 - 1
MASK_128: constant(uint256) = 2**128 - 1

MAX_MANTISSA: constant(uint256) = MASK_56
MAX_CONF_PPM: constant(uint256) = MASK_24
MAX_GAP: constant(uint256) = MASK_24


# quote word


@internal
@pure
def _pack(price_wad: uint256, conf_ppm: uint256, slot: uint256, gap: uint256) -> uint256:
    """
    @dev A mantissa below 2^56 times 10^18 stays below 2^116.
    """
    return price_wad | (conf_ppm << 128) | (slot << 160) | (gap << 200)


@internal
@pure
def _price(quote: uint256) -> uint256:
    """
    @return WAD quote
    """
    return quote & MASK_128


@internal
@pure
def _conf_ppm(quote: uint256) -> uint256:
    return (quote >> 128) & MASK_32


@internal
@pure
def _slot(quote: uint256) -> uint256:
    """
    @return unix seconds
    """
    return (quote >> 160) & MASK_40


@internal
@pure
def _gap(quote: uint256) -> uint256:
    """
    @return seconds since the slot before
    """
    return (quote >> 200) & MASK_24


# slot word


@internal
@pure
def _pack_slot(
    median: uint256, high: uint256, low: uint256, conf_ppm: uint256, slot: uint256, gap: uint256
) -> uint256:
    """
    @dev The caller has checked the mantissas and the gap against the bounds above.
    """
    return (
        median | (high << 56) | (low << 112) | (conf_ppm << 168) | (slot << 192) | (gap << 232)
    )


@internal
@pure
def _slot_median(word: uint256) -> uint256:
    return word & MASK_56


@internal
@pure
def _slot_high(word: uint256) -> uint256:
    return (word >> 56) & MASK_56


@internal
@pure
def _slot_low(word: uint256) -> uint256:
    return (word >> 112) & MASK_56


@internal
@pure
def _slot_conf_ppm(word: uint256) -> uint256:
    return (word >> 168) & MASK_24


@internal
@pure
def _slot_time(word: uint256) -> uint256:
    """
    @return unix seconds
    """
    return (word >> 192) & MASK_40


@internal
@pure
def _slot_gap(word: uint256) -> uint256:
    return word >> 232
