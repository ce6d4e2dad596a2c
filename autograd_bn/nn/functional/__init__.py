"""Functions of networks, each a composition of primitives: no rule is written here."""

from autograd_bn.core.namespaces import curated
from autograd_bn.nn.functional.activation import elu, gelu, leaky_relu, silu
from autograd_bn.nn.functional.attention import scaled_dot_product_attention
from autograd_bn.nn.functional.convolution import conv1d, conv2d
from autograd_bn.nn.functional.dropout import dropout
from autograd_bn.nn.functional.embedding import embedding
from autograd_bn.nn.functional.linear import linear
from autograd_bn.nn.functional.loss import binary_cross_entropy_with_logits, cross_entropy, huber_loss, l1_loss, mse_loss, nll_loss, smooth_l1_loss
from autograd_bn.nn.functional.normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from autograd_bn.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from autograd_bn.ops.circular import tanh
from autograd_bn.ops.exponential import relu, sigmoid, softplus
from autograd_bn.ops.statistics import log_softmax, softmax

curated(__name__)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "group_norm",
    "huber_loss",
    "instance_norm",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]
