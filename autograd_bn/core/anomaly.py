"""Naming the operation that made the first NaN or infinity, and saved arrays that somebody wrote into."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from autograd_bn.core.errors import AnomalyError, MutationError
from autograd_bn.core.node import Batch, Constant, Dual, Node
from autograd_bn.core.tensor import Tensor, array_of
from autograd_bn.core.watch import Event, Observer, observed


class _Anomalies(Observer):
    """Looks at every result, and keeps a checksum of every saved array."""

    def __init__(self, infinities: bool) -> None:
        self.infinities = infinities

    def _wrong(self, x: Any) -> bool:
        a = _array(x)
        if a is None or a.dtype.kind not in "fc":
            return False
        return not np.isfinite(a).all() if self.infinities else bool(np.isnan(a).any())

    def _fail(self, *lines: str, values: Any) -> None:
        hint = "" if np.isnan(_array(values)).any() else "\n  (where infinities are meant, ab.anomaly_mode(infinities=False) looks for NaN only)"
        raise AnomalyError("\n  ".join(line for line in lines if line) + hint)

    def ran(self, event: Event) -> None:
        for i, result in enumerate(event.results):
            if self._wrong(result):
                self._explain(event, i, result)

    def _explain(self, event: Event, place: int, result: Any) -> None:
        own = event.rule is not None and not event.origins
        rows = _rule_rows(event) if own else _operand_rows(event)
        name = event.primitive.name
        what = name
        if own:
            which = f" for its {_ordinal(place, len(event.results))}" if len(event.results) > 1 else ""
            what = f"the derivative of {name}{which}"
        elif event.rule is not None:
            what = f"{name}, in the derivative of {event.rule.title},"
        elif event.phase == "tangent":
            what = f"the tangent of {name}"
        given = [label for label, value, _ in rows if self._wrong(value)]
        if given:
            counts = _counts(_array(next(value for label, value, _ in rows if label == given[0])))
            first = f"{what} was given {counts} that no operation here made: it came with the {given[0]}"
        else:
            first = f"{what} made {_counts(_array(result))}: the first that is not finite"
        self._fail(first, *(f"{label}: {_range(v) if v is not None else 'not saved'}{origin}" for label, v, origin in rows), f"at {event.line}", values=result)

    def recorded(self, node: Node, operands: Sequence[Any], out: Any, rule: Node | None) -> None:
        if node.saved is not None:
            node.extras().checksums = [_checksum(x) for x in node.saved]

    def seeded(self, roots: Sequence[tuple[Node, Any]]) -> None:
        for node, g in roots:
            if self._wrong(g):
                self._fail(f"the seed of the backward pass has {_counts(_array(g))}", f"seed: {_range(g)}", f"of {node.title} at {node.line}", values=g)

    def reached(self, node: Node, g: Any) -> None:
        self._intact(node)
        if self._wrong(g):
            self._gathered(node, g)

    def found(self, leaves: Mapping[Node, Any]) -> None:
        for node, g in leaves.items():
            if self._wrong(g):
                self._gathered(node, g)

    def _gathered(self, node: Node, g: Any) -> None:
        """No rule made it, so adding or converting what rules made did, or a hook."""
        self._fail(
            f"the gradient of {_origin(node) if node.primitive is None else f'the result of {node.title}'} has {_counts(_array(g))}, though every rule gave "
            "finite values: adding them up overflowed, or a hook returned it",
            f"gradient: {_range(g)}",
            f"at {node.line}",
            values=g,
        )

    def _intact(self, node: Node) -> None:
        if node.extra is None or node.saved is None:
            return
        for i, (before, x) in enumerate(zip(node.extra.checksums, node.saved, strict=False)):
            if before != _checksum(x):
                a = _array(x)
                parents = node.parents
                which = f"its result, {a.dtype}{list(a.shape)}," if i == len(parents) else f"its {_ordinal(i, len(parents))}, {a.dtype}{list(a.shape)}"
                origin = "" if i == len(parents) else f"{_from(parents[i])},"
                raise MutationError(
                    f"{node.title}: {which}{origin} was saved for the backward pass and changed since, so the gradient would be wrong; "
                    f"change a copy, or call backward() first\n  operation at {node.line}"
                )


def _array(x: Any) -> Any:
    """The array or number under whatever levels lie above it; None for what is neither."""
    x = array_of(x)
    return np.asarray(x) if isinstance(x, (np.ndarray, np.generic, int, float, complex)) else None


def _checksum(x: Any) -> int | None:
    if x is None or not isinstance(x, (np.ndarray, np.generic, Tensor)):
        return None
    return zlib.crc32(np.ascontiguousarray(_array(x)).data)


def _operand_rows(event: Event) -> list[tuple[str, Any, str]]:
    count = len(event.origins)
    rows = [(_ordinal(i, count), x, _from(origin)) for i, (x, origin) in enumerate(zip(event.operands, event.origins, strict=False))]
    return rows + [(f"tangent of the {_ordinal(i, count)}", t, "") for i, t in enumerate(event.operands[count:]) if t is not None]


def _rule_rows(event: Event) -> list[tuple[str, Any, str]]:
    """The cotangent as it stands for the whole result, the operands and the result as far as they were saved."""
    node = event.rule
    assert node is not None
    cotangent, *saved = event.operands
    rows: list[tuple[str, Any, str]] = [("cotangent", np.broadcast_to(_array(cotangent), node.shape), "")]
    for i, (x, parent) in enumerate(zip(saved, node.parents, strict=False)):
        x = x if x is not None or isinstance(parent, (Node, Constant)) else parent
        shape = f", {parent.dtype}{list(parent.shape)}" if x is None and getattr(parent, "shape", None) is not None else ""
        rows.append((_ordinal(i, len(node.parents)), x, shape + _from(parent)))
    if saved and saved[-1] is not None:
        rows.append(("result", saved[-1], ""))
    return rows


def _ordinal(i: int, count: int) -> str:
    return "operand" if count == 1 else f"{('first', 'second', 'third')[i] if i < 3 else f'{i + 1}th'} operand"


def _origin(node: Any) -> str:
    """Where a value came from."""
    if isinstance(node, Node):
        if node.primitive is not None:
            return f"the result of {node.title} at {node.line}"
        name = node.extra.name if node.extra is not None else None
        return f"the leaf {name!r} made at {node.line}" if name else f"a leaf made at {node.line}"
    if isinstance(node, Constant):
        cut = f", cut off by {node.reason} at {node.line}" if node.reason is not None else ""
        return (f"the constant {node.name!r}" if node.name else "a constant") + cut
    return "a dual number" if isinstance(node, Dual) else "a batch" if isinstance(node, Batch) else ""


def _from(node: Any) -> str:
    origin = _origin(node)
    return f", {origin}" if origin else ""


def _counts(a: Any) -> str:
    nan, inf = int(np.isnan(a).sum()), int(np.isinf(a).sum())
    return " and ".join(f"{n} {name}" for n, name in ((nan, "NaN"), (inf, "inf")) if n)


def _range(x: Any) -> str:
    """Dtype, shape, least and greatest finite value, and how many are not finite."""
    if isinstance(x, (int, float, complex)) and not isinstance(x, np.generic):
        return repr(x)
    a = _array(x)
    text = f"{a.dtype}{list(a.shape)}"
    if a.dtype.kind == "b" or not a.size:
        return text
    size = np.abs(a) if a.dtype.kind == "c" else a
    finite = size[np.isfinite(size)]
    if finite.size:
        text += f"{' of modulus' if a.dtype.kind == 'c' else ''} from {finite.min():.6g} to {finite.max():.6g}"
    counts = _counts(a)
    return f"{text} with {counts}" if counts else text


@contextmanager
def anomaly_mode(*, infinities: bool = True) -> Iterator[None]:
    """Stop at the first NaN or infinity, and name the operation that made it.

    Inside the block every result, forward and backward, and every tangent is looked at. The error gives the operation, the
    shape, dtype and range of what it was given, and the line of the program (backward: of the forward operation). What had
    a NaN before any operation is reported with the leaf or constant that it came from, once an operation passes it on.

    What operations save for the backward pass is checksummed, and compared when a sweep inside the block uses it.

    NumPy's own warnings of overflow, division by zero and invalid values are off inside. Results are unchanged, and
    everything is slower; for finding a mistake, not for training.

    Parameters
    ----------
    infinities
        Whether infinities count; False looks for NaN only, as where a mask is −inf on purpose.

    Raises
    ------
    AnomalyError
        A FloatingPointError, at the first operation whose result is not finite.
    MutationError
        At a saved array that was changed after its operation ran.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([0.0, 4.0], requires_grad=True, name="x")
    >>> with ab.anomaly_mode():
    ...     try:
    ...         (ab.sqrt(x) * 0.5).sum().backward()
    ...     except ab.AnomalyError as error:
    ...         print(str(error).splitlines()[0])
    the derivative of sqrt made 1 inf: the first that is not finite
    """
    with observed(_Anomalies(infinities)), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        yield
