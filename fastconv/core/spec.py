"""Shape and dtype of an array that need not exist."""

from math import prod
from typing import NamedTuple

import numpy as np


class Spec(NamedTuple):
    """What infer returns for each output; a meta tensor holds one instead of an array.

    alias = i says: this output is a view of input i, made by Op.view; nothing is allocated for it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    alias: int | None = None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize
