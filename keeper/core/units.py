"""Fixed-point units and the named divisions of the whole core.

Python's `//` floors, Vyper's truncates: no formula divides without one of these names, so
that the direction of every rounding can be read where it happens.
"""

WAD = 10**18  # 1 unit of the underlying, or 1 USD
PPM = 10**6
BPS = 10**4
MICRO = 10**12  # WAD in a micro-USD, the unit of the protocol line
MILLI = 10**15  # WAD in a thousandth of a USD
DAY = 86_400  # seconds
YEAR = 31_536_000  # seconds


def floor_div(numerator: int, denominator: int) -> int:
    """Quotient towards −∞; the denominator is positive."""
    return numerator // denominator


def ceil_div(numerator: int, denominator: int) -> int:
    """Quotient towards +∞; the denominator is positive."""
    return -(-numerator // denominator)


def trunc_div(numerator: int, denominator: int) -> int:
    """Quotient towards 0; the denominator is positive."""
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


def mul_floor(a: int, b: int) -> int:
    """WAD product of two signed WAD numbers, towards −∞."""
    return a * b // WAD


def mul_ceil(a: int, b: int) -> int:
    """WAD product of two signed WAD numbers, towards +∞."""
    return -(-a * b // WAD)


def ppm_floor(amount: int, ppm: int) -> int:
    """`amount` times `ppm` millionths, towards −∞."""
    return amount * ppm // PPM


def ppm_ceil(amount: int, ppm: int) -> int:
    """`amount` times `ppm` millionths, towards +∞."""
    return -(-amount * ppm // PPM)


def clamp(value: int, bound: int) -> int:
    """`value` held within ±`bound`, `bound` ≥ 0."""
    return max(-bound, min(bound, value))


def sign(value: int) -> int:
    """−1, 0 or 1."""
    return (value > 0) - (value < 0)


def to_wad(amount: int, decimals: int) -> int:
    """A token's or a feed's own units as WAD, exact; `decimals` is 0 to 18."""
    return int(amount * 10 ** (18 - decimals))


def to_native_floor(wad: int, decimals: int) -> int:
    """The whole native units that a WAD amount pays for; `decimals` is 0 to 18."""
    return wad // int(10 ** (18 - decimals))
