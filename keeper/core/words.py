"""Packed 256-bit words: a layout names its fields from bit 0 upwards."""

from __future__ import annotations

from collections.abc import Mapping


class Layout:
    """Fields of one word, in order from bit 0: `name=bits`, negative bits for a signed field."""

    __slots__ = ("_fields",)

    def __init__(self, **widths: int) -> None:
        fields: list[tuple[str, int, int, bool]] = []
        shift = 0
        for name, width in widths.items():
            bits = abs(width)
            fields.append((name, shift, bits, width < 0))
            shift += bits
        if shift > 256:
            raise ValueError(f"a word has 256 bits, these fields need {shift}")
        self._fields = tuple(fields)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _, _, _ in self._fields)

    def bounds(self, name: str) -> tuple[int, int]:
        """Lowest and highest value that the field holds."""
        for field, _, bits, signed in self._fields:
            if field == name:
                half = 1 << (bits - 1)
                return (-half, half - 1) if signed else (0, (1 << bits) - 1)
        raise KeyError(name)

    def unpack(self, word: int) -> dict[str, int]:
        """Every field of a word; bits that no field names are not looked at."""
        values = {}
        for name, shift, bits, signed in self._fields:
            value = (word >> shift) & ((1 << bits) - 1)
            if signed and value >> (bits - 1):
                value -= 1 << bits
            values[name] = value
        return values

    def pack(self, values: Mapping[str, int]) -> int:
        """The word; ValueError names a field whose value does not fit."""
        word = 0
        for name, shift, bits, signed in self._fields:
            value = values[name]
            low = -(1 << (bits - 1)) if signed else 0
            if not low <= value < low + (1 << bits):
                raise ValueError(f"{name} = {value} does not fit in {bits} bits")
            word |= (value & ((1 << bits) - 1)) << shift
        return word
