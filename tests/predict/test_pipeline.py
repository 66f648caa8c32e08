"""Steps beside one another: the order, the bound on memory, who takes over, and what an interruption leaves."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from qfae_monai.predict.pipeline import Pipeline


class Steps:
    """Steps that note what happens, and how many items are between them."""

    def __init__(self, short: tuple[int, ...] = ()) -> None:
        self.short = set(short)  # items that fail for want of memory at first
        self.lock, self.inside, self.most, self.busy = threading.Lock(), 0, 0, 0
        self.threads: dict[str, set[str]] = {"before": set(), "during": set(), "behind": set()}
        self.read: list[int] = []
        self.beside: dict[int, int] = {}  # item that was done again -> steps of others at that time

    def before(self, item: int) -> int:
        self._enter("before")
        with self.lock:
            self.read.append(item)
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.busy += 1
        time.sleep(0.002 * (item % 3))
        with self.lock:
            self.busy -= 1
        return item

    def during(self, item: int) -> int:
        self._enter("during")
        return item * 10

    def behind(self, found: int) -> Any:
        self._enter("behind")
        item = found // 10
        time.sleep(0.002 * (item % 3))
        with self.lock:
            self.inside -= 1
            if item in self.beside:
                self.beside[item] = self.busy
            elif item in self.short:
                self.beside[item] = -1
                return "short"
        return found

    def _enter(self, step: str) -> None:
        self.threads[step].add(threading.current_thread().name)


def run(steps: Steps, count: int, workers: int) -> list[Any]:
    done: list[Any] = []
    Pipeline(steps.before, steps.during, steps.behind, crowded=lambda result: result == "short", workers=workers).run(
        range(count), done.append
    )
    return done


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order_and_few_items_are_held(workers: int) -> None:
    steps = Steps()
    assert run(steps, 20, workers) == [10 * item for item in range(20)]
    assert sorted(steps.read) == list(range(20))
    assert steps.most <= 2 * workers + 2  # read ahead, in the middle, and being finished
    assert steps.threads["during"] == {threading.current_thread().name}


def test_no_items_and_one_item() -> None:
    assert run(Steps(), 0, 3) == []
    assert run(Steps(), 1, 3) == [0]


def test_a_thread_that_would_wait_takes_over() -> None:
    blocked = threading.Event()

    def before(item: int) -> int:
        if item == 0 and threading.current_thread() is not threading.main_thread():
            assert blocked.wait(20)  # until the item behind it, which no other thread can begin, is read
        if item == 1:
            blocked.set()
        return item

    done: list[int] = []
    Pipeline(before, lambda item: item, lambda item: item, crowded=lambda _: False, workers=1).run(
        range(3), done.append
    )
    assert done == [0, 1, 2]


def test_an_item_short_of_memory_is_done_alone() -> None:
    steps = Steps(short=(3,))
    assert run(steps, 8, 2) == [10 * item for item in range(8)]
    assert steps.beside == {3: 0}


def test_what_was_being_finished_is_handed_over_when_interrupted() -> None:
    done: list[int] = []
    begun = threading.Barrier(3, timeout=20)  # both workers finish an item when the calling thread is interrupted

    def during(item: int) -> int:
        if item == 2:
            begun.wait()
            raise KeyboardInterrupt
        return item

    def behind(item: int) -> int:
        begun.wait()
        time.sleep(0.05)
        return item

    pipeline: Pipeline[int, int, int, int] = Pipeline(
        lambda item: item, during, behind, crowded=lambda _: False, workers=2
    )
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(range(9), done.append)
    assert done == [0, 1]
