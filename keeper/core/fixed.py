"""exp and ln of fixed-point numbers, to the last unit of those the contracts run.

The contracts use Remco Bloemen's rational approximations as snekmate carries them; here are the
same integer steps. Vyper's `>>` of a signed number floors, as Python's does; its division
truncates.
"""

from __future__ import annotations

from keeper.core.units import trunc_div

_LN_2 = 54_916_777_467_707_473_351_141_471_128  # · 2^96
# of the last line of ln: 5^18 · 2^96·ln(2), and 5^18 · 2^192·ln(2^96 / 10^18)
_LN_2_SCALED = int("16597577552685614221487285958193947469193820559219878177908093499208371")
_LN_BASE = int("600920179829731861736702779321621459595472258049074101567377883020018308")
_EXP_ZERO = -41_446_531_673_892_822_313  # exp of it, or of less, is below one unit
_EXP_OVER = 135_305_999_368_893_231_589


def wad_exp(x: int) -> int:
    """e^x of a WAD number, WAD; within 2 units, or 10^-17 of itself, of the real one."""
    if x <= _EXP_ZERO:
        return 0
    if x >= _EXP_OVER:
        raise OverflowError(f"exp of {x}: the result has no room in a signed word")
    x = trunc_div(x << 78, 5**18)
    k = (trunc_div(x << 96, _LN_2) + (1 << 95)) >> 96
    x -= k * _LN_2
    y = ((x + 1_346_386_616_545_796_478_920_950_773_328) * x >> 96) + (
        57_155_421_227_552_351_082_224_309_758_442
    )
    p = y + x - 94_201_549_194_550_492_254_356_042_504_812
    p = (p * y >> 96) + 28_719_021_644_029_726_153_956_944_680_412_240
    p = p * x + (4_385_272_521_454_847_904_659_076_985_693_276 << 96)
    q = x - 2_855_989_394_907_223_263_936_484_059_900
    for coefficient in (
        50_020_603_652_535_783_019_961_831_881_945,
        -533_845_033_583_426_703_283_633_433_725_380,
        3_604_857_256_930_695_427_073_651_918_091_429,
        -14_423_608_567_350_463_180_887_372_962_807_573,
        26_449_188_498_355_588_339_934_803_723_976_023,
    ):
        q = (q * x >> 96) + coefficient
    scaled = trunc_div(p, q) * 3_822_833_074_963_236_453_042_738_258_902_158_003_155_416_615_667
    return scaled >> (195 - k)


def wad_ln(x: int) -> int:
    """Natural logarithm of a WAD number > 0, WAD; within 2 units of the real one."""
    if x <= 0:
        raise ValueError(f"ln of {x}: there is none")
    k = x.bit_length() - 1 - 96
    x = x << (159 - k) >> 159
    p = ((x + 3_273_285_459_638_523_848_632_254_066_296) * x >> 96) + (
        24_828_157_081_833_163_892_658_089_445_524
    )
    for coefficient in (
        43_456_485_725_739_037_958_740_375_743_393,
        -11_111_509_109_440_967_052_023_855_526_967,
        -45_023_709_667_254_063_763_336_534_515_857,
        -14_706_773_417_378_608_786_704_636_184_526,
    ):
        p = (p * x >> 96) + coefficient
    p = p * x - (795_164_235_651_350_426_258_249_787_498 << 96)
    q = x + 5_573_035_233_440_673_466_300_451_813_936
    for coefficient in (
        71_694_874_799_317_883_764_090_561_454_958,
        283_447_036_172_924_575_727_196_451_306_956,
        401_686_690_394_027_663_651_624_208_769_553,
        204_048_457_590_392_012_362_485_061_816_622,
        31_853_899_698_501_571_402_653_359_427_138,
        909_429_971_244_387_300_277_376_558_375,
    ):
        q = (q * x >> 96) + coefficient
    scaled = trunc_div(p, q) * 1_677_202_110_996_718_588_342_820_967_067_443_963_516_166
    return scaled + k * _LN_2_SCALED + _LN_BASE >> 174
