"""Random programs of reductions over any axes, compiled by both emitters, against the same program run as it is in float64.

``python -m tests.compiler.reduction_programs --count 5000 --seed 0``. A program is a list of steps: elementwise operations whose operands are broadcast to
each other, reductions over some of the axes, and changes of shape. Its values and its gradients are compared. What is allowed follows from the program:
what rounding does to it in float32, run as it is, is what it may do to compiled code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import autograd_bn as ab

Array = np.ndarray[Any, Any]

UNARY: dict[str, Callable[[Any], Any]] = {
    "tanh": ab.tanh,
    "sigmoid": ab.sigmoid,
    "square": lambda x: x**2,
    "neg": lambda x: -x,
    "root": lambda x: ab.sqrt(x * x + 1),
    "log1p": lambda x: ab.log1p(x * x),
    "exp": lambda x: ab.exp(-x * x),
    "relu": ab.relu,
    "abs": ab.abs,
    "scaled": lambda x: x * 0.5 - 0.25,
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / (y * y + 1.5),
    "maximum": ab.maximum,
    "where": lambda x, y: ab.where(x > y, x, y * y),
    "masked": lambda x, y: x * (y > 0),
    "product": lambda x, y: (x @ y) * (1 / x.shape[-1]),
}
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": ab.sum,
    "mean": ab.mean,
    "max": ab.max,
    "min": ab.min,
    "var": ab.var,
    "std": lambda x, **static: ab.sqrt(ab.var(x, **static) + 0.1),
    "logsumexp": ab.logsumexp,
    "norm": lambda x, **static: ab.sqrt(ab.sum(x * x, **static) + 0.1),
}
SHAPED: dict[str, Callable[..., Any]] = {"reshape": ab.reshape, "permute_dims": ab.permute_dims, "broadcast_to": ab.broadcast_to, "softmax": ab.softmax}
OPERATIONS: dict[str, Callable[..., Any]] = {**UNARY, **BINARY, **REDUCTIONS, **SHAPED}
KINKED = {"relu": lambda x: x, "abs": lambda x: x, "maximum": lambda x, y: x - y, "where": lambda x, y: x - y, "masked": lambda x, y: y + 0 * x}
"""What must not be near zero: there the sides differ in their derivative, and roundings decide between them."""

SIZES = (1, 1, 2, 3, 4, 5, 7, 8, 16, 33)
LONG = (65, 130, 257, 300, 1031, 4100)
LARGEST = 20_000


class Step(NamedTuple):
    """An operation on earlier values."""

    name: str
    operands: tuple[int, ...]
    static: dict[str, Any]


class Program(NamedTuple):
    """Steps that follow the inputs, which of all values are results, and their cotangents."""

    inputs: tuple[Array, ...]
    steps: tuple[Step, ...]
    results: tuple[int, ...]
    cotangents: tuple[Array, ...]

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The results."""
        values = list(inputs)
        for step in self.steps:
            values.append(OPERATIONS[step.name](*(values[i] for i in step.operands), **step.static))
        return tuple(values[i] for i in self.results)

    def __str__(self) -> str:
        lines = [f"v{i} = array{x.shape}" for i, x in enumerate(self.inputs)]
        for i, (name, operands, static) in enumerate(self.steps, len(self.inputs)):
            given = [*(f"v{k}" for k in operands), *(f"{key}={value}" for key, value in static.items())]
            lines.append(f"v{i} = {name}({', '.join(given)})")
        return "\n".join([*lines, f"return {', '.join(f'v{i}' for i in self.results)}"])


def shape_of(rng: np.random.Generator) -> tuple[int, ...]:
    """One to four axes; one of them may be long."""
    shape = [int(rng.choice(SIZES)) for _ in range(rng.integers(1, 5))]
    if rng.random() < 0.4:
        shape[rng.integers(len(shape))] = int(rng.choice(LONG))
    while np.prod(shape) > LARGEST:
        shape[int(np.argmin([n if n > 1 else LARGEST for n in shape]))] = 1
    return tuple(shape)


