"""Training loops."""

from autograd_bn.train.loop import History, accuracy, fit

__all__ = ["History", "accuracy", "fit"]
