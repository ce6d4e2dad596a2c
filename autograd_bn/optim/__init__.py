"""Optimisers, clipping of gradients, and schedules of learning rates."""

from autograd_bn.core.namespaces import curated
from autograd_bn.optim.adam import Adam, AdamW
from autograd_bn.optim.clipping import clip_grad_norm, clip_grad_value
from autograd_bn.optim.optimizer import Optimizer, ParamGroup
from autograd_bn.optim.rmsprop import RMSprop
from autograd_bn.optim.schedules import CosineAnnealingLR, LambdaLR, LinearLR, Schedule, SequentialLR, StepLR
from autograd_bn.optim.sgd import SGD

curated(__name__)

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "LambdaLR",
    "LinearLR",
    "Optimizer",
    "ParamGroup",
    "RMSprop",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm",
    "clip_grad_value",
]
