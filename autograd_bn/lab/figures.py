"""How figures look: few colours, told apart by dashes too; a curve is the mean over seeds, in the band that the seeds span."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.extras import extra
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, ACCENT, BLUE, AMBER, GREY = "#1f2328", "#b3261e", "#1f6feb", "#c77700", "#8b949e"
DASHES: tuple[Any, ...] = ("-", "--", "-.", (0, (1, 1.2)))
SERIES: tuple[dict[str, Any], ...] = tuple({"color": c, "linestyle": s} for c, s in zip((ACCENT, INK, BLUE, AMBER), DASHES, strict=True))
"""Curves beside one another. No two differ in hue alone."""
MARKED = tuple(look | {"marker": marker} for look, marker in zip(SERIES, "os^D", strict=True))
"""The same for curves of few points."""
WITH, WITHOUT = {"color": ACCENT, "label": "with BN"}, {"color": INK, "label": "without BN", "linestyle": "--"}
STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": "medium",
    "font.family": "sans-serif",
    "font.size": 9,
    "legend.fontsize": "medium",
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.4,
    "svg.fonttype": "none",
    "svg.hashsalt": "autograd_bn",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def bn(with_bn: bool) -> dict[str, Any]:
    """The look of a curve with or without batch norm."""
    return dict(WITH if with_bn else WITHOUT)


def curve(axes: Axes, x: Sequence[Any], runs: Sequence[Sequence[float]], **look: Any) -> None:
    """The mean of runs of equal length, and the band, or for single points the line, from their least to their greatest."""
    values = np.array(runs, float)
    (line,) = axes.plot(x, values.mean(0), **look)
    if look.get("linestyle") == "":
        axes.vlines(x, values.min(0), values.max(0), color=line.get_color(), linewidth=1)
    elif len(values) > 1:
        axes.fill_between(x, values.min(0), values.max(0), color=line.get_color(), alpha=0.15, linewidth=0)


def bars(axes: Axes, names: Sequence[str], groups: Sequence[tuple[Sequence[Sequence[float]], dict[str, Any]]]) -> None:
    """Groups of bars side by side, each as high as the mean of its runs, with a line from the least to the greatest."""
    width = 0.8 / len(groups)
    for k, (runs, look) in enumerate(groups):
        at = np.arange(len(names)) + (k - (len(groups) - 1) / 2) * width
        means = np.array([np.mean(values) for values in runs])
        ends = np.array([[m - min(values), max(values) - m] for m, values in zip(means, runs, strict=True)]).T
        axes.bar(at, means, width * 0.9, yerr=ends, error_kw={"ecolor": INK, "elinewidth": 1}, **look)
    axes.set_xticks(range(len(names)), names)


def legend(figure: Figure, columns: int = 5) -> None:
    """One legend above all panels, which has each label once."""
    named: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=columns)


def drawn(experiment: Experiment, results: Results, background: str = "white") -> str:
    """The figure of an experiment as SVG, the same bytes each time. Raises ImportError without matplotlib."""
    import io

    with extra("train", "figures need matplotlib"):
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        FigureCanvasSVG(figure)
        experiment.figure(results, figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, facecolor=background)
    return text.getvalue()
