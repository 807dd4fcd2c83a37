"""Endings that a deep walk must have met: every act done, and refused for every reason in reach.

The first of each act is how it is done, which a walk of any length for a count must have met.

Not in reach with four instruments and prices on a grid of a second: a book of 17, a slot off the
grid. They have tests of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

_STALE = ("oracle: stale price", "oracle: wide confidence")
_AMOUNTS = ("account: nothing to move", "word: value too large", "(no text)")

EXPECTED: dict[str, tuple[str, ...]] = {
    "absorb": ("ok",),
    "accrue": ("ok", "instruments: unknown instrument"),
    "accrue_debt": ("ok",),
    "call": ("changed", "unchanged", "call: nothing to change", "oracle: stale price"),
    "cancel": (
        "ok",
        "account: not the owner",
        "orders: due already",
        "orders: no such order",
    ),
    "claim_deposit": (
        "ok",
        "pool: amount is zero",
        "pool: more than claimable",
        "pool: not the controller",
    ),
    "claim_mint": (
        "ok",
        "pool: amount is zero",
        "pool: more than claimable",
        "pool: not the controller",
    ),
    "claim_redeem": (
        "ok",
        "pool: amount is zero",
        "pool: more than claimable",
        "pool: not the controller",
    ),
    "claim_withdraw": (
        "ok",
        "pool: amount is zero",
        "pool: more than claimable",
        "pool: not the controller",
    ),
    "claim_returned": ("ok", "pool: amount is zero", "pool: not the controller"),
    "collect_protocol": ("ok",),
    "cancel_nonces": ("ok",),
    "commit": (
        "ok",
        *_STALE,
        "delegate: beyond the day's limit",
        "delegate: bucket not in it",
        "delegate: instrument not in it",
        "delegate: mandate is over",
        "delegate: order outlives it",
        "orders: bracket is used",
        "orders: expired",
        "orders: not of its kind",
        "account: debt above its cap",
        "account: not enough margin",
        "account: not the owner",
        "instruments: unknown instrument",
        "market: not open",
        "market: size below minimum",
        "order: nothing to reduce",
        "orders: already committed",
        "orders: figure out of range",
        "risk: isolated holds one",
    ),
    "commit_many": ("all done", "account: not enough margin", "orders: bracket is used"),
    "deposit": ("ok", "account: no owner", "token: balance too small", *_AMOUNTS),
    "deposit_collateral": (
        "ok",
        "account: no owner",
        "vault: amount is zero",
        "vault: cap reached",
        "vault: token not listed",
    ),
    "donate": ("ok",),
    "execute": (
        "ended: filled",
        "ended: halted",
        "ended: limit",
        "ended: margin",
        "ended: nothing_to_reduce",
        "ended: price",
        "oracle: slot not in ring",
        "oracle: wide confidence",
        "orders: no such order",
        "orders: not triggered",
        "orders: slot before due",
        "orders: slot not the first",
        "orders: window is over",
    ),
    "execute_many": ("all done", "none done", "some done"),
    "execute_requests": (
        "ok",
        "market: price before request",
        "oracle: stale price",
        "pool: no request is due",
    ),
    "expire": (
        "ok",
        "oracle: slot not in ring",
        "orders: no such order",
        "orders: slot not the first",
        "orders: still waits",
        "orders: window is open",
    ),
    "fund_insurance": ("ok", "word: value too large", "(no text)"),
    "lapse_requests": ("ok",),
    "liquidate": (
        "ok",
        "account: no such position",
        "liquidation: health would fall",
        "liquidation: not liquidatable",
        "liquidation: nothing to close",
        "liquidation: own account",
        "market: to be settled",
        "oracle: stale price",
    ),
    "liquidate_many": ("all done", "none done", "some done"),
    "mark": ("ok", "oracle: stale price"),
    "move_cash": (
        "ok",
        *_STALE,
        *_AMOUNTS,
        "account: below initial margin",
        "account: gain not withdrawable",
        "account: not the owner",
        "account: same bucket",
    ),
    "move_collateral": (
        "ok",
        *_STALE,
        "account: below initial margin",
        "account: not the owner",
        "account: same bucket",
        "vault: amount is zero",
        "vault: balance too small",
        "vault: token not listed",
    ),
    "move_position": (
        "ok",
        *_STALE,
        "account: below initial margin",
        "account: holds it already",
        "account: no such position",
        "account: not the owner",
        "account: same bucket",
        "risk: isolated holds one",
    ),
    "mark_debt": ("ok", "debt: nothing to change", "oracle: stale price"),
    "post": (
        "changed",
        "unchanged",
        "oracle: bad signature",
        "oracle: not a reporter",
        "oracle: previous not before slot",
        "oracle: price is zero",
        "oracle: reporter twice",
        "oracle: reports not sorted",
        "oracle: reports too wide",
        "oracle: slot in the future",
        "oracle: too few reports",
        "oracle: too many reports",
        "oracle: unknown feed",
    ),
    "relay_signed": (
        "ok",
        "account: not enough margin",
        "account: not the owner",
        "orders: bad signature",
        "orders: figure out of range",
        "orders: nonce is used",
        "orders: signature is late",
    ),
    "repay_with_collateral": (
        "ok",
        "debt: in grace",
        "debt: not for sale",
        "debt: nothing to pay",
        "debt: too little collateral",
        "oracle: stale price",
        "oracle: unknown feed",
    ),
    "request_deposit": (
        "ok",
        "pool: amount is zero",
        "pool: amount too large",
        "pool: not the controller",
        "pool: not the owner",
        "pool: request pending",
        "token: balance too small",
    ),
    "request_redeem": (
        "ok",
        "erc20: insufficient allowance",
        "erc20: transfer amount exceeds balance",
        "pool: amount is zero",
        "pool: amount too large",
        "pool: not the controller",
        "pool: request pending",
    ),
    "sample": (
        "ok",
        "oracle: slot not in ring",
        "volatility: cell is over",
        "volatility: cell sampled before",
        "volatility: not started",
        "volatility: not the first slot",
    ),
    "set_delegate": ("ok", "word: value too large"),
    "set_mode": (
        "ok",
        *_STALE,
        "account: below initial margin",
        "account: not the owner",
        "risk: isolated holds one",
        "risk: mode not available",
    ),
    "set_operator": ("ok",),
    "halt": (
        "ok",
        "instruments: guardian must rest",
        "instruments: only guardian",
    ),
    "resume": ("ok",),
    "delist": (
        "ok",
        "instruments: instrument is over",
        "instruments: notice out of range",
    ),
    "set_status": (
        "ok",
        "instruments: instrument is over",
        "instruments: unknown instrument",
        "instruments: unknown status",
    ),
    "settle_instrument": ("ok", "instruments: not due", "oracle: slot not in ring"),
    "settle_positions": ("ok", "instruments: not settling", "market: losers settle first"),
    "set_top_up": (
        "ok",
        "account: not the owner",
        "topup: bucket 0 is the source",
        "topup: out of range",
    ),
    "top_up": (
        "ok",
        "oracle: stale price",
        "topup: no rule",
        "topup: not needed",
        "topup: too little free",
        "topup: too soon",
    ),
    "transfer_shares": ("ok", "erc20: transfer amount exceeds balance"),
    "trigger": (
        "ok",
        "account: not enough margin",
        "order: nothing to reduce",
        "orders: bracket is used",
        "orders: entry not filled",
        "orders: expired",
        "orders: slot before the order",
        "orders: slot too old",
        "orders: trigger not met",
        "orders: triggered already",
    ),
    "withdraw": (
        "ok",
        *_STALE,
        *_AMOUNTS,
        "account: below initial margin",
        "account: debt above its cap",
        "account: gain not withdrawable",
        "account: not the owner",
    ),
    "withdraw_collateral": (
        "ok",
        *_STALE,
        "account: below initial margin",
        "account: not the owner",
        "vault: amount is zero",
        "vault: balance too small",
        "vault: token not listed",
    ),
}


def undone(tally: Mapping[tuple[str, str], int]) -> list[str]:
    """Acts that were never done in a tally."""
    return [
        f"{name}: {labels[0]}"
        for name, labels in EXPECTED.items()
        if not tally.get((name, labels[0]))
    ]


def missing(tally: Mapping[tuple[str, str], int]) -> list[str]:
    """Expected endings that a tally does not have."""
    return [
        f"{name}: {label}"
        for name, labels in EXPECTED.items()
        for label in labels
        if not tally.get((name, label))
    ]
