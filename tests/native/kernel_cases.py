"""All kernel cases: importing the files of a family registers its cases."""

import tests.native.kernel_cases_elementwise
import tests.native.kernel_cases_layers  # noqa: F401
from tests.native.kernel_case import CASES

__all__ = ["CASES"]
