"""Data sets and what feeds them to a network."""

from typing import TYPE_CHECKING

from autograd_bn.core.namespaces import absent, public
from autograd_bn.data.dataset import Dataset, split
from autograd_bn.data.handwritten import digits
from autograd_bn.data.idx import mnist, read_idx
from autograd_bn.data.loader import Loader, batches

__dir__ = public(__name__)
if not TYPE_CHECKING:  # to a type checker it would be every name
    __getattr__ = absent(__name__)

__all__ = ["Dataset", "Loader", "batches", "digits", "mnist", "read_idx", "split"]
