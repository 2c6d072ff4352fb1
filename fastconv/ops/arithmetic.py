"""Element-wise arithmetic of two tensors, or a tensor and a number, with NumPy's broadcasting.

    z            dz/dx            dz/dy
    x + y        1                1
    x - y        1                -1
    x * y        y                x
    x / y        1/y              -z/y
    x ** y       y*x^(y-1)        z*ln x
    maximum      [x>y] + [x=y]/2  [x<y] + [x=y]/2      (minimum the other way round)

A gradient is summed over the axes along which its operand was repeated.
"""

from math import prod
from typing import ClassVar

import numpy as np

from fastconv.backend import IDENTITY, array_module
from fastconv.core import Op, Spec, function, is_float
from fastconv.ops.arguments import float_dtype
from fastconv.ops.broadcast import broadcast_shape, number_dtype, operands, sum_to_shape


class Binary(Op):
    """z = ufunc(x, y)."""

    name: ClassVar[str] = ""
    ufunc: ClassVar[str] = ""

    def infer(self, x, y):
        dtype = number_dtype(self.name, x, y)
        self.x_shape, self.y_shape = x.shape, y.shape
        self.z = z = Spec(broadcast_shape(self.name, x, y), dtype)
        return (z,), ()

    def workspace(self, K, direction):
        # the full-size product of a gradient that is then summed to its operand's shape
        shapes = (self.x_shape, self.y_shape) if direction == "backward" else ()
        summed = [n and prod(s) != self.z.size for n, s in zip(self.needs, shapes)]
        return self.z.nbytes if any(summed) else 0

    def saves(self, inputs, outputs, needs):
        return inputs

    def forward(self, K, out, aux, x, y):
        getattr(array_module(out[0]), self.ufunc)(x, y, out=out[0])

    def partial(self, xp, gz, wanted, product):
        """product = gz * dz/dx (wanted 0) or gz * dz/dy (wanted 1), of z's shape."""
        raise NotImplementedError

    def _gradient(self, K, gz, wanted, shape):
        product = K.empty(gz.shape, gz.dtype)
        self.partial(array_module(gz), gz, wanted, product)
        return sum_to_shape(K, product, shape)

    def backward(self, K, gz):
        shapes = (self.x_shape, self.y_shape)
        return [
            self._gradient(K, gz, i, s) if self.needs[i] else None for i, s in enumerate(shapes)
        ]


class Add(Binary):
    name, ufunc = "add", "add"

    def infer(self, x, y):
        specs = super().infer(x, y)
        if x.shape == y.shape:
            self.passes = (0, 1)
        else:
            self.passes = tuple([i for i, a in enumerate((x, y)) if a.size == self.z.size])
        return specs

    def workspace(self, K, direction):
        return 0

    def saves(self, inputs, outputs, needs):
        return ()

    def forward(self, K, out, aux, x, y):
        if x.shape == y.shape and is_float(x.dtype):
            K.add(x, y, out[0], IDENTITY)
        else:
            array_module(out[0]).add(x, y, out=out[0])

    def backward(self, K, gz):
        shapes = (self.x_shape, self.y_shape)
        return [sum_to_shape(K, gz, s) if n else None for n, s in zip(self.needs, shapes)]


class Sub(Binary):
    name, ufunc = "sub", "subtract"

    def infer(self, x, y):
        specs = super().infer(x, y)
        self.passes = (0,) if x.size == self.z.size else ()
        return specs

    def workspace(self, K, direction):
        return 0

    def saves(self, inputs, outputs, needs):
        return ()

    def backward(self, K, gz):
        gx = sum_to_shape(K, gz, self.x_shape) if self.needs[0] else None
        gy = None
        if self.needs[1]:
            gy = total = sum_to_shape(K, gz, self.y_shape)
            if total.size == gz.size:  # gz itself, which is not ours to write to
                gy = K.empty(total.shape, total.dtype)
            array_module(gz).negative(total, out=gy)
        return gx, gy


class Mul(Binary):
    name, ufunc = "mul", "multiply"

    def saves(self, inputs, outputs, needs):
        x, y = inputs
        return (x if needs[1] else None, y if needs[0] else None)

    def partial(self, xp, gz, wanted, product):
        xp.multiply(gz, self.saved[1 - wanted], out=product)


class Div(Binary):
    name, ufunc = "div", "divide"

    def infer(self, x, y):
        float_dtype("div", x=x, y=y)
        return super().infer(x, y)

    def saves(self, inputs, outputs, needs):
        return inputs[1], outputs[0] if needs[1] else None

    def partial(self, xp, gz, wanted, product):
        y, z = self.saved
        if wanted == 0:
            xp.divide(gz, y, out=product)
        else:
            xp.multiply(gz, z, out=product)
            xp.divide(product, y, out=product)
            xp.negative(product, out=product)


class Pow(Binary):
    name, ufunc = "pow", "power"

    def infer(self, x, y):
        float_dtype("pow", x=x, y=y)
        return super().infer(x, y)

    def saves(self, inputs, outputs, needs):
        return (*inputs, outputs[0] if needs[1] else None)

    def partial(self, xp, gz, wanted, product):
        x, y, z = self.saved
        with np.errstate(divide="ignore", invalid="ignore"):
            if wanted == 0:
                xp.power(x, y - 1, out=product)
                xp.multiply(product, y, out=product)
                flat = y == 0  # x^0 is constant, at x = 0 too
            else:
                product[...] = xp.log(x)
                xp.multiply(product, z, out=product)
                flat = (x == 0) & (y >= 0)
        xp.copyto(product, 0, where=flat)
        xp.multiply(product, gz, out=product)


class Maximum(Binary):
    name, ufunc = "maximum", "maximum"

    def partial(self, xp, gz, wanted, product):
        mine, other = self.saved[wanted], self.saved[1 - wanted]
        wins = mine > other if self.ufunc == "maximum" else mine < other
        # a tie gives half to each
        xp.multiply(gz, wins + (mine == other) * gz.dtype.type(0.5), out=product)


class Minimum(Maximum):
    name, ufunc = "minimum", "minimum"


@function
def add(x, y):
    """x + y, shapes broadcast, one dtype; a number takes the tensor's. ShapeError, DTypeError."""
    return Add()(*operands("add", x, y))


@function
def sub(x, y):
    """x - y, shapes broadcast, one dtype. ShapeError, DTypeError."""
    return Sub()(*operands("sub", x, y))


@function
def mul(x, y):
    """x * y, shapes broadcast, one dtype. ShapeError, DTypeError."""
    return Mul()(*operands("mul", x, y))


@function
def div(x, y):
    """x / y of floating-point tensors, shapes broadcast. ShapeError, DTypeError."""
    return Div()(*operands("div", x, y))


@function
def pow(x, y):
    """x ** y of floating-point tensors, shapes broadcast; y = 2 is x * x for every dtype."""
    x, y_tensor = operands("pow", x, y)
    if isinstance(y, int | float) and y == 2:
        return Mul()(x, x)
    return Pow()(x, y_tensor)


@function
def maximum(x, y):
    """The larger per element, shapes broadcast; NaN wins; equal ones halve the gradient."""
    return Maximum()(*operands("maximum", x, y))


@function
def minimum(x, y):
    """The smaller per element, shapes broadcast; NaN wins; equal ones halve the gradient."""
    return Minimum()(*operands("minimum", x, y))
