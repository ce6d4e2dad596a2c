"""Mini-batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.errors import OperationError
from autograd_bn.core.integers import is_integer


class Loader:
    """Shuffled mini-batches of arrays of equal length, whose position can be saved and taken up again in the middle of an epoch.

    The order of an epoch depends on the seed and the epoch's number alone (a counter-based generator keyed by both), so a
    position is three integers. Iterating runs to the end of the epoch, **from where it stopped** the last time; the next
    ``for`` is the next epoch, in another order.

    Parameters
    ----------
    data
        A `Dataset`, or any tuple of arrays.
    batch_size
        Examples a batch.
    seed
        From 0 to 2⁶³ − 1; None takes one from the system.
    shuffle
        Whether to, each epoch anew.
    drop_last
        Whether to leave out an incomplete last batch, as batch norm wants it: a batch of one has no variance.

    Attributes
    ----------
    epoch, position
        How many epochs are done, and how many batches of this one were given out.

    Raises OperationError where the lengths differ, no batch would come, or an argument is out of range.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> x, y = np.arange(5), np.arange(5) * 10
    >>> loader = ab.data.Loader((x, y), 2, seed=0, shuffle=False)
    >>> for x, y in loader:
    ...     print(x, y)
    [0 1] [ 0 10]
    [2 3] [20 30]
    [4] [40]
    >>> len(loader), loader.epoch
    (3, 1)
    """

    def __init__(self, data: tuple[Array, ...], batch_size: int, *, seed: int | None = None, shuffle: bool = True, drop_last: bool = False) -> None:
        if not isinstance(data, (tuple, list)):
            raise OperationError(f"Loader: data is a tuple of arrays, such as (inputs, targets), or (inputs,); got {type(data).__name__}")
        self.data = tuple(np.asarray(array) for array in data)
        lengths = {array.shape[0] if array.ndim else 0 for array in self.data}
        if len(lengths) != 1:
            raise OperationError(f"Loader: the arrays have lengths {', '.join(str(len(a)) if a.ndim else '(none)' for a in self.data)}; they must be equal")
        if not is_integer(batch_size, 1):
            raise OperationError(f"Loader: the batch size must be a positive integer, got {batch_size!r}")
        if seed is not None and not (is_integer(seed, 0) and seed < 1 << 63):
            raise OperationError(f"Loader: a seed is an integer from 0 to 2⁶³ − 1, or None, got {seed!r}")
        self.count = lengths.pop()
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1) if seed is None else int(seed)
        self.epoch = self.position = 0
        self._order: tuple[tuple[int, int], Array] | None = None
        if not len(self):
            remedy = "; without drop_last, or with a smaller batch, there would be one" if self.count else ""
            raise OperationError(f"Loader: a batch of {batch_size} is larger than the {self.count} examples, so no batch would come{remedy}")

    def __repr__(self) -> str:
        settings = {name: value for name, value in self.state_dict().items() if name != "count"}
        return f"Loader({self.count} examples, {', '.join(f'{name}={value}' for name, value in settings.items())})"

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return self.count // self.batch_size if self.drop_last else -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        while self.position < len(self):
            start = self.position * self.batch_size
            chosen = self.order()[start : start + self.batch_size]
            self.position += 1
            yield tuple([array[chosen] for array in self.data])
        self.epoch, self.position = self.epoch + 1, 0

    def order(self) -> Array:
        """The examples of this epoch in order."""
        key = (self.seed, self.epoch)
        if self._order is None or self._order[0] != key:
            rng = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
            self._order = key, rng.permutation(self.count) if self.shuffle else np.arange(self.count)
        return self._order[1]

    def state_dict(self) -> dict[str, Any]:
        """The seed and the position, and of what data."""
        return {name: getattr(self, name) for name in ("seed", "epoch", "position", "count", "batch_size", "shuffle", "drop_last")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the seed and position that ``state_dict`` gave. Raises OperationError where data or batches differ; nothing is then changed."""
        own = self.state_dict()
        if set(state) != set(own):
            raise OperationError(f"load_state_dict: the state of a Loader has {', '.join(own)}, got {', '.join(map(str, state))}")
        differing = [
            f"{name} is {own[name]!r} here, {state[name]!r} there" for name in ("count", "batch_size", "shuffle", "drop_last") if own[name] != state[name]
        ]
        moved = [state[name] for name in ("seed", "epoch", "position")]
        if any(type(n) is not int or n < 0 for n in moved) or moved[2] > len(self):
            differing.append(f"seed, epoch and position cannot be {moved}")
        if differing:
            raise OperationError("load_state_dict: the state does not fit this Loader, which is unchanged\n  " + "\n  ".join(differing))
        self.seed, self.epoch, self.position = moved


def batches(images: Array, labels: Array, batch_size: int, rng: np.random.Generator | None = None, *, drop_last: bool = False) -> Iterator[tuple[Array, Array]]:
    """One pass over the data in mini-batches, in an order that ``rng`` decides, or as they come without one.

    With ``drop_last`` an incomplete last batch is left out, as batch norm wants it: a batch of one has no variance.
    A `Loader` makes many passes, and can be saved in the middle of one.

    Raises OperationError where the lengths differ or the batch size is not positive.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> [len(y) for _, y in ab.data.batches(np.zeros((5, 2)), np.zeros(5, int), 2)]
    [2, 2, 1]
    """
    if len(images) != len(labels):
        raise OperationError(f"batches: {len(images)} images but {len(labels)} labels")
    if not is_integer(batch_size, 1):
        raise OperationError(f"batches: the batch size must be a positive integer, got {batch_size!r}")
    return _batches(images, labels, batch_size, rng, drop_last)


def _batches(images: Array, labels: Array, batch_size: int, rng: np.random.Generator | None, drop_last: bool) -> Iterator[tuple[Array, Array]]:
    order = np.arange(len(labels)) if rng is None else rng.permutation(len(labels))
    stop = len(order) - len(order) % batch_size if drop_last else len(order)
    for start in range(0, stop, batch_size):
        chosen = order[start : start + batch_size]
        yield images[chosen], labels[chosen]
