"""All kernels that benchmarks/kernels.py measures; their files register them."""

import fastconv.bench.kernel_cases_elementwise
import fastconv.bench.kernel_cases_norm
import fastconv.bench.kernel_cases_spatial
import fastconv.bench.kernel_cases_training  # noqa: F401
from fastconv.bench.kernel_case import KERNELS

__all__ = ["KERNELS"]
