"""Output layer of LeNet-5: Euclidean radial basis functions. LeCun et al. 1998, equation (7).

    y[n,i] = sum_j (x[n,j] - w[i,j])^2

x (N, J), w (I, J), y (N, I): the squared distance to each class's code. Computed from the
differences, which x^2 - 2xw + w^2 would lose where x is near a code.
"""

from fastconv.backend import array_module
from fastconv.core import Op, Spec, function
from fastconv.errors import ShapeError
from fastconv.ops.arguments import full_precision


class RBF(Op):
    autocast = "float32"

    def infer(self, x, w):
        self.dtype = full_precision("rbf", x=x, w=w)
        if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1]:
            raise ShapeError(
                f"rbf: x must be (N, J) and w (I, J) with the same J, got {x.shape} and {w.shape}"
            )
        self.n, self.features = x.shape
        self.classes = w.shape[0]
        return (Spec((self.n, self.classes), self.dtype),), ()

    def saves(self, inputs, outputs, needs):
        return inputs

    def workspace(self, K, direction):
        return self.n * self.features * self.dtype.itemsize

    def forward(self, K, out, aux, x, w):
        xp, (y,) = array_module(x), out
        d = K.empty(x.shape, x.dtype)
        for i in range(self.classes):
            xp.subtract(x, w[i], out=d)
            xp.multiply(d, d, out=d)
            y[:, i] = xp.sum(d, axis=1)

    def backward(self, K, gy):
        x, w = self.saved
        xp = array_module(x)
        d = K.empty(x.shape, x.dtype)
        gx = gw = None
        if self.needs[0]:
            gx = K.empty(x.shape, x.dtype)
            gx[...] = 0
        if self.needs[1]:
            gw = K.empty(w.shape, w.dtype)
        for i in range(self.classes):
            xp.subtract(x, w[i], out=d)
            xp.multiply(d, 2 * gy[:, i : i + 1], out=d)
            if gx is not None:
                xp.add(gx, d, out=gx)
            if gw is not None:
                xp.negative(xp.sum(d, axis=0), out=gw[i])
        return gx, gw


@function
def rbf(x, w):
    """Squared distances of x (N, J) to the rows of w (I, J): (N, I). Raises ShapeError,
    DTypeError."""
    return RBF()(x, w)
