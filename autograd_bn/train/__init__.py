"""Training: the loop, its callbacks, and checkpoint files."""

from autograd_bn.train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from autograd_bn.train.loop import History, accuracy, fit

__all__ = ["CheckpointError", "History", "accuracy", "fit", "load_checkpoint", "save_checkpoint"]
