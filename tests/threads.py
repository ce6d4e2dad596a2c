"""Several threads at once, for tests."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads that give way to each other as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def together(*work: Callable[[], object]) -> None:
    """Run at the same time, each in a thread; the first error of any of them is raised."""
    errors: list[BaseException] = []
    gate = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> None:
        try:
            gate.wait()
            one()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    running = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
