"""Where the largest elements are: argmax and topk.

argmax   y = the first index at which x is largest (no gradient)
topk     values v[j] = x[i[j]], largest first, equal ones in the order of their indices;
         gx[i[j]] = gv[j], 0 elsewhere
"""

from fastconv.backend import array_module
from fastconv.core import Op, Spec, as_dtype, function
from fastconv.errors import ArgumentError, ShapeError
from fastconv.ops.axes import one_axis, reduced_shape


class Argmax(Op):
    axis: int | None = None
    keepdims: bool = False

    def infer(self, x):
        self.needs = (False,)
        self.axes = range(x.ndim)
        if self.axis is not None:
            self.axes = (one_axis("argmax", self.axis, x.shape),)
        if 0 in [x.shape[i] for i in self.axes]:
            raise ShapeError(f"argmax: no elements along axis {self.axis} of shape {x.shape}")
        shape = reduced_shape(x.shape, self.axes, self.keepdims)
        return (Spec(shape, as_dtype("int64")),), ()

    def forward(self, K, out, aux, x):
        axis = None if self.axis is None else self.axes[0]
        y = out[0].reshape(reduced_shape(x.shape, self.axes, False))
        y[...] = array_module(x).argmax(x, axis=axis)


class TopK(Op):
    k: int
    axis: int = -1

    def infer(self, x):
        self.at = one_axis("topk", self.axis, x.shape)
        n = x.shape[self.at]
        if not isinstance(self.k, int) or not 1 <= self.k <= n:
            raise ArgumentError(
                f"topk: k must be from 1 to the {n} elements along axis {self.axis}, got {self.k!r}"
            )
        self.x_shape = x.shape
        shape = (*x.shape[: self.at], self.k, *x.shape[self.at + 1 :])
        return (Spec(shape, x.dtype), Spec(shape, as_dtype("int64"))), ()

    def saves(self, inputs, outputs, needs):
        return (outputs[1],)

    def forward(self, K, out, aux, x):
        xp = array_module(x)
        # a stable sort of the mirrored axis, read backwards: descending, ties in order of index
        order = xp.argsort(xp.flip(x, self.at), axis=self.at, kind="stable")
        indices = x.shape[self.at] - 1 - xp.flip(order, self.at)
        first = (slice(None),) * self.at + (slice(0, self.k),)
        out[1][...] = indices[first]
        out[0][...] = xp.take_along_axis(x, out[1], self.at)

    def backward(self, K, gv, _):
        gx = K.empty(self.x_shape, gv.dtype)
        gx[...] = 0
        grid = list(array_module(gx).ogrid[tuple(slice(n) for n in gv.shape)])
        grid[self.at] = self.saved[0]
        gx[tuple(grid)] = gv
        return (gx,)


@function
def argmax(x, axis=None, keepdims=False):
    """int64 index of the first largest element along axis (None: of the flattened x)."""
    return Argmax(axis, keepdims)(x)


@function
def topk(x, k, axis=-1):
    """(values, int64 indices) of the k largest along axis, largest first, ties by index."""
    values, indices = TopK(k, axis)(x)
    return values, indices.detach()
