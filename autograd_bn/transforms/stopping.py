"""stop_gradient: values that no derivative passes."""

from __future__ import annotations

from typing import Any

from autograd_bn.core.tensor import Tensor
from autograd_bn.core.tree import flatten


def stop_gradient(x: Any) -> Any:
    """The same values as constants, to every transform and to ``backward()``: no cotangent and no tangent passes.

    Parameters
    ----------
    x
        A tensor, or a nested container of them; whatever else is in it is left as it is. Under ``vmap`` the examples stay apart.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.grad(lambda x: x * ab.stop_gradient(x))(3.0)
    tensor(3.)
    """
    leaves, structure = flatten(x)
    return structure.unflatten(leaf.detach() if isinstance(leaf, Tensor) else leaf for leaf in leaves)
