"""The tensor: a value, and the node that says how it came to be."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from autograd_bn.core.allocation import copied, read_only
from autograd_bn.core.arrays import Array, as_numbers, no_array
from autograd_bn.core.display import mimebundle
from autograd_bn.core.elsewhere import Elsewhere, missing
from autograd_bn.core.errors import ConversionError, DtypeError, GradientError, OperationError, ShapeError
from autograd_bn.core.lines import Line, caller_line
from autograd_bn.core.methods import Methods
from autograd_bn.core.node import CONSTANT, NO_STATIC, Batch, Constant, Dual, Extra, Node, next_age
from autograd_bn.core.primitive import Traced
from autograd_bn.core.state import NESTED
from autograd_bn.core.tracing import Symbol, Unknown, lifted, outer_tape

if TYPE_CHECKING:
    import numpy.typing as npt


class Tensor(Methods, Traced):
    """An array whose operations are recorded, so that gradients can flow back through them.

    Make one with `tensor` (copies) or `asarray` (shares). ``value`` holds the array (or, inside a transform,
    a tensor of the level below) and ``node`` its history; both are read-only by convention.
    """

    __slots__ = ("__weakref__", "base", "node", "path", "value", "views")

    value: Any
    node: Any
    base: Tensor | None
    path: Any
    views: list[Any] | None

    def __init__(self, value: Any, node: Any = CONSTANT) -> None:
        self.value = value
        self.node = node
        self.base = self.views = None

    def __dir__(self) -> list[str]:
        return [name for name in object.__dir__(self) if type(vars(Tensor).get(name)) is not Elsewhere]

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        try:
            shape: tuple[int, ...] = self.value.shape
        except AttributeError:  # a Tensor made of a list
            raise missing("Tensor", "'Tensor' object", "shape", self) from None
        return shape[1:] if type(self.node) is Batch else shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        try:
            return self.value.dtype  # type: ignore[no-any-return]
        except AttributeError:
            raise missing("Tensor", "'Tensor' object", "dtype", self) from None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def requires_grad(self) -> bool:
        """Whether operations on it are recorded on the tape of ``backward()`` or of a transform."""
        return self.node.level >= 0 and self.node.__class__ is not Symbol

    @requires_grad.setter
    def requires_grad(self, required: bool) -> None:
        if required != self.requires_grad:
            remedy = (
                "make the tensor with requires_grad=True" if required else "use x.detach(), ab.no_grad(), or leave a parameter out of those that are optimised"
            )
            raise GradientError(f"requires_grad is decided when a tensor is made and cannot be set to {required}; {remedy}")

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user rather than by a recorded operation."""
        return not (type(self.node) is Node and self.node.primitive is not None)

    @property
    def name(self) -> str | None:
        """The name that drawings and errors show."""
        if type(self.node) is Node:
            return self.node.extra.name if self.node.extra is not None else None
        return self.node.name if type(self.node) is Constant else None

    @name.setter
    def name(self, name: str | None) -> None:
        if type(self.node) is Node:
            self.node.extras().name = name
        elif type(self.node) is Constant:
            old = self.node
            self.node = Constant(self.value.shape, self.value.dtype, name, old.foreign, old.reason, old.line)

    # Gradients

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient of a leaf, or of a tensor that was told to ``retain_grad()``; of other results None, with a warning."""
        node = lifted(self).node
        if type(node) is not Node:
            return None
        if node.primitive is not None and node.level == 0 and (node.extra is None or not (node.extra.retain or node.extra.gradient is not None)):
            warnings.warn(
                f"the gradient of a result is not kept, so the grad of this one, made by {node.title}, is None; call retain_grad() on it before backward()",
                stacklevel=2,
            )
        return None if node.extra is None else node.extra.gradient

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if type(self.node) is not Node:
            if gradient is None:
                return
            raise GradientError("grad can be set only on a tensor that requires a gradient")
        if gradient is not None:
            gradient = asarray(gradient)
            if gradient.shape != self.shape or gradient.dtype != self.dtype:
                raise ShapeError(f"a gradient must have the tensor's shape {self.shape} and dtype {self.dtype}, got {gradient.shape} {gradient.dtype}")
            if gradient.node.foreign:
                gradient = Tensor(owned(gradient))
        lifted(self).node.extras().gradient = gradient

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate result in ``grad`` too.

        Raises GradientError if the tensor does not require a gradient, or belongs to a transform, which keeps none.
        """
        node = self._recorded("retain_grad")
        if not outer_tape(node.level):
            raise GradientError("retain_grad: only backward() keeps gradients; inside a transform use register_hook, or differentiate by this value")
        node.extras().retain = True

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call ``hook`` with the tensor's whole gradient during the sweep; what it returns, or writes into it, replaces it.

        Returns a function that removes the hook. The replacement must have the same shape.
        """
        extra = self._recorded("register_hook").extras()
        if extra.hooks is None:
            extra.hooks = {}
        key = max(extra.hooks, default=-1) + 1
        extra.hooks[key] = hook
        hooks = extra.hooks
        return lambda: cast(None, hooks.pop(key, None))

    def backward(self, gradient: npt.ArrayLike | Tensor | None = None, *, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add to the ``grad`` of every leaf the gradient of this tensor, weighted by ``gradient``.

        Parameters
        ----------
        gradient
            The seed, of this tensor's shape; may be left out for a single element (1).
        retain_graph
            Keep the saved values, so that ``backward()`` can be called again.
        create_graph
            Record the sweep itself, so that the gradients can be differentiated. Implies ``retain_graph``.

        Raises
        ------
        GradientError
            If nothing here requires a gradient (it says where the graph was cut), the graph was freed, or a seed is missing.
        ShapeError, DtypeError
            If the seed does not fit.

        Examples
        --------
        >>> import autograd_bn as ab
        >>> x = ab.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
        """
        from autograd_bn.core.sweep import backward

        backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def detach(self) -> Tensor:
        """The same value with no history: no gradient flows through the result."""
        self = lifted(self)
        if type(self.node) is Batch:
            inner = self.value.detach() if isinstance(self.value, Tensor) else self.value
            return Tensor(inner, self.node)
        if self.node.level < 0 or type(self.node) is Symbol:
            return Tensor(self.value, self.node)
        if isinstance(self.value, Tensor):
            return self.value.detach()
        return Tensor(self.value, Constant(self.value.shape, self.value.dtype, self.name, False, "detach()", caller_line(2)))

    def _recorded(self, what: str) -> Node:
        node = lifted(self).node
        if type(node) is not Node:
            why = {
                Batch: "belongs to ab.vmap; put ab.vmap around what differentiates, as in ab.vmap(ab.grad(f))",
                Dual: "belongs to ab.jvp, which sweeps nothing back",
            }.get(type(node), f"does not require a gradient{why_constant(node)}")
            raise GradientError(f"{what}: the tensor {why}")
        return node

    # Conversions

    def numpy(self) -> Array:
        """The value as a read-only array that shares memory. Use ``np.array(t.detach())`` for one to write into.

        Raises ConversionError inside a transform, of what is differentiated or mapped there.
        """
        check = self._constant if self.node.level > 0 else self._plain
        check("numpy()", "use ab operations, or call .detach() first for the values alone")
        return read_only(self.value)

    def item(self) -> Any:
        """The single element as a Python number, detached.

        Raises OperationError if there is not exactly one element.
        """
        value = plain(self)
        if self.size != 1:
            raise OperationError(f"item() takes one element, and the tensor of shape {self.shape} has {self.size}; reduce it first, or use tolist()")
        return value.item()

    def tolist(self) -> Any:
        """The elements as nested Python lists, detached."""
        return plain(self).tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        self._constant("np.asarray(tensor)", "call .detach() first, or use the function of autograd_bn; for a list of tensors ab.stack")
        if dtype is not None or copy:
            return np.array(self.value, dtype=dtype)
        return read_only(self.value)

    def __float__(self) -> float:
        self._constant("float(tensor)", "call .item() to take the number out of the graph; for math.sin(x) and the like write ab.sin(x)")
        return float(self.value)

    def __int__(self) -> int:
        self._constant("int(tensor)", "call .item() to take the number out of the graph")
        return int(self.value)

    def __complex__(self) -> complex:
        self._constant("complex(tensor)", "call .item() to take the number out of the graph")
        return complex(self.value)

    def __index__(self) -> int:
        self._constant("a tensor used as an index", "call .item()")
        return operator.index(self.value)

    def __bool__(self) -> bool:
        return bool(plain(self))

    def _plain(self, what: str, remedy: str) -> None:
        self = lifted(self)
        if isinstance(self.value, Tensor) or self.node.fast == NESTED:
            if type(bottom := plain(self)) is Unknown:
                bottom.refuse(what)
            raise ConversionError(f"{what} of a tensor inside a transform would drop its derivative; {remedy}")

    def _constant(self, what: str, remedy: str) -> None:
        self._plain(what, remedy)
        if self.node.level >= 0:
            raise ConversionError(
                f"{what}: the tensor of shape {self.shape}, dtype {self.dtype} requires a gradient, which the conversion would drop; {remedy}"
                f"\n  made by {self.node.title} at {self.node.line}"
            )

    # Python's protocols

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise TypeError("iteration over a tensor without axes")
        return (self[i] for i in range(self.shape[0]))

    _repr_mimebundle_ = mimebundle

    def __repr__(self) -> str:
        value = array_of(self)
        if type(value) is Unknown:
            return f"tensor({value!r})"
        text = np.array2string(np.asarray(value), separator=", ", prefix="tensor(")
        notes = "" if self.dtype in (np.float64, np.int64, np.bool_) else f", dtype={self.dtype}"
        if value.size == 0 and value.ndim > 1:
            notes = f", shape={value.shape}" + notes
        if self.name is not None:
            notes += f", name={self.name!r}"
        if type(self.node) is Node:
            made = self.node.primitive
            notes += ", requires_grad=True" if made is None else f", made_by={made.name}"
        elif type(self.node) in (Dual, Batch):
            notes += ", dual" if type(self.node) is Dual else ", batched"
        return f"tensor({text}{notes})"

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec and self.size == 1 else str(self), spec)

    def __hash__(self) -> int:
        return id(self)

    def __copy__(self) -> Tensor:
        self = lifted(self)
        return Tensor(self.value, self.node)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.node.level > 0 or not self.is_leaf:
            raise GradientError("a tensor with a recorded history cannot be copied deeply; copy x.detach() instead")
        copied = tensor(plain(self), requires_grad=self.requires_grad, name=self.name)
        gradient = self.grad
        if gradient is not None:
            copied.grad = tensor(plain(gradient))
        memo[id(self)] = copied
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        if self.node.level > 0 or not self.is_leaf:
            raise GradientError("a tensor with a recorded history cannot be pickled; pickle x.detach() instead")
        return (_rebuild, (np.array(plain(self)), self.requires_grad, self.name))


