"""Training: the loop, its callbacks, and checkpoint files."""

from autograd_bn.core.namespaces import curated
from autograd_bn.train.callbacks import BestModel, Callback, EarlyStopping, Every
from autograd_bn.train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from autograd_bn.train.history import History
from autograd_bn.train.loop import Run, accuracy, correct, fit, predict

curated(__name__)
__all__ = [
    "BestModel",
    "Callback",
    "CheckpointError",
    "EarlyStopping",
    "Every",
    "History",
    "Run",
    "accuracy",
    "correct",
    "fit",
    "load_checkpoint",
    "predict",
    "save_checkpoint",
]
