"""A with-block as a decorator: of functions, generators, coroutines and generators of coroutines."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def decorated(block: AbstractContextManager[None], function: Function) -> Function:
    """The function, which runs inside the block: of a generator each step, so that what its consumer does in between is outside."""
    import inspect

    wrapped: Any
    if inspect.iscoroutinefunction(function):

        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            with block:
                return await function(*args, **kwargs)

    elif inspect.isasyncgenfunction(function):

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return _async_steps(block, function(*args, **kwargs))

    elif inspect.isgeneratorfunction(function):

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return _steps(block, function(*args, **kwargs))

    else:

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with block:
                return function(*args, **kwargs)

    return functools.wraps(function)(wrapped)  # type: ignore[return-value]


def _steps(block: AbstractContextManager[None], generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    step, given = generator.send, None
    while True:
        try:
            with block:
                found = step(given)
        except StopIteration as end:
            return end.value
        try:
            given = yield found
            step = generator.send
        except GeneratorExit:
            with block:
                generator.close()
            raise
        except BaseException as error:  # noqa: BLE001 - the generator's to handle
            step, given = generator.throw, error


async def _async_steps(block: AbstractContextManager[None], generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    step, given = generator.asend, None
    while True:
        try:
            with block:
                found = await step(given)
        except StopAsyncIteration:
            return
        try:
            given = yield found
            step = generator.asend
        except GeneratorExit:
            with block:
                await generator.aclose()
            raise
        except BaseException as error:  # noqa: BLE001 - the generator's to handle
            step, given = generator.athrow, error
