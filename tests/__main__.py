"""Every check of the project, one after the other: python -m tests"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = {
    "style": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "layers": ["importlinter.cli"],
    "docs": ["sphinx", "-W", "--keep-going", "-q", "docs"],
    "tests": ["pytest", "-n", "auto", "--dist", "worksteal"],
}


def main() -> int:
    """Run all checks, even after one has failed; gives 1 if any did."""
    failed = []
    for name, (module, *arguments) in CHECKS.items():
        print(f"\n== {name}: {' '.join([module, *arguments])}", flush=True)
        command = [sys.executable, "-m", module, *arguments]
        if module == "importlinter.cli":
            command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()"]
        if name == "docs" and importlib.util.find_spec(module) is None:
            print('-- docs: skipped, Sphinx is not installed: pip install ".[docs]"', flush=True)
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            site = [folder] if name == "docs" else []
            if subprocess.run([*command, *site], cwd=ROOT, check=False).returncode:
                failed.append(name)
        print(f"-- {name}: {'FAILED' if name in failed else 'passed'} in {time.monotonic() - start:.0f} s", flush=True)
    print(f"\n{'failed: ' + ', '.join(failed) if failed else 'all checks passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
