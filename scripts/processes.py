"""Child processes that never outlive us.

    with processes.running(["keeper", "run"], log=log) as process:
        ...

A child lives in a process group of its own. The group is ended when the block is left, also by
Ctrl-C or SIGTERM: politely at first, so that the child can finish what it has begun, then firmly.
Should this process be killed outright, a watcher on its pipe ends the group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

STOP_SECONDS = 5.0

# The child's parent and leader of its process group: ends the group when our end of the pipe
# closes, however that came about, and passes on the child's own exit. A polite SIGTERM is sent to
# the whole group, so the watcher itself only waits for the child to follow it.
_WATCHER = """
import os, signal, subprocess, sys, threading
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def watch():
    while os.read(0, 1): pass
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
sys.exit(child.wait())
"""


@contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block is left; what it prints goes to `log`.

    environment, folder: ours when not given. The process that is handed out is the watcher: its
    pid is the group's, and it exits as the command does.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with _terminated_as_interrupt(), log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _WATCHER, *command],
            stdin=subprocess.PIPE,  # its end of file tells the watcher that we are gone
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
            cwd=folder,
        )
        try:
            yield process
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a child and all of its own: SIGTERM, and SIGKILL for what is still there after it."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def tail(log: Path) -> str:
    """The last line that a child printed."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed nothing"


@contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM leaves through the same door as Ctrl-C, so that `finally` runs."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: whoever has it decides
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
