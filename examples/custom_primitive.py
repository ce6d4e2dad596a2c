"""A primitive of one's own: softplus, log(1 + eˣ), by one line that all of the engine reads.

python examples/custom_primitive.py [DIRECTORY]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import autograd_bn as ab
from autograd_bn.primitives import raw, unary

softplus = unary(
    "softplus",
    lambda x: np.logaddexp(x, 0),
    lambda x: raw.sigmoid(x),
    """log(1 + eˣ) of each element, which neither overflows nor loses small results.""",
    label="log(1+eˣ)",
)


def main(directory: Path) -> None:
    x = ab.tensor([-800.0, 0.0, 800.0], requires_grad=True, name="x")
    y = softplus(x)
    y.sum().backward()
    print("value               ", y.tolist())
    print("reverse mode        ", x.grad.tolist() if x.grad is not None else None)
    print("forward mode        ", ab.jvp(softplus, (0.0,), (1.0,))[1].item())
    print("second derivative   ", ab.grad(ab.grad(softplus))(0.0).item())
    print("mapped over examples", ab.vmap(ab.grad(softplus))(ab.tensor([-1.0, 0.0, 1.0])).tolist())
    ab.draw(y, file=directory / "softplus.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
