"""Networks: modules, layers, their functions and initial values."""

from autograd_bn.core.namespaces import curated
from autograd_bn.nn import functional, init
from autograd_bn.nn.activations import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from autograd_bn.nn.attention import MultiheadAttention
from autograd_bn.nn.bn_lstm import BNLSTM
from autograd_bn.nn.cells import GRUCell, LSTMCell, RNNCell
from autograd_bn.nn.containers import ModuleDict, ModuleList, Sequential
from autograd_bn.nn.convolution import Conv1d, Conv2d
from autograd_bn.nn.dropout import Dropout
from autograd_bn.nn.embedding import Embedding
from autograd_bn.nn.folding import fold_batch_norm
from autograd_bn.nn.instance_norm import InstanceNorm1d, InstanceNorm2d
from autograd_bn.nn.layer_norm import GroupNorm, LayerNorm, RMSNorm
from autograd_bn.nn.layers import Flatten, Identity, Linear
from autograd_bn.nn.losses import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, MSELoss, NLLLoss, SmoothL1Loss
from autograd_bn.nn.module import Module
from autograd_bn.nn.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d, no_stat_update, recalibrate
from autograd_bn.nn.overview import Summary, SummaryRow, summary
from autograd_bn.nn.pooling import AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from autograd_bn.nn.random import Generator
from autograd_bn.nn.recurrent import GRU, LSTM, RNN
from autograd_bn.nn.stateless import functional_call

curated(__name__)

__all__ = [
    "BNLSTM",
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv1d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "Generator",
    "GroupNorm",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Summary",
    "SummaryRow",
    "Tanh",
    "fold_batch_norm",
    "functional",
    "functional_call",
    "init",
    "no_stat_update",
    "recalibrate",
    "summary",
]
