"""A random walk of acts over the twin; every failure names its seed and can be repeated.

python -m tests.stateful.walk --seed 7 --acts 20000     # prints what happened how often
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence

from keeper.core.types import AccountId
from tests.stateful import scene
from tests.stateful.chooser import Chooser
from tests.stateful.coverage import Tally, table
from tests.stateful.laws import Laws
from tests.stateful.twin import Act, Ended

SWEEP_EVERY = 100
ASSESS_EVERY = 5
PRICES_EVERY = 40
VIEWS_EVERY = 50
SHOWN = 12  # last acts of a failing walk


class Failure(AssertionError):
    """A walk that ended in a difference or a broken law."""


def walk(seed: int, acts: int) -> Tally:
    """Walk `acts` acts from a seed; how often each act ended in which way."""
    rng = random.Random(seed)
    stage = scene.build(rng)
    chooser = Chooser(stage, rng)
    laws = Laws(stage.twin)
    chooser.queue.extend(scene.opening(stage, rng))
    done: list[Act] = []
    tally: Tally = Counter()
    while len(done) < acts:
        act = chooser.next()
        done.append(act)
        try:
            ended = step(stage, laws, act, len(done))
        except AssertionError as error:
            raise Failure(_report(seed, done, error)) from error
        chooser.happened(act, ended.refusal is not None)
        tally[act.name, ended.label] += 1
    stage.twin.sweep()
    return tally


def step(stage: scene.Scene, laws: Laws, act: Act, number: int) -> Ended:
    """One act on both sides, and the checks that follow it."""
    twin = stage.twin
    if act.name == "pass_time":
        twin.pass_time(act.args[0])
        return Ended(None, None)
    before = laws.before(act)
    ended = twin.act(act)
    twin.check(act)
    laws.after(act, ended, before)
    if number % ASSESS_EVERY == 0:
        named = [one for one in act.args if isinstance(one, bytes) and len(one) == 32]
        accounts = stage.accounts
        one = AccountId(named[0]) if named else accounts[number // ASSESS_EVERY % len(accounts)]
        twin.check_assessment(one)
    if number % PRICES_EVERY == 0:
        held = [one for one in stage.accounts if twin.state.accounts[one].book]
        if held:
            one = held[number // PRICES_EVERY % len(held)]
            book = twin.state.accounts[one].book
            twin.check_liquidation_price(one, book[number // PRICES_EVERY % len(book)])
    if number % VIEWS_EVERY == 0:
        orders = [order for order, live in twin.state.orders.items() if live is not None]
        twin.check_views(
            stage.accounts[number // VIEWS_EVERY % len(stage.accounts)],
            orders[number % len(orders)] if orders else None,
        )
    if number % SWEEP_EVERY == 0:
        twin.sweep()
    return ended


def replay(seed: int, acts: Sequence[Act]) -> AssertionError | None:
    """Do these acts from the beginning that a seed builds; the failure they end in, if any."""
    stage = scene.build(random.Random(seed))
    laws = Laws(stage.twin)
    for number, act in enumerate(acts, 1):
        try:
            step(stage, laws, act, number)
        except AssertionError as error:
            return error
    try:
        stage.twin.sweep()
    except AssertionError as error:
        return error
    return None


def shrink(seed: int, acts: Sequence[Act], seconds: float = 120) -> list[Act]:
    """Leave out what the failure does not need, as far as time allows."""
    needed = list(acts)
    deadline = time.monotonic() + seconds
    chunk = max(1, len(needed) // 2)
    while time.monotonic() < deadline:
        smaller = False
        at = 0
        while at < len(needed) and time.monotonic() < deadline:
            fewer = needed[:at] + needed[at + chunk :]
            if fewer and replay(seed, fewer) is not None:
                needed, smaller = fewer, True
            else:
                at += chunk
        if chunk == 1 and not smaller:
            break
        chunk = max(1, chunk // 2)
    return needed


def _report(seed: int, done: Sequence[Act], error: AssertionError) -> str:
    last = "\n".join(f"  {number}: {act}" for number, act in list(enumerate(done, 1))[-SHOWN:])
    return (
        f"{error}\n"
        f"seed {seed}, act {len(done)}; the last acts:\n{last}\n"
        f"repeat: python -m tests.stateful.walk --seed {seed} --acts {len(done)} --shrink"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--acts", type=int, default=10_000)
    parser.add_argument(
        "--shrink", action="store_true", help="of a failing walk, the acts it needs"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    try:
        tally = walk(options.seed, options.acts)
    except Failure as failure:
        print(failure)
        if options.shrink:
            print("\nneeded:")
            for act in shrink(options.seed, _acts(options.seed, options.acts)):
                print(f"  {act}")
        raise SystemExit(1) from None
    elapsed = time.perf_counter() - started
    print(table(tally))
    speed = options.acts / elapsed
    print(f"seed {options.seed}: {options.acts} acts in {elapsed:.1f} s, {speed:.0f}/s")


def _acts(seed: int, acts: int) -> list[Act]:
    """The acts of a walk, up to its failure."""
    rng = random.Random(seed)
    stage = scene.build(rng)
    chooser, laws = Chooser(stage, rng), Laws(stage.twin)
    chooser.queue.extend(scene.opening(stage, rng))
    done: list[Act] = []
    while len(done) < acts:
        done.append(chooser.next())
        try:
            ended = step(stage, laws, done[-1], len(done))
        except AssertionError:
            break
        chooser.happened(done[-1], ended.refusal is not None)
    return done


if __name__ == "__main__":
    main()
