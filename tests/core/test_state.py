"""Blocks: as decorators of whatever kind of function, and ends that are out of order or in the wrong place."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import autograd_bn as ab
from autograd_bn.core.errors import OperationError
from autograd_bn.core.state import current

if TYPE_CHECKING:
    from autograd_bn.core.state import Block

BLOCKS: list[Callable[[], Block]] = [ab.no_grad, ab.enable_grad, ab.no_effects, lambda: ab.scope("inner")]


@pytest.fixture(autouse=True)
def _surroundings() -> Iterator[None]:
    """What surrounds a test is what surrounded it before."""
    before = current()
    yield
    assert current() is before


def recorded() -> bool:
    return bool((ab.tensor(1.0, requires_grad=True) * 1.0).requires_grad)


def inside() -> tuple[bool, bool, str]:
    state = current()
    return ab.is_grad_enabled(), state.effects, repr(state.scope)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_decorated_generator_runs_inside_and_its_consumer_outside(block: Callable[[], Block]) -> None:
    seen: list[Any] = []

    @block()
    def numbers(count: int) -> Generator[int, str, str]:
        """Doc."""
        for i in range(count):
            seen.append(inside())
            try:
                seen.append((yield i))
            except KeyError:
                seen.append("thrown")
                yield -1
        return "end"

    before = inside()
    with block():
        expected = inside()
    generator = numbers(3)
    assert numbers.__doc__ == "Doc." and seen == []
    assert next(generator) == 0 and inside() == before
    assert generator.send("sent") == 1 and inside() == before
    assert generator.throw(KeyError()) == -1 and inside() == before
    assert next(generator) == 2
    with pytest.raises(StopIteration) as stopped:
        next(generator)
    assert stopped.value.value == "end"
    assert seen == [expected, "sent", expected, "thrown", expected, None]


def test_a_decorated_generator_closes_inside() -> None:
    seen = []

    @ab.no_grad()
    def numbers() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            seen.append(recorded())

    generator = numbers()
    next(generator)
    with ab.scope("consumer"):
        generator.close()  # type: ignore[attr-defined]
    for _ in numbers():
        break
    gc.collect()
    assert seen == [False, False] and recorded()


def test_a_decorated_coroutine_and_its_generators_run_inside() -> None:
    seen = []

    @ab.no_grad()
    async def work(number: int) -> int:
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append(recorded())
        return number

    @ab.no_grad()
    async def numbers() -> AsyncIterator[int]:
        try:
            for i in range(3):
                await asyncio.sleep(0)
                seen.append(recorded())
                yield i
        finally:
            seen.append(recorded())

    async def main() -> None:
        assert tuple(await asyncio.gather(work(1), work(2))) == (1, 2)
        found = []
        async for i in numbers():
            assert recorded()
            found.append(i)
        assert found == [0, 1, 2]
        generator = numbers()
        await anext(generator)
        await generator.aclose()  # type: ignore[attr-defined]
        assert recorded()

    asyncio.run(main())
    assert seen == [False] * 12


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("outer", BLOCKS)
def test_a_block_that_ends_before_one_inside_it_says_so_and_leaves_nothing_behind(block: Callable[[], Block], outer: Callable[[], Block]) -> None:
    def suspended() -> Iterator[int]:
        with block():
            yield 1

    generator = suspended()
    next(generator)
    with pytest.raises(OperationError, match=r"(no_grad|enable_grad|no_effects|scope)\(.*\) ends before a block that was opened inside it"), outer():
        generator.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_whose_end_comes_after_that_of_what_it_was_opened_in_says_so(block: Callable[[], Block]) -> None:
    def suspended() -> Iterator[int]:
        with block():
            yield 1

    generator = suspended()
    with pytest.raises(OperationError, match=r"scope\('around'\) ends before"), ab.scope("around"):
        next(generator)
    generator.close()  # type: ignore[attr-defined]

    @ab.composite
    def step() -> None:
        next(generator)

    generator = suspended()
    step()
    with pytest.raises(OperationError, match="where it is not open"):
        generator.close()  # type: ignore[attr-defined]


def test_the_error_inside_a_block_is_not_hidden_by_its_end() -> None:
    opened = ab.no_grad()

    def fails() -> None:
        with ab.scope("around"):
            opened.__enter__()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not recorded()
    opened.__exit__(None, None, None)
    assert recorded()


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_that_ends_in_another_thread_says_so(block: Callable[[], Block]) -> None:
    opened = block()
    thread = threading.Thread(target=opened.__enter__)
    thread.start()
    thread.join()
    with pytest.raises(OperationError, match="another thread or task"):
        opened.__exit__(None, None, None)
