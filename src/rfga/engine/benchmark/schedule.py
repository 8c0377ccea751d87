"""Tasks one after the other, or over several devices: one process for each, which keeps working on the next.

Nothing here knows what a task is. Torch is not imported here, for a process has to see its own device alone
before torch looks for devices.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Outcome = dict[str, Any]
DONE, FAILED = "done", "failed"  # the ``state`` of an outcome
Work = Callable[[T], Outcome]
Slot = Mapping[str, str]  # environment variables that show a process its device
VISIBLE = "CUDA_VISIBLE_DEVICES"


def cuda_slots(count: int, visible: str | None = None) -> list[Slot]:
    """One slot for each of ``count`` CUDA devices; none where one process has all there is.

    Args:
        count: of the devices that this process can use.
        visible: the variable's value for this process, whose names of devices are kept.

    Example:
        >>> cuda_slots(2, "4,7")
        [{'CUDA_VISIBLE_DEVICES': '4'}, {'CUDA_VISIBLE_DEVICES': '7'}]
        >>> cuda_slots(1)
        []
    """
    names = [name.strip() for name in visible.split(",")] if visible else [str(n) for n in range(count)]
    return [{VISIBLE: name} for name in names[:count]] if count > 1 else []


def run_tasks(
    tasks: Sequence[T],
    work: Work[T],
    done: Callable[[T, Outcome], None],
    slots: Sequence[Slot] = (),
    start: Callable[[T], None] = lambda task: None,
) -> None:
    """Do every task; with fewer than two slots here, else in one process for each slot.

    Args:
        tasks: in the order in which they are begun.
        work: what is done; in other processes it is found by its name, and task and outcome are pickled.
        done: called here with each outcome as it comes.
        slots: environment of each process.
        start: called here before each task.

    Raises:
        BaseException: whatever ``work`` raises here, or ``done``; processes are ended. One that ends by
            itself fails its task alone, whose outcome then is ``{"state": "failed", "reason": ...}``.
    """
    if len(slots) < 2 or len(tasks) < 2:
        for task in tasks:
            start(task)
            done(task, work(task))
        return
    waiting = deque(tasks)
    workers = {number: _Worker(slot, work) for number, slot in enumerate(slots[: len(tasks)])}
    try:
        for worker in workers.values():
            _give(worker, waiting, start)
        while busy := {worker.here: number for number, worker in workers.items() if worker.has_task}:
            for ready in wait(list(busy)):
                number = next(place for connection, place in busy.items() if connection is ready)
                worker = workers[number]
                task, outcome = worker.result()
                done(task, outcome)
                if waiting and not worker.lives:
                    worker.end()
                    worker = workers[number] = _Worker(slots[number], work)
                _give(worker, waiting, start)
    finally:
        for worker in workers.values():
            worker.end()


def _give(worker: _Worker[T], waiting: deque[T], start: Callable[[T], None]) -> None:
    if waiting:
        task = waiting.popleft()
        start(task)
        worker.give(task)


class _Worker(Generic[T]):
    """A process with its own environment, and the way to it."""

    def __init__(self, slot: Slot, work: Work[T]) -> None:
        context = get_context("spawn")  # a fork would take over what CUDA and threads were doing
        self.here, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there, work))
        with _environment(slot):
            self.process.start()
        there.close()
        self._tasks: list[T] = []
        self.lives = True

    @property
    def has_task(self) -> bool:
        return bool(self._tasks)

    def give(self, task: T) -> None:
        self._tasks.append(task)
        try:
            self.here.send(task)
        except (BrokenPipeError, ConnectionResetError):  # told by ``result``
            self.lives = False

    def result(self) -> tuple[T, Outcome]:
        """The task that was given and its outcome; waits for it."""
        task = self._tasks.pop()
        try:
            return task, self.here.recv()
        except (EOFError, ConnectionResetError):
            self.lives = False
            self.process.join()
            status = self.process.exitcode
            return task, {
                "state": FAILED,
                "reason": f"its process ended before the end (exit status {status}): see its output above",
            }

    def end(self) -> None:
        # What a task writes appears whole or not at all, so that its process can be ended at any time.
        self.process.kill()
        self.process.join()
        self.here.close()


def _serve(there: Connection, work: Work[Any]) -> None:
    """Do tasks as they come, until nobody is there any more to give one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = there.recv()
        except EOFError:
            return
        there.send(work(task))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables set inside the block, and as they were after it."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
