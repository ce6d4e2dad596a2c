"""Data sets and what feeds them to a network."""

import sys
from typing import TYPE_CHECKING, Any

from autograd_bn.core.elsewhere import missing
from autograd_bn.data.handwritten import Dataset, digits, split
from autograd_bn.data.idx import mnist, read_idx
from autograd_bn.data.loader import Loader, batches

if not TYPE_CHECKING:  # to a type checker it would be every name

    def __getattr__(name: str) -> Any:
        raise missing("data", f"module {__name__!r}", name, sys.modules[__name__])


__all__ = ["Dataset", "Loader", "batches", "digits", "mnist", "read_idx", "split"]
