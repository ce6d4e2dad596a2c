"""What was measured while training: a table, and a picture of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from autograd_bn.core.extras import extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History(Mapping[str, list[float]]):
    """Columns of equal length, one row an evaluation; ``steps`` says after how many updates.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> history = ab.train.History()
    >>> history.append(100, loss=0.5, accuracy=0.8)
    >>> history.append(200, loss=0.25, accuracy=0.9)
    >>> history["accuracy"]
    [0.8, 0.9]
    >>> print(history)
     step    loss  accuracy
      100  0.5000    0.8000
      200  0.2500    0.9000
    """

    def __init__(self, steps: list[int] | None = None, columns: Mapping[str, list[float]] | None = None) -> None:
        self.steps: list[int] = list(steps or [])
        self._columns = {name: list(column) for name, column in (columns or {}).items()}

    def append(self, step: int, **values: float) -> None:
        """Add a row; NaN stands where a column has no value."""
        for name in values:
            self._columns.setdefault(name, [math.nan] * len(self.steps))
        self.steps.append(step)
        for name, column in self._columns.items():
            column.append(float(values.get(name, math.nan)))

    def __getitem__(self, name: str) -> list[float]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __str__(self) -> str:
        columns = {"step": [str(step) for step in self.steps], **{name: [f"{x:.4f}" for x in column] for name, column in self.items()}}
        widths = {name: max([len(name), *map(len, column)]) for name, column in columns.items()}
        rows = [[name.rjust(widths[name]) for name in columns]]
        rows += [[column[i].rjust(widths[name]) for name, column in columns.items()] for i in range(len(self.steps))]
        return "\n".join(" " + "  ".join(row) for row in rows)

    def __repr__(self) -> str:
        return f"History({len(self.steps)} row{'' if len(self.steps) == 1 else 's'} of {', '.join(self) or 'nothing'})"

    def plot(self, file: str | os.PathLike[str] | None = None) -> Figure:
        """A figure of matplotlib with one panel for the losses and one for each other column; written to ``file`` if it is given.

        Raises ImportError without matplotlib (``pip install "autograd_bn[train]"``).
        """
        with extra("train", "plots need matplotlib"):
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

        losses = [name for name in self if name.endswith("loss")]
        panels = ([losses] if losses else []) + [[name] for name in self if name not in losses and name != "lr"] + ([["lr"]] if "lr" in self else [])
        figure = Figure(figsize=(4 * max(len(panels), 1), 3), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, names in zip(figure.subplots(1, max(len(panels), 1), squeeze=False)[0], panels, strict=False):
            for name, style in zip(names, ("-", "--", ":", "-.") * len(names), strict=False):
                axes.plot(self.steps, self[name], style, marker="." if len(self.steps) == 1 else "", color="black", label=name)
            axes.set(xlabel="step", ylabel=names[0] if len(names) == 1 else "loss")
            if len(names) > 1:
                axes.legend(frameon=False)
            if names == ["lr"]:
                axes.set_ylim(bottom=0.0)  # or a constant rate would be drawn on a scale of roundings
        if file is not None:
            figure.savefig(file, dpi=150)
        return figure
