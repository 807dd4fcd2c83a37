"""The state of one instrument: open interest, money indices, what the pool stands to pay (SPEC 5).

Signs: size > 0 is long, an index > 0 is owed by its side, a premium > 0 is paid by buyers.
Q is the net size of all positions, R the part of it that came by force and has not entered the
premium yet, Q_p = Q − R the size that premium is computed from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.core.terms import Terms
from keeper.core.units import MICRO, PPM, WAD, ceil_div, floor_div, trunc_div
from keeper.core.words import Layout

LAYOUTS = (
    Layout(long_index=-104, short_index=-104, accrued_at=32, stopped=8, easing=8),
    Layout(rate=-80, gap=56, notional_sum=-120),
    Layout(long_interest=96, short_interest=96, requirement=64),
    Layout(index_sum=-112, mark=-96, won=-48),
    Layout(forced=-104, forced_at=48),
)
MAX_REQUIREMENT = (1 << 64) - 1  # micro-USD
MAX_WON = (1 << 47) - 1  # micro-USD
WON_SPAN = 3_600  # seconds


@dataclass(frozen=True, slots=True)
class Market:
    """One instrument as the Clearinghouse keeps it (SPEC 5.1)."""

    long_index: int = 0  # WAD owed per unit of a long since listing
    short_index: int = 0
    rate: int = 0  # WAD per unit and second, from longs to shorts
    gap: int = 0  # WAD per unit and second, from both sides to insurance
    accrued_at: int = 0
    easing: int = 0  # 1 while a part of `forced` has not entered the premium
    forced: int = 0  # residual R at forced_at, WAD units
    forced_at: int = 0
    long_interest: int = 0  # WAD units
    short_interest: int = 0
    stopped: int = 0  # ended by a deficit: 1 the longs lost, 2 the shorts
    notional_sum: int = 0  # Σ N
    index_sum: int = 0  # Σ floor(|q|·G0 / WAD)
    mark: int = 0  # pool's result at the last accrual, premium reserve taken off
    won: int = 0  # micro-USD, what the pool has realised of late, losses taken off
    requirement: int = 0  # what the pool must hold for it, micro-USD

    @property
    def net(self) -> int:
        """Q, WAD units."""
        return self.long_interest - self.short_interest

    def side_index(self, size: int) -> int:
        """The money index of the side that `size` is on."""
        return self.long_index if size > 0 else self.short_index

    def interest(self, size: int) -> int:
        """Open interest of the side that `size` is on."""
        return self.long_interest if size > 0 else self.short_interest


@dataclass(frozen=True, slots=True)
class Lines:
    """The ledger's lines that are not an account's cash (SPEC 2.2)."""

    pool: int = 0  # WAD, may be negative
    insurance: int = 0  # WAD
    protocol: int = 0  # micro-USD
    mark: int = 0  # WAD, Σ over instruments
    requirement: int = 0  # WAD, Σ over instruments

    @property
    def nav(self) -> int:
        """Pool line plus marks: exact when every instrument was accrued at the current prices."""
        return self.pool + self.mark

    @property
    def total(self) -> int:
        """WAD of the lines that tokens stand behind."""
        return self.pool + self.insurance + self.protocol * MICRO


def residual(market: Market, now: int, window: int) -> int:
    """R at `now`: forced size enters the premium linearly over `window` seconds (SPEC 5.2)."""
    if not market.easing:
        return 0
    elapsed = min(now - market.forced_at, window)
    return market.forced - trunc_div(market.forced * elapsed, window)


def saturated(forced: int) -> int:
    """A residual as far as its field of 104 bits holds it (SPEC 5.8)."""
    most = (1 << 103) - 1
    return max(-most, min(most, forced))


def premium_net(market: Market, now: int, window: int) -> int:
    """Q_p, WAD units."""
    return market.net - residual(market, now, window)


def reserve(index: int, depth: int, net: int, premium_size: int) -> int:
    """Premium that the pool would have to give back, rounded up (SPEC 5.11)."""
    return ceil_div(index * net * (2 * premium_size - net), 2 * depth * WAD)


def unrealised(market: Market, fair: int) -> int:
    """What the pool stands to gain, on its positions and by index, rounded down."""
    due = floor_div(
        market.long_interest * market.long_index + market.short_interest * market.short_index, WAD
    )
    owed_to_positions = ceil_div(fair * market.net, WAD) - market.notional_sum
    return due - market.index_sum - owed_to_positions


def mark(market: Market, fair: int, index: int, depth: int, premium_size: int) -> int:
    """The same less the premium reserve, while premium is charged (SPEC 5.11)."""
    return unrealised(market, fair) - reserve(index, depth, market.net, premium_size)


def realised(market: Market, wad: int) -> Market:
    """The market after the pool has realised so much of its result on it (SPEC 5.14)."""
    return replace(market, won=market.won + trunc_div(wad, MICRO))


def still_won(won: int, elapsed: int) -> int:
    """What counts of a realised result so many seconds later: about exp(−elapsed / WON_SPAN)."""
    return trunc_div(won * 2 * WON_SPAN**2, 2 * WON_SPAN**2 + (2 * WON_SPAN + elapsed) * elapsed)


def within_premium(net: int, terms: Terms) -> bool:
    """Whether the premium that |Q| makes is below its bound (SPEC 5.13)."""
    return abs(net) * PPM <= terms.fill.premium_max_ppm * terms.fill.depth_wad


def within_interest(interest: int, index: int, terms: Terms) -> bool:
    """Whether one side's open interest is below its caps in units and in USD (SPEC 5.13)."""
    limit = terms.limit
    return interest <= limit.oi_cap_wad and interest * index <= limit.oi_cap_usd * WAD * WAD


def pool_covers(lines: Lines, pool_factor_ppm: int) -> bool:
    """Whether the pool's worth carries what it must hold for its positions (SPEC 5.13)."""
    return lines.requirement * pool_factor_ppm <= PPM * lines.nav


def fits(market: Market) -> bool:
    """Whether the sums that grow without a bound of their own fit their fields."""
    return (
        _fits(market.notional_sum, 120)
        and _fits(market.index_sum, 112)
        and _fits(market.mark, 96)
        and _fits(market.long_index, 104)
        and _fits(market.short_index, 104)
        and _fits(market.forced, 104)
        and market.long_interest >> 96 == market.short_interest >> 96 == 0
    )


def _fits(value: int, bits: int) -> bool:
    """Whether a signed value fits a field."""
    return -(1 << (bits - 1)) <= value < 1 << (bits - 1)


def encode(market: Market) -> tuple[int, int, int, int, int]:
    """The five words; ValueError names a field out of bounds."""
    fields = {name: int(getattr(market, name)) for layout in LAYOUTS for name in layout.names}
    first, second, third, fourth, fifth = (layout.pack(fields) for layout in LAYOUTS)
    return first, second, third, fourth, fifth


def decode(words: tuple[int, int, int, int, int]) -> Market:
    """The market behind its five words."""
    fields: dict[str, int] = {}
    for layout, word in zip(LAYOUTS, words, strict=True):
        fields.update(layout.unpack(word))
    return Market(**fields)
