"""Optimisers, clipping of gradients, and schedules of learning rates."""

import sys
from typing import TYPE_CHECKING, Any

from autograd_bn.core.elsewhere import missing
from autograd_bn.optim.adam import Adam, AdamW
from autograd_bn.optim.clipping import clip_grad_norm, clip_grad_value
from autograd_bn.optim.optimizer import Optimizer, ParamGroup
from autograd_bn.optim.rmsprop import RMSprop
from autograd_bn.optim.schedules import CosineAnnealingLR, LinearLR, Schedule, SequentialLR, StepLR
from autograd_bn.optim.sgd import SGD

if not TYPE_CHECKING:  # to a type checker it would be every name

    def __getattr__(name: str) -> Any:
        raise missing("optim", f"module {__name__!r}", name, sys.modules[__name__])


__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
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
