"""What was measured: cells, their selection by setting, and the spread of a number over seeds."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from autograd_bn.core.errors import OperationError

Settings: TypeAlias = Mapping[str, Any]
Measured: TypeAlias = Mapping[str, Any]


class Cell(NamedTuple):
    """One run of an experiment: its settings, the seed among them, what was measured, and how long it took."""

    settings: Settings
    measured: Measured
    seconds: float = 0.0


class Spread(NamedTuple):
    """The mean of a number over seeds, its standard deviation (n − 1; None of a single one), and how many there are.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> print(ab.lab.Spread.of([0.1, 0.2, 0.3]))
    0.2 ± 0.1
    >>> print(ab.lab.Spread.of([0.25]))
    0.25
    """

    mean: float
    std: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """That of some numbers. Raises OperationError where there is none."""
        found = [float(x) for x in values]
        if not found:
            raise OperationError("Spread: there is no number to take the mean of")
        return cls(math.fsum(found) / len(found), statistics.stdev(found) if len(found) > 1 else None, len(found))

    def below(self, other: Spread) -> bool:
        """Whether the mean is smaller than another's by more than twice the standard error of the difference; of single numbers, whether it is smaller.

        Examples
        --------
        >>> import autograd_bn as ab
        >>> runs = [1.0, 1.1, 1.2], [2.0, 2.1, 2.2], [0.0, 2.0, 4.0]
        >>> low, high, wide = map(ab.lab.Spread.of, runs)
        >>> low.below(high), high.below(low), low.below(wide)
        (True, False, False)
        """
        error = math.sqrt(sum(s.std**2 / s.n for s in (self, other) if s.std is not None))
        return other.mean - self.mean > 2 * error

    def __str__(self) -> str:
        return f"{self.mean:.4g}" + (f" ± {self.std:.2g}" if self.std is not None else "")


class Results:
    """The cells of an experiment.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> def cell(bn, seed):
    ...     return ab.lab.Cell({"bn": bn, "seed": seed}, {"accuracy": bn / 2 + seed / 8})
    >>> cells = [cell(bn, seed) for bn in (False, True) for seed in (0, 1)]
    >>> results = ab.lab.Results(cells)
    >>> results.where(bn=True).values("accuracy")
    [0.5, 0.625]
    >>> results.distinct("bn")
    [False, True]
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.cells = list(cells)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    def where(self, **settings: Any) -> Results:
        """The cells with these settings. Raises OperationError where there is none."""
        found = [cell for cell in self if all(name in cell.settings and cell.settings[name] == value for name, value in settings.items())]
        if not found:
            raise OperationError(f"there is no cell with {', '.join(f'{name}={value!r}' for name, value in settings.items())}")
        return Results(found)

    def values(self, name: str) -> list[Any]:
        """What was measured under a name in each cell, in order."""
        return [cell.measured[name] for cell in self]

    def spread(self, name: str, **settings: Any) -> Spread:
        """That of a measured number over the cells with these settings."""
        return Spread.of(self.where(**settings).values(name))

    def distinct(self, *names: str) -> list[Any]:
        """The values that a setting takes, or several together, in the order in which they come."""
        found = [tuple(cell.settings[name] for name in names) for cell in self if cell.settings.keys() >= set(names)]
        return list(dict.fromkeys(found if len(names) > 1 else itertools.chain(*found)))
