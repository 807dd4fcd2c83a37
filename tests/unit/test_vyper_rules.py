"""Each rule of scripts/vyper_rules.py finds what it is for, and nothing in what is well written."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import build, vyper_rules

FRAME = """# pragma version 0.4.3
from ethereum.ercs import IERC20

TOKEN: constant(address) = 0x1111111111111111111111111111111111111111
held: uint256
"""

BREACHES = {
    "Calls": "extcall IERC20(TOKEN).transfer(self, staticcall IERC20(TOKEN).totalSupply())",
    "Origin": "assert tx.origin == msg.sender",
    "Raw": 'raw_call(TOKEN, b"", value=1)',
    "Signed": "x: int256 = convert(self.held, int256) // 2",
    "Unsafe": "self.held = unsafe_add(self.held, 1)",
}
WELL = """x: uint256 = self.held // 2 + staticcall IERC20(TOKEN).balanceOf(self)
    done: bool = raw_call(TOKEN, b"", revert_on_failure=False)
    assert done and msg.sender == TOKEN"""


def found(folder: Path, body: str) -> list[str]:
    file = folder / "Sample.vy"
    file.write_text(f"{FRAME}\n\n@external\ndef act():\n    {body}\n")
    tree = build.typed_tree(file)
    return [one.rule for one in vyper_rules.findings(tree, "contracts/Sample.vy")]


@pytest.mark.parametrize("rule", BREACHES)
def test_rule__finds_its_breach(tmp_path: Path, rule: str) -> None:
    assert set(found(tmp_path, BREACHES[rule])) == {rule}


def test_rules__let_pass_what_is_well_written(tmp_path: Path) -> None:
    assert found(tmp_path, WELL) == []


def test_modules__each_once_and_all_of_them() -> None:
    seen = [path for path, _ in vyper_rules.modules()]
    assert len(seen) == len(set(seen))
    ours = {
        file.relative_to(build.ROOT).as_posix()
        for file in (build.ROOT / "contracts").rglob("*.vy")
        if "mocks" not in file.parts
    }
    assert set(seen) == ours
