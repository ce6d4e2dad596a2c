"""Networks: modules, layers, their functions and initial values."""

from autograd_bn.nn import functional, init
from autograd_bn.nn.instance_norm import InstanceNorm1d, InstanceNorm2d
from autograd_bn.nn.layer_norm import GroupNorm, LayerNorm, RMSNorm
from autograd_bn.nn.layers import Linear, ReLU, Sequential, Sigmoid, Tanh
from autograd_bn.nn.module import Module
from autograd_bn.nn.normalization import BatchNorm1d, no_stat_update, recalibrate
from autograd_bn.nn.stateless import functional_call

__all__ = [
    "BatchNorm1d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LayerNorm",
    "Linear",
    "Module",
    "RMSNorm",
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
