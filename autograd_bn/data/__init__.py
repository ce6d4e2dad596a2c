"""Data sets and what feeds them to a network."""

from autograd_bn.data.handwritten import Dataset, digits, split
from autograd_bn.data.idx import mnist, read_idx
from autograd_bn.data.loader import Loader, batches

__all__ = ["Dataset", "Loader", "batches", "digits", "mnist", "read_idx", "split"]