def _rebuild(value: Array, requires_grad: bool, name: str | None) -> Tensor:
    return tensor(value, requires_grad=requires_grad, name=name)


def plain(x: Any) -> Any:
    """The array under a tensor, whatever levels lie above it."""
    if isinstance(x, Tensor):
        x = lifted(x)
    while isinstance(x, Tensor):
        if type(x.node) is Batch:
            raise ConversionError("a batched tensor inside vmap has no single value; branch with ab.where instead of if")
        x = x.value
    return x


def each_level(x: Any) -> Iterator[Tensor]:
    """A tensor, and those that it wraps, from its own level down."""
    while isinstance(x, Tensor):
        yield x
        x = x.value


def array_of(x: Any) -> Any:
    """The array under whatever levels lie above it, of a batch that of all examples; anything else as it is."""
    while isinstance(x, Tensor):
        x = x.value
    return x


def tensor_of(x: Any) -> Tensor:
    """An array as a constant tensor; a tensor as it is."""
    return x if isinstance(x, Tensor) else Tensor(x)


def owned(x: Tensor) -> Any:
    """A live tensor as it is; of a constant the array, copied where somebody else may write into it."""
    return x if x.node.level >= 0 else x.value.copy() if x.node.foreign else x.value


def snapshot(x: Any) -> Any:
    """A value as it is now, whatever is written into its tensor or array later; what is neither is itself."""
    if isinstance(x, Tensor):
        x = lifted(x)
        return Tensor(x.value.copy() if x.node.foreign else x.value, x.node)
    return x.copy() if isinstance(x, np.ndarray) else x


