"""An operation with a rule of one's own, and a fault in the rule: the testing kit says which operation, by how much, and why.

python examples/custom_op.py
"""

from __future__ import annotations

import numpy as np

import autograd_bn as ab


@ab.custom_vjp
def squared_error(x, y):
    return ((x - y) ** 2).mean()


def forward(x, y):
    return squared_error(x, y), x - y


def faulty_backward(difference, g):
    d = 2.0 * g * difference  # the mean's 1/N is forgotten
    return d, -d


def backward(difference, g):
    d = 2.0 / difference.size * g * difference
    return d, -d


def loss(w, b, x, y):
    return squared_error(ab.tanh(x @ w + b), y)


def main() -> None:
    rng = np.random.default_rng(0)
    point = [rng.standard_normal(shape) for shape in [(3, 2), (2,), (4, 3), (4, 2)]]

    squared_error.defvjp(forward, faulty_backward)
    try:
        ab.testing.check_gradients(loss, *point)
    except ab.testing.GradientCheckError as error:
        print(error)

    squared_error.defvjp(forward, backward)
    print()
    print(ab.testing.check_gradients(loss, *point))


if __name__ == "__main__":
    main()
