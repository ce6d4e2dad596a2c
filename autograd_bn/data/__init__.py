"""Data sets and what feeds them to a network."""

from autograd_bn.core.namespaces import curated
from autograd_bn.data.dataset import Dataset, split
from autograd_bn.data.handwritten import digits
from autograd_bn.data.idx import mnist, read_idx
from autograd_bn.data.loader import Loader, batches

curated(__name__)

__all__ = ["Dataset", "Loader", "batches", "digits", "mnist", "read_idx", "split"]
