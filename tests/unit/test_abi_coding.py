"""The fast ABI coding agrees with eth_abi, byte for byte, on types of every shape."""

from __future__ import annotations

from typing import Any

import eth_abi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import abi

WORD = {
    "uint256": st.integers(0, 2**256 - 1),
    "int256": st.integers(-(2**255), 2**255 - 1),
    "uint8": st.integers(0, 255),
    "int128": st.integers(-(2**127), 2**127 - 1),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes4": st.binary(min_size=4, max_size=4),
}
VARYING = {"string": st.text(max_size=40), "bytes": st.binary(max_size=70)}


def _param(kinds: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Pairs of a parameter and a strategy for its values."""
    leaf = st.sampled_from(sorted(kinds)).map(lambda kind: ({"type": kind}, kinds[kind]))

    def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        def array(drawn: tuple[Any, int]) -> tuple[Any, Any]:
            (param, values), size = drawn
            return (
                {**param, "type": f"{param['type']}[{size}]"},
                st.lists(values, min_size=size, max_size=size).map(tuple),
            )

        def struct(members: list[Any]) -> tuple[Any, Any]:
            components = [{**p, "name": f"member_{i}"} for i, (p, _) in enumerate(members)]
            return {"type": "tuple", "components": components}, st.tuples(*[v for _, v in members])

        return st.one_of(
            st.tuples(inner, st.integers(1, 3)).map(array),
            st.lists(inner, min_size=1, max_size=3).map(struct),
        )

    return st.recursive(leaf, wider, max_leaves=5)


@settings(max_examples=60)
@pytest.mark.parametrize("kinds", [WORD, {**WORD, **VARYING}], ids=["fixed size", "any size"])
@given(data=st.data())
def test_coding__equals_eth_abi(kinds: dict[str, Any], data: Any) -> None:
    drawn = data.draw(st.lists(_param(kinds), min_size=1, max_size=3))
    params = [{**param, "name": f"argument_{i}"} for i, (param, _) in enumerate(drawn)]
    values = [data.draw(strategy) for _, strategy in drawn]
    expected = eth_abi.encode([abi.canonical(p) for p in params], values)
    assert abi.encoder(params)(values) == expected
    assert abi.decoder(params)(expected) == tuple(values)


@pytest.mark.parametrize(
    ("kind", "value", "refusal"),
    [
        ("uint256", -1, OverflowError),
        ("uint256", 2**256, OverflowError),
        ("int256", 2**255, OverflowError),
        ("address", "0x1234", ValueError),
        ("bytes32", b"short", ValueError),
        ("uint256[2]", (1,), ValueError),
    ],
)
def test_encoding__value_that_does_not_fit__is_refused(
    kind: str, value: Any, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        abi.encoder([{"type": kind}])([value])


def test_decoding__too_few_bytes__is_refused() -> None:
    with pytest.raises(ValueError, match="expected 32 bytes of output, got 0"):
        abi.decoder([{"type": "uint256"}])(b"")
