"""The machine's clock: pauses, durations and the wall time. Decisions never ask it.

What is due follows from the time of the chain's head; this one only measures the keeper itself
and says how old a head is.
"""

from __future__ import annotations

import threading
import time


class Clock:
    """Pauses that a stop request ends at once."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def wall(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never backwards."""
        return time.monotonic()

    def pause(self, seconds: float) -> bool:
        """Wait; returns True when the keeper was asked to stop."""
        return self._stopped.wait(seconds)

    def stop(self) -> None:
        """End every pause, now and from now on."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()
