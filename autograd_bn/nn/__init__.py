"""Networks: modules, layers, their functions and initial values."""

from autograd_bn.nn import functional, init
from autograd_bn.nn.layers import Linear, ReLU, Sequential, Sigmoid, Tanh
from autograd_bn.nn.module import Module
from autograd_bn.nn.normalization import BatchNorm1d, no_stat_update, recalibrate
from autograd_bn.nn.stateless import functional_call

__all__ = [
    "BatchNorm1d",
    "Linear",
    "Module",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "functional",
    "functional_call",
    "init",
    "no_stat_update",
    "recalibrate",
]
