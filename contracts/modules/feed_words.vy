# pragma version 0.4.3
"""
@title The two words of a feed
@notice The state word holds the newest price together with the limits that say how far it may
        be used and where its ring keeps a slot, so that reading a price costs one storage slot
        and reading a past one two. The shape word holds what only a posting needs. Used by the
        OracleHub alone.
@custom:layout bits, from 0 up
        state  median 56, conf_ppm 24, slot 40, gap 24: the price;
               decimals 8, max_age 24, max_age_recent 24, conf_max_ppm 24: its limits;
               grid_seconds 16, ring_length 16: its ring
        shape  width_ppm 24, source 160
"""

MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_56: constant(uint256) = 2**56 - 1
MASK_64: constant(uint256) = 2**64 - 1

PRICE_BITS: constant(uint256) = 144
PRICE_PART: constant(uint256) = 2**PRICE_BITS - 1


# state word


@internal
@pure
def _with_price(
    state: uint256, median: uint256, conf_ppm: uint256, slot: uint256, gap: uint256
) -> uint256:
    """
    @notice The state word with a new price under the same limits.
    """
    price: uint256 = median | (conf_ppm << 56) | (slot << 80) | (gap << 120)
    return ((state >> PRICE_BITS) << PRICE_BITS) | price


@internal
@pure
def _with_limits(
    state: uint256,
    decimals: uint256,
    max_age: uint256,
    max_age_recent: uint256,
    conf_max_ppm: uint256,
    grid_seconds: uint256,
    ring_length: uint256,
) -> uint256:
    """
    @notice The state word with new limits and a ring around the same price.
    """
    return (
        (state & PRICE_PART)
        | (decimals << PRICE_BITS)
        | (max_age << 152)
        | (max_age_recent << 176)
        | (conf_max_ppm << 200)
        | (grid_seconds << 224)
        | (ring_length << 240)
    )


@internal
@pure
def _quoted(state: uint256) -> uint256:
    """
    @notice The price as a quote word of modules/quotes.vy: a mantissa below 2^56 times at most
            10^18, confidence at bit 128, slot and gap together at bit 160.
    """
    price_wad: uint256 = unsafe_mul(state & MASK_56, self._unit(state))
    return price_wad | (((state >> 56) & MASK_24) << 128) | (((state >> 80) & MASK_64) << 160)


@internal
@pure
def _unit(state: uint256) -> uint256:
    """
    @return WAD in one unit of the feed's mantissa
    """
    # decimals are no more than 18: neither the difference nor the power can wrap
    return pow_mod256(10, unsafe_sub(18, (state >> PRICE_BITS) & MASK_8))


@internal
@pure
def _median(state: uint256) -> uint256:
    """
    @return mantissa in the feed's decimals
    """
    return state & MASK_56


@internal
@pure
def _conf_ppm(state: uint256) -> uint256:
    return (state >> 56) & MASK_24


@internal
@pure
def _slot(state: uint256) -> uint256:
    """
    @return unix seconds, 0 before the first price
    """
    return (state >> 80) & MASK_40


@internal
@pure
def _gap(state: uint256) -> uint256:
    return (state >> 120) & MASK_24


@internal
@pure
def _decimals(state: uint256) -> uint256:
    return (state >> PRICE_BITS) & MASK_8


@internal
@pure
def _max_age(state: uint256) -> uint256:
    """
    @return seconds for which a price is fresh
    """
    return (state >> 152) & MASK_24


@internal
@pure
def _max_age_recent(state: uint256) -> uint256:
    """
    @return seconds for which a price is recent
    """
    return (state >> 176) & MASK_24


@internal
@pure
def _conf_max_ppm(state: uint256) -> uint256:
    return (state >> 200) & MASK_24


@internal
@pure
def _grid(state: uint256) -> uint256:
    """
    @return seconds between slots
    """
    return (state >> 224) & MASK_16


@internal
@pure
def _ring_length(state: uint256) -> uint256:
    """
    @return slots remembered; 0 for a feed that is not listed
    """
    return state >> 240


# shape word


@internal
@pure
def _shape(width_ppm: uint256, source: address) -> uint256:
    return width_ppm | (convert(convert(source, uint160), uint256) << 24)


@internal
@pure
def _width_ppm(shape: uint256) -> uint256:
    return shape & MASK_24


@internal
@pure
def _source(shape: uint256) -> address:
    """
    @return IPriceSource of a pulled feed, empty for one that lives from reports
    """
    return convert(convert(shape >> 24, uint160), address)
