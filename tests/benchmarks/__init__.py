"""Timings beside the peers, on one thread: of the BLAS, as is set here before NumPy is loaded, and of what else listens to these variables."""

import os

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
