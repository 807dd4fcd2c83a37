"""Logs and metrics: key=value lines or JSON, and Prometheus figures. Never a key, never a URL."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MILLISECONDS = (5, 10, 25, 50, 75, 100, 150, 250, 500, 1000, 2500, 5000)


def configure_logs(level: str, style: Literal["text", "json"]) -> None:
    """Send the keeper's lines to standard error; libraries speak from warning on."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def logger() -> Any:
    """The keeper's logger: `logger().info("what happened", block=…, account=…)`."""
    return structlog.get_logger()


class Metrics:
    """Every figure that `/metrics` shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.head = self._gauge("head_block", "Number of the newest block seen")
        self.head_age = self._gauge("head_age_seconds", "Wall time since the head's timestamp")
        self.indexed = self._gauge("indexed_block", "Block up to which the index is folded")
        self.lag = self._gauge("index_lag_blocks", "Blocks between head and index")
        self.price_age = self._gauge("price_age_seconds", "Head time less slot", ["feed"])
        self.accounts = self._gauge("accounts", "Accounts in the index, by state", ["state"])
        self.orders = self._gauge("live_orders", "Orders committed and not ended")
        self.ledger_difference = self._gauge(
            "ledger_difference", "Tokens held less what the ledger's lines add up to, WAD"
        )
        self.reference_drift = self._gauge(
            "reference_drift", "Largest difference of own and on-chain assessment so far, WAD"
        )
        self.audited = self._counter("audited_accounts", "Accounts compared with the chain")
        self.reorgs = self._counter("reorgs", "Rollbacks of the index")
        self.intents = self._counter(
            "intents", "Intents by kind and how they ended", ["kind", "status"]
        )
        self.sends = self._counter("sends", "Transactions handed to the node", ["kind"])
        self.replacements = self._counter("replacements", "Transactions replaced at a higher fee")
        self.capped = self._gauge("fee_capped", "1 while the fee cap keeps a transaction back")
        self.gas_spent = self._counter("gas_spent_wei", "Paid for gas")
        self.unreachable = self._counter("unreachable", "Requests without a usable answer")
        self.prices_applied = self._counter("prices_applied", "Slots whose price was posted")
        self.latency = Histogram(
            "ballast_price_to_signed_ms",
            "Milliseconds from a price seen to the signed transaction that follows from it",
            ["kind"],
            buckets=_MILLISECONDS,
            registry=self.registry,
        )

    def _gauge(self, name: str, text: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(f"ballast_{name}", text, labels or [], registry=self.registry)

    def _counter(self, name: str, text: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"ballast_{name}", text, labels or [], registry=self.registry)
