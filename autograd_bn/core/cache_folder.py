"""Where downloads and compiled code are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """The folder that AUTOGRAD_BN_CACHE names, else the user's cache folder, as the system has it."""
    if given := os.environ.get("AUTOGRAD_BN_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "autograd_bn"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/autograd_bn"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autograd_bn"