def why_constant(node: Any) -> str:
    """Where the graph was cut, for a message; empty where nothing is known."""
    if type(node) is Constant and node.reason is not None:
        return f": the graph was cut by {node.reason} at {node.line}"
    return ""


def leaf(value: Any, level: int, name: str | None = None, line: Line | None = None) -> Tensor:
    """A new leaf on the tape of ``level``."""
    node = Node()
    node.age = next_age()
    node.primitive = None
    node.parents = ()
    node.saved = ()
    node.static = NO_STATIC
    node.level = level
    node.fast = NESTED if isinstance(value, Tensor) else level
    node.shape = value.shape
    node.dtype = value.dtype
    node.scope = None
    if line is None:
        line = caller_line(2)
    node.code = line.code
    node.offset = line.offset
    node.extra = None if name is None else Extra(name)
    return Tensor(value, node)


def tensor(data: npt.ArrayLike | Tensor, *, dtype: npt.DTypeLike | None = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """Make a tensor from a copy of data.

    Parameters
    ----------
    data
        Numbers, nested sequences, an array or a tensor that requires no gradient.
    dtype
        NumPy's choice for the data unless given.
    requires_grad
        Whether to record what is done with it. Needs a floating dtype, real or complex.
    name
        What drawings and errors call it.

    Raises
    ------
    DtypeError
        If the data are not numbers, or a gradient is required of integers or booleans.
    ShapeError
        If the data are sequences of different lengths.
    ConversionError
        If the data have a gradient, which a copy would drop.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    tensor([1., 2.], name='x', requires_grad=True)
    """
    plainly = _untracked(data)
    try:
        value = as_numbers(copied(plainly, dtype))
    except ValueError as error:
        raise no_array(plainly, error) from None
    if requires_grad:
        check_differentiable(value.dtype, "requires_grad=True")
        return leaf(value, 0, name)
    return Tensor(value, Constant(value.shape, value.dtype, name))


def asarray(data: npt.ArrayLike | Tensor, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """A tensor that shares the memory of an array where possible; a tensor comes back as it is, with its history.

    Because somebody else may write into shared memory, a rule that must keep it for the backward pass copies it first.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> a = np.zeros(2)
    >>> t = ab.asarray(a)
    >>> a[0] = 1
    >>> t
    tensor([1., 0.])
    """
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype == np.dtype(dtype) else data.astype(dtype)
    try:
        value = as_numbers(np.asarray(data, dtype=dtype))
    except ValueError as error:
        raise no_array(data, error) from None
    return Tensor(value, Constant(value.shape, value.dtype, None, is_foreign(data)))


def is_foreign(data: Any) -> bool:
    """Whether somebody else may hold the memory of the array that NumPy makes of these data."""
    return not isinstance(data, (list, tuple, np.generic, int, float, complex))


def _untracked(data: Any, remedy: str = "use ab.asarray, or call .detach() first to take the values alone") -> Any:
    if isinstance(data, Tensor):
        data._constant("ab.tensor(tensor)", remedy)
        return plain(data)
    if isinstance(data, (list, tuple)) and any(isinstance(x, (Tensor, list, tuple)) for x in data):
        return [_untracked(x, "join tensors with ab.stack or ab.concat, or call .detach() first") for x in data]
    return data


def check_differentiable(dtype: np.dtype[Any], what: str) -> None:
    """Raise DtypeError unless the dtype is a floating one, real or complex."""
    if dtype.kind not in "fc":
        raise DtypeError(f"{what} needs a floating dtype, got {dtype}; convert it with .astype('float64'), or write 3.0 for 3")