def narrowed(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
    """A shape that is broadcast to this one."""
    kept = tuple(1 if rng.random() < 0.4 else n for n in shape)
    return kept[int(rng.integers(len(kept))) :] if rng.random() < 0.4 else kept


def step_of(values: Sequence[Any], rng: np.random.Generator) -> Step | None:
    """A step, on late values rather than early ones; None if the operands do not fit."""
    first = int(len(values) - 1 - min(rng.geometric(0.4) - 1, len(values) - 1))
    shape = values[first].shape
    kind = rng.random()
    if kind < 0.2:
        return Step(str(rng.choice(list(UNARY))), (first,), {})
    if kind < 0.6 and rng.random() < 0.1:
        fitting = [i for i, y in enumerate(values) if len(shape) > 1 and y.ndim > 1 and y.shape[-2] == shape[-1] and y.shape[:-2] in ((), shape[:-2])]
        return Step("product", (first, int(rng.choice(fitting))), {}) if fitting else None
    if kind < 0.6:
        other = int(rng.integers(len(values)))
        try:
            size = np.prod(np.broadcast_shapes(shape, values[other].shape))
        except ValueError:
            return None
        pair = (first, other) if rng.random() < 0.5 else (other, first)
        return Step(str(rng.choice(list(BINARY)[:-1])), pair, {}) if size <= LARGEST else None
    if not shape:
        return None
    some = tuple(int(a) for a in np.flatnonzero(rng.random(len(shape)) < 0.5)) or (int(rng.integers(len(shape))),)
    axes = tuple(a - len(shape) if rng.random() < 0.3 else a for a in some)
    if kind < 0.88:
        return Step(str(rng.choice(list(REDUCTIONS))), (first,), {"axis": axes, "keepdims": bool(rng.random() < 0.6)})
    if kind < 0.91:
        return Step("softmax", (first,), {"axis": axes[0]})
    if kind < 0.94:
        return Step("permute_dims", (first,), {"axes": tuple(int(a) for a in rng.permutation(len(shape)))})
    if kind < 0.97:
        return Step("broadcast_to", (first,), {"shape": (int(rng.choice((1, 2, 3))), *shape)})
    ones = [n for n in shape if n != 1]
    if len(ones) > 1 and rng.random() < 0.5:
        ones[:2] = [ones[0] * ones[1]]
    for _ in range(rng.integers(3)):
        ones.insert(int(rng.integers(len(ones) + 1)), 1)
    return Step("reshape", (first,), {"shape": tuple(ones)})


def near_kink(step: Step, operands: Sequence[Array]) -> bool:
    """Whether rounding might decide which derivative a step has."""
    if step.name in KINKED:
        return bool(np.min(np.abs(KINKED[step.name](*operands))) < 1e-4)
    if step.name in ("max", "min"):
        axes = tuple(a % operands[0].ndim for a in step.static["axis"])
        x = np.moveaxis(operands[0], axes, range(len(axes))).reshape(int(np.prod([operands[0].shape[a] for a in axes])), -1)
        ends = np.sort(x if step.name == "max" else -x, axis=0)[-2:]
        return len(ends) > 1 and bool(np.min(ends[1] - ends[0]) < 1e-4)
    return False


def program_of(seed: int, number: int) -> Program:
    """The program of that number."""
    rng = np.random.default_rng([seed, number])
    shape = shape_of(rng)
    shapes = [shape, *(narrowed(shape, rng) for _ in range(rng.integers(1, 4)))]
    inputs = tuple(rng.standard_normal(s) * 0.8 + 0.1 for s in shapes)
    values: list[Any] = [ab.tensor(x) for x in inputs]
    steps: list[Step] = []
    for _ in range(60):
        if len(steps) == 4 + number % 9:
            break
        step = step_of(values, rng)
        if step is None or near_kink(step, [values[i].numpy() for i in step.operands]):
            continue
        value = OPERATIONS[step.name](*(values[i] for i in step.operands), **step.static)
        if np.all(np.isfinite(value.numpy())) and np.max(np.abs(value.numpy())) < 100 and value.size <= LARGEST:
            values.append(value)
            steps.append(step)
    read = {i for step in steps for i in step.operands}
    results = tuple(i for i in range(len(inputs), len(values)) if i not in read or rng.random() < 0.15)
    return Program(inputs, tuple(steps), results, tuple(rng.standard_normal(values[i].shape) for i in results))


def both(program: Program, inputs: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, ...]:
    """Values and gradients."""
    values, pullback = ab.vjp(program, *inputs)
    return *values, *pullback(tuple(cotangents))


def wrong(program: Program, emitters: Sequence[str] = ("numpy", "llvm")) -> str | None:
    """What a compiled program gives that it should not, if anything."""

    def given(dtype: str) -> tuple[list[Any], list[Any]]:
        return [ab.tensor(x.astype(dtype)) for x in program.inputs], [ab.tensor(x.astype(dtype)) for x in program.cotangents]

    plain = {dtype: [x.numpy() for x in both(program, *given(dtype))] for dtype in ("float32", "float64")}
    right = plain["float64"]
    largest = max(np.max(np.abs(x), initial=0) for x in right)
    for emitter in emitters:
        run = ab.jit(lambda inputs, cotangents: both(program, inputs, cotangents), emitter=emitter)  # type: ignore[arg-type]
        for dtype, expected in plain.items():
            found = [x.numpy() for x in run(*given(dtype))]
            for k, (x, y, exact) in enumerate(zip(found, expected, right, strict=True)):
                name = f"{emitter}, {dtype}: result {k} of {len(program.results)} and {len(program.inputs)} gradients"
                if x.shape != y.shape or x.dtype != y.dtype:
                    return f"{name} is {x.dtype}{x.shape}, not {y.dtype}{y.shape}"
                if emitter == "numpy":
                    if not np.array_equal(x, y, equal_nan=True):
                        return f"{name} is not the same to the last bit"
                    continue
                size = max(np.max(np.abs(exact), initial=0), 1e-2 * largest)
                rounding = np.max(np.abs(plain["float32"][k] - exact), initial=0) + 8 * np.finfo("f4").eps * size
                allowed = 32 * rounding * (np.finfo(dtype).eps / np.finfo("f4").eps)
                off = np.max(np.abs(x - exact), initial=0)
                if not off <= allowed:
                    return f"{name} is off by {off:.2e}, allowed {allowed:.2e}"
    return None


def judged(program: Program, emitters: Sequence[str]) -> str | None:
    """What is wrong, an error that is raised included."""
    try:
        return wrong(program, emitters)
    except Exception as error:  # noqa: BLE001 - any is a finding
        return f"{type(error).__name__}: {error}"


def least(program: Program, fails: Callable[[Program], bool]) -> Program:
    """The program with fewer results and steps, as long as it fails."""
    for k in range(len(program.results)):
        less = program._replace(results=program.results[:k] + program.results[k + 1 :], cotangents=program.cotangents[:k] + program.cotangents[k + 1 :])
        if less.results and fails(less):
            return least(less, fails)
    read = {i for step in program.steps for i in step.operands} | set(program.results)
    last = len(program.inputs) + len(program.steps) - 1
    if program.steps and last not in read:
        return least(program._replace(steps=program.steps[:-1]), fails)
    return program


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compiler.reduction_programs", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--emitters", nargs="+", choices=("numpy", "llvm"), default=("numpy", "llvm"))
    given = parser.parse_args()
    failed = 0
    for number in range(given.first, given.first + given.count):
        program = program_of(given.seed, number)
        said = judged(program, given.emitters)
        if said is not None:
            failed += 1
            print(f"program {number}: {said}\n{least(program, lambda less: judged(less, given.emitters) is not None)}", flush=True)
    print(f"{given.count} programs, {failed} wrong")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
