"""Child processes end with the block, with their parent, and politely where they can."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import processes

# prints its pid and that of a child of its own, then waits; a polite stop is acknowledged
FAMILY = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
def stop(*_):
    print("stopped", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print(os.getpid(), child.pid, flush=True)
time.sleep(60)
"""
PARENT = """
import sys, time
from pathlib import Path
from scripts import processes
with processes.running([sys.executable, "-c", sys.argv[2]], log=Path(sys.argv[1])):
    time.sleep(60)
"""
STUBBORN = FAMILY.replace(
    "signal.signal(signal.SIGTERM, stop)", "signal.signal(15, signal.SIG_IGN)"
)


def pids(log: Path) -> list[int]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if log.exists() and log.read_text().endswith("\n"):
            return [int(word) for word in log.read_text().splitlines()[0].split()]
        time.sleep(0.02)
    raise AssertionError("the family never came up")


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # dead, and waits for an init that is slow to reap
            return True
        time.sleep(0.02)
    return False


def test_block_left__child_stops_politely_and_its_own_go_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with processes.running([sys.executable, "-c", FAMILY], log=log):
        family = pids(log)
    assert processes.tail(log) == "stopped"
    assert all(gone(pid) for pid in family)


def test_child_ignores_stop__killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.2)
    log = tmp_path / "log"
    with processes.running([sys.executable, "-c", STUBBORN], log=log):
        family = pids(log)
    assert all(gone(pid) for pid in family)


def interrupted(log: Path) -> None:
    with processes.running([sys.executable, "-c", FAMILY], log=log):
        pids(log)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_interrupt__child_gone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        interrupted(log)
    family = pids(log)
    assert all(gone(pid) for pid in family)


def test_parent_killed_outright__child_gone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(log), FAMILY],
        cwd=Path(__file__).parents[2],
    )
    family = pids(log)
    parent.kill()
    parent.wait()
    assert all(gone(pid) for pid in family)


def test_exit_status__passed_on(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no port'); raise SystemExit(3)"]
    with processes.running(command, log=tmp_path / "log") as process:
        assert process.wait(20) == 3
    assert processes.tail(tmp_path / "log") == "no port"
