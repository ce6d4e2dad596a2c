"""``python -m autograd_bn``."""

from autograd_bn.cli import main

raise SystemExit(main())
