"""Optimisers."""

from autograd_bn.optim.optimizer import Optimizer
from autograd_bn.optim.sgd import SGD

__all__ = ["SGD", "Optimizer"]
