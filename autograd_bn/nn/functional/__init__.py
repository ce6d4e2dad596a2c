"""Functions of networks, each a composition of primitives: no rule is written here."""

from autograd_bn.nn.functional.linear import linear
from autograd_bn.nn.functional.loss import cross_entropy, mse_loss
from autograd_bn.nn.functional.normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from autograd_bn.ops.exponential import relu, sigmoid, softplus, tanh
from autograd_bn.ops.statistics import log_softmax, softmax

__all__ = [
    "batch_norm",
    "cross_entropy",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "linear",
    "log_softmax",
    "mse_loss",
    "relu",
    "rms_norm",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]
