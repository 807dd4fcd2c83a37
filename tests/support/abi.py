"""ABI coding at the speed of an in-process EVM.

A walk of millions of calls spends more time in a general ABI library than in the contracts, so
types of fixed size (nearly all of ours) are coded by functions composed once per signature.
Types of variable size go through eth_abi. Addresses are lower-case hex strings, as eth_abi gives
them; structs and named outputs decode into named tuples.
"""

from __future__ import annotations

import functools
import re
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import eth_abi
from eth_utils import keccak

Param = dict[str, Any]  # an input, output or component as the ABI JSON describes it
Encode = Callable[[Any], bytes]
Decode = Callable[[bytes, int], Any]  # data, offset in bytes

_ARRAY = re.compile(r"^(.*)\[(\d*)\]$")


def selector(name: str, inputs: Sequence[Param]) -> bytes:
    """First four bytes of a call of this function."""
    return keccak(text=signature(name, inputs))[:4]


def signature(name: str, inputs: Sequence[Param]) -> str:
    """Canonical text of a function, event or error: `transfer(address,uint256)`."""
    return f"{name}({','.join(canonical(p) for p in inputs)})"


def canonical(param: Param) -> str:
    """A type with its structs written out."""
    kind: str = param["type"]
    if kind.startswith("tuple"):
        inner = ",".join(canonical(p) for p in param["components"])
        return f"({inner}){kind.removeprefix('tuple')}"
    return kind


def encoder(params: Sequence[Param]) -> Callable[[Sequence[Any]], bytes]:
    """Function from a sequence of values to the ABI encoding of them all."""
    fixed = [_fixed(p) for p in params]
    names = [p.get("name", "") for p in params]
    count = len(params)

    if all(codec is not None for codec in fixed):
        encoders = [codec[0] for codec in fixed if codec is not None]

        def encode(values: Sequence[Any]) -> bytes:
            return b"".join([write(value) for write, value in zip(encoders, values, strict=True)])
    else:
        types = [canonical(p) for p in params]

        def encode(values: Sequence[Any]) -> bytes:
            return eth_abi.encode(types, values)

    def checked(values: Sequence[Any]) -> bytes:
        if len(values) != count:
            raise TypeError(f"takes {count} arguments {names}, got {len(values)}")
        return encode(values)

    return checked


def decoder(params: Sequence[Param]) -> Callable[[bytes], tuple[Any, ...]]:
    """Function from ABI-encoded bytes to the tuple of all values."""
    fixed = [_fixed(p) for p in params]
    if all(codec is not None for codec in fixed):
        at, parts = 0, []
        for codec in fixed:
            assert codec is not None
            parts.append((codec[1], at))
            at += codec[2]
        size = at

        def decode(data: bytes) -> tuple[Any, ...]:
            if len(data) < size:
                raise ValueError(f"expected {size} bytes of output, got {len(data)}")
            return tuple([read(data, offset) for read, offset in parts])

        return decode

    types = [canonical(p) for p in params]
    naming = [_naming(p) for p in params]

    def decode_general(data: bytes) -> tuple[Any, ...]:
        values = eth_abi.decode(types, data)
        return tuple([name(value) for name, value in zip(naming, values, strict=True)])

    return decode_general


def record(name: str, params: Sequence[Param]) -> Callable[..., Any]:
    """Named tuple type for these parameters; a nameless one is called `_0`, `_1`, ..."""
    return namedtuple(name or "Result", [p.get("name", "") for p in params], rename=True)


# -- types of fixed size ----------------------------------------------------------------------


def _fixed(param: Param) -> tuple[Encode, Decode, int] | None:
    """Encoder, decoder and size in bytes of a type; None when its size varies."""
    kind: str = param["type"]
    if array := _ARRAY.match(kind):
        return _fixed_array({**param, "type": array[1]}, array[2])
    if kind == "tuple":
        return _fixed_struct(param)
    if kind in ("string", "bytes"):
        return None
    if kind.startswith("uint"):
        return _encode_uint, _decode_uint, 32
    if kind.startswith("int"):
        return _encode_int, _decode_int, 32
    if kind == "address":
        return _encode_address, _decode_address, 32
    if kind == "bool":
        return _encode_bool, _decode_bool, 32
    return _fixed_bytes(int(kind.removeprefix("bytes")))


def _encode_uint(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _decode_uint(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 32], "big")


def _encode_int(value: int) -> bytes:
    return value.to_bytes(32, "big", signed=True)


def _decode_int(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 32], "big", signed=True)


@functools.lru_cache(maxsize=65_536)
def _encode_address(value: str) -> bytes:
    raw = bytes.fromhex(value.removeprefix("0x"))
    if len(raw) != 20:
        raise ValueError(f"not an address: {value!r}")
    return bytes(12) + raw


def _decode_address(data: bytes, at: int) -> str:
    return "0x" + data[at + 12 : at + 32].hex()


def _encode_bool(value: bool) -> bytes:
    return _TRUE if value else _FALSE


def _decode_bool(data: bytes, at: int) -> bool:
    return data[at + 31] != 0


_TRUE, _FALSE = (1).to_bytes(32, "big"), bytes(32)


def _fixed_bytes(size: int) -> tuple[Encode, Decode, int]:
    def encode(value: bytes) -> bytes:
        if len(value) != size:
            raise ValueError(f"bytes{size} takes {size} bytes, got {len(value)}")
        return value.ljust(32, b"\0")

    def decode(data: bytes, at: int) -> bytes:
        return data[at : at + size]

    return encode, decode, 32


def _fixed_array(item: Param, length: str) -> tuple[Encode, Decode, int] | None:
    codec = _fixed(item)
    if codec is None or not length:
        return None
    write, read, size = codec
    offsets = [i * size for i in range(int(length))]

    def encode(values: Sequence[Any]) -> bytes:
        if len(values) != len(offsets):
            raise ValueError(f"array takes {len(offsets)} items, got {len(values)}")
        return b"".join([write(value) for value in values])

    def decode(data: bytes, at: int) -> tuple[Any, ...]:
        return tuple([read(data, at + offset) for offset in offsets])

    return encode, decode, size * len(offsets)


def _fixed_struct(param: Param) -> tuple[Encode, Decode, int] | None:
    writers, readers, size = [], [], 0
    for component in param["components"]:
        codec = _fixed(component)
        if codec is None:
            return None
        writers.append(codec[0])
        readers.append((codec[1], size))
        size += codec[2]
    make = record(_struct_name(param), param["components"])

    def encode(values: Sequence[Any]) -> bytes:
        return b"".join([write(value) for write, value in zip(writers, values, strict=True)])

    def decode(data: bytes, at: int) -> Any:
        return make(*[read(data, at + offset) for read, offset in readers])

    return encode, decode, size


# -- names for what eth_abi decodes -----------------------------------------------------------


def _naming(param: Param) -> Callable[[Any], Any]:
    """Function that turns plain tuples of structs into named ones, at any depth."""
    kind: str = param["type"]
    if array := _ARRAY.match(kind):
        item = _naming({**param, "type": array[1]})
        return lambda values: tuple([item(value) for value in values])
    if kind == "tuple":
        make = record(_struct_name(param), param["components"])
        parts = [_naming(p) for p in param["components"]]
        return lambda values: make(*[name(v) for name, v in zip(parts, values, strict=True)])
    return lambda value: value


def _struct_name(param: Param) -> str:
    return str(param.get("internalType", "")).removeprefix("struct ").rsplit(".")[-1] or "Struct"
