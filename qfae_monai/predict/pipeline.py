"""Three steps for each item of a cohort: what comes before and behind the network runs beside it, in other threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, Generic, TypeVar

__all__ = ["Pipeline"]

Item = TypeVar("Item")
Ready = TypeVar("Ready")
Found = TypeVar("Found")
Result = TypeVar("Result")


class Pipeline(Generic[Item, Ready, Found, Result]):
    """Items pass three steps one behind the other; results come in the order of the items.

    The middle step runs in the calling thread, one item at a time. `workers` further threads prepare the next items and
    finish the last ones: at most `workers` of either wait, so memory is bounded. A thread that would have to wait takes
    over a step that nobody has begun.

    Args:
        before: item -> what the middle step takes. Like all steps it reports failures in what it returns.
        during: that -> what the last step takes.
        behind: that -> result.
        crowded: whether a result failed for want of memory, which others may have held: then the item passes the three
            steps again while no other is at work.
        workers: threads beside the calling one.
    """

    def __init__(
        self,
        before: Callable[[Item], Ready],
        during: Callable[[Ready], Found],
        behind: Callable[[Found], Result],
        *,
        crowded: Callable[[Result], bool],
        workers: int,
    ) -> None:
        self.before, self.during, self.behind, self.crowded = before, during, behind, crowded
        self.workers = workers
        self.reading: deque[_Step] = deque()
        self.writing: deque[tuple[Item, _Step]] = deque()

    def run(self, items: Iterable[Item], done: Callable[[Result], None]) -> None:
        """Call `done` with each result in turn; after an interruption still with those that were being finished."""
        pool = ThreadPoolExecutor(self.workers, "beside-the-network")
        self.waiting = deque(items)
        self.ahead: deque[Item] = deque()  # items of `reading`
        try:
            while self.waiting or self.ahead:
                self._read_ahead(pool)
                item = self.ahead.popleft()
                found = self.during(self._next())
                self.writing.append((item, _Step(pool, self.behind, found)))
                del found  # or it would stay in memory while the next is read
                self._finish(done, leave=self.workers)
            self._finish(done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            _to_their_end([*self.reading, *(step for _, step in self.writing)])
            for _, step in self.writing:
                if step.done():
                    done(step.result())

    def _read_ahead(self, pool: ThreadPoolExecutor) -> None:
        """The item whose turn it is, and as many behind it as there are workers."""
        while self.waiting and len(self.ahead) <= self.workers:
            item = self.waiting.popleft()
            self.ahead.append(item)
            self.reading.append(_Step(pool, self.before, item))

    def _next(self) -> Any:
        step = self.reading.popleft()
        return self._result(step)

    def _finish(self, done: Callable[[Result], None], leave: int = 0) -> None:
        """Hand over results until so many items are left to be finished."""
        while len(self.writing) > leave:
            item, step = self.writing[0]
            result = self._result(step)
            if self.crowded(result):
                result = self._alone(item)
            self.writing.popleft()
            done(result)

    def _alone(self, item: Item) -> Result:
        """The result of an item once the others that were at work have given back their memory."""
        for _, step in list(self.writing)[1:]:
            self._result(step)
        for step in self.reading:
            step.cancel() or step.result()
        self.waiting.extendleft(reversed(self.ahead))  # they are read again
        self.ahead.clear()
        self.reading.clear()
        return self.behind(self.during(self.before(item)))

    def _result(self, step: _Step) -> Any:
        """The result of a step; steps that nobody has begun are taken over as long as it is not there."""
        for other in (step, *(writing for _, writing in self.writing), *self.reading):
            if step.done():
                break
            other.take_over()
        return step.result()


class _Step:
    """A call that is waiting for a thread, or done."""

    def __init__(self, pool: ThreadPoolExecutor, call: Callable[[Any], Any], argument: Any) -> None:
        self.call, self.argument = call, argument
        # in a copy of this thread's context, which knows the headers that are kept
        self.future: Future[Any] = pool.submit(copy_context().run, call, argument)

    def take_over(self) -> None:
        """Run it in this thread, unless it was begun."""
        if self.future.cancel():
            self.future = Future()
            self.future.set_result(self.call(self.argument))

    def cancel(self) -> bool:
        return self.future.cancel()

    def done(self) -> bool:
        return self.future.done() and not self.future.cancelled()

    def result(self) -> Any:
        return self.future.result()


def _to_their_end(steps: Iterable[_Step]) -> None:
    """Wait for steps that were begun, whatever interrupts: it is a matter of seconds, and nothing is left half-done."""
    for step in steps:
        while not (step.cancel() or step.done()):
            try:  # not the thread's end: an interrupted join takes a thread that still runs for one that has ended
                wait([step.future])
            except (KeyboardInterrupt, SystemExit):
                continue
