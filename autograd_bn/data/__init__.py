"""Data sets and what feeds them to a network."""

from autograd_bn.data.handwritten import Dataset, digits, split
from autograd_bn.data.loader import batches

__all__ = ["Dataset", "batches", "digits", "split"]
