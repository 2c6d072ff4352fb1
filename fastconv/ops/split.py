"""One tensor cut along an axis into several: the inverse of concat. Copies, each contiguous."""

from operator import index

from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError
from fastconv.ops.axes import one_axis


class Split(Op):
    autocast = "keep"

    bounds: tuple[int, ...]  # 0, the cuts, the size of the axis
    axis: int

    def infer(self, x):
        self.x = Spec(x.shape, x.dtype)
        before, after = x.shape[: self.axis], x.shape[self.axis + 1 :]
        sizes = [stop - start for start, stop in zip(self.bounds, self.bounds[1:])]
        return tuple([Spec((*before, n, *after), x.dtype) for n in sizes]), ()

    def _pieces(self, x):
        lead = (slice(None),) * self.axis
        return [x[(*lead, slice(a, b))] for a, b in zip(self.bounds, self.bounds[1:])]

    def forward(self, K, out, aux, x):
        for y, piece in zip(out, self._pieces(x)):
            y[...] = piece

    def backward(self, K, *gys):
        gx = K.empty(self.x.shape, self.x.dtype)
        for piece, gy in zip(self._pieces(gx), gys):
            piece[...] = 0 if gy is None else gy
        return (gx,)


def _cuts(indices_or_sections, size, axis):
    try:
        sections = index(indices_or_sections)
    except TypeError:
        cuts = tuple(indices_or_sections)
        if list(cuts) != sorted(cuts) or any(not 0 <= index(c) <= size for c in cuts):
            raise ArgumentError(
                f"split: the indices must rise from 0 to the size {size} of axis {axis}, got {cuts}"
            ) from None
        return cuts
    if sections < 1 or size % sections:
        raise ArgumentError(f"split: {sections} sections do not divide the {size} of axis {axis}")
    return tuple(range(size // sections, size, size // sections)) if size else (0,) * (sections - 1)


@function
def split(x, indices_or_sections, axis=0):
    """Tuple of pieces along axis, as NumPy's: n equal ones, or cut before each index of a list."""
    at = one_axis("split", axis, x.shape)
    bounds = (0, *_cuts(indices_or_sections, x.shape[at], axis), x.shape[at])
    pieces = Split(bounds, at)(x)
    return pieces if isinstance(pieces, tuple) else (pieces,)
