"""``autograd-bn figure``: batch norm's graph, as published."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from autograd_bn.cli.arguments import add_command

if TYPE_CHECKING:
    from autograd_bn.cli.arguments import Commands
    from autograd_bn.core.tensor import Tensor


def add(commands: Commands) -> None:
    """Declare the command."""
    figure = add_command(commands, "figure", "draw the graph of batch norm as published, from a run")
    figure.add_argument("--out", type=Path, default=Path("figure.svg"), metavar="FILE", help=".svg, .png, .pdf or .dot (default: %(default)s)")
    figure.set_defaults(run=_run)


def draw_figure(path: Path) -> None:
    """Write the figure of a small batch norm."""
    from autograd_bn.drawing import draw

    draw(_recorded(), file=path, style="classic")


def _recorded() -> Tensor:
    """Batch norm on a small batch, run forward and backward with everything kept."""
    import numpy as np

    from autograd_bn.core.record import record
    from autograd_bn.core.tensor import tensor
    from autograd_bn.nn.functional import batch_norm
    from autograd_bn.nn.init import generator

    rng = generator(0)
    x = tensor(rng.standard_normal((4, 3)), requires_grad=True, name="x")
    gamma = tensor(np.ones(3), requires_grad=True, name="γ")
    beta = tensor(np.zeros(3), requires_grad=True, name="β")
    with record():
        y = batch_norm(x, gamma, beta)
        y.backward(rng.standard_normal((4, 3)))
    return y


def _run(options: argparse.Namespace) -> int:
    draw_figure(options.out)
    print(f"written: {options.out}")
    return 0
