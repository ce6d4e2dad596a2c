"""Functions of networks, each a composition of primitives: no rule is written here."""

from autograd_bn.nn.functional.convolution import conv1d, conv2d
from autograd_bn.nn.functional.dropout import dropout
from autograd_bn.nn.functional.linear import embedding, linear
from autograd_bn.nn.functional.loss import cross_entropy, mse_loss
from autograd_bn.nn.functional.normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from autograd_bn.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from autograd_bn.ops.exponential import relu, sigmoid, softplus, tanh
from autograd_bn.ops.statistics import log_softmax, softmax

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "mse_loss",
    "relu",
    "rms_norm",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]
