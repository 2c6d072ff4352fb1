"""The two gradients of a convolution, as functions that have gradients themselves.

    gx[n,h,w,c] = sum of gy[n,p,q,k] * w[k,r,s,c] over the (p,q,r,s,k) that read x[n,h,w,c]
    gw[k,r,s,c] = sum_{n,p,q} gy[n,p,q,k] * x[n, p*stride+r*dilation-pad, ..., c]

x, gx (N, H, W, C); w, gw (K, R, S, C/groups); gy (N, P, Q, K).
"""

from typing import ClassVar

from fastconv.backend import NO_EPILOGUE, array_module
from fastconv.core import Op, Spec, function
from fastconv.errors import ShapeError
from fastconv.ops.arguments import check_image, float_dtype, four_sides, pair, positive_int
from fastconv.ops.conv2d import (
    chosen_algorithm,
    conv2d_forward,
    conv2d_problem,
    input_gradient,
    run_input_gradient,
    run_weight_gradient,
    weight_gradient,
    workspace_bytes,
)


class Conv2dInputGrad(Op):
    bilinear = (0, 1)
    autocast = "low"
    name: ClassVar[str] = "conv2d_input_grad"
    first: ClassVar[str] = "gy"  # what the caller knows gy as

    x_shape: tuple[int, int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: str | tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def infer(self, gy, w, b=None):
        self.dtype = float_dtype(self.name, **{self.first: gy}, w=w, b=b)
        x = Spec(self.x_shape, self.dtype)
        self.problem = conv2d_problem(
            self.name, x, w, self.stride, self.padding, self.dilation, self.groups
        )
        check_gy(self.name, self.first, gy, self.problem)
        return (x,), ()

    def macs(self, gy, w, *_):
        return self.problem.macs

    def saves(self, inputs, outputs, needs):
        gy, w = inputs[:2]
        return (gy if needs[1] else None, w if needs[0] else None)

    def kernel(self, K):
        return chosen_algorithm(K, self.problem, "dgrad", self.dtype)

    def workspace(self, K, direction):
        if direction == "forward":
            wanted = ["dgrad"]
        else:
            wanted = [d for d, need in zip(("fwd", "wgrad"), self.needs, strict=False) if need]
        return max((workspace_bytes(K, self.problem, d, self.dtype) for d in wanted), default=0)

    def forward(self, K, out, aux, gy, w, b=None):
        run_input_gradient(K, gy, w, out[0], self.problem)
        if b is not None:
            array_module(b).add(out[0], b, out=out[0])

    def backward(self, K, ggx):
        gy, w = self.saved
        ggy = gw = gb = None
        if self.needs[0]:
            ggy = K.empty(self.problem.y_shape, ggx.dtype)
            conv2d_forward(K, ggx, w, ggy, self.problem, NO_EPILOGUE)
        if self.needs[1]:
            gw = weight_gradient(K, ggx, gy, self.problem)
        if len(self.needs) > 2 and self.needs[2]:
            gb = K.empty((self.problem.c,), ggx.dtype)
            K.channel_sum(ggx, gb)
        return (ggy, gw, gb)[: len(self.needs)]


class Conv2dWeightGrad(Op):
    bilinear = (0, 1)
    autocast = "low"

    w_shape: tuple[int, int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: str | tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def infer(self, x, gy):
        name = "conv2d_weight_grad"
        self.dtype = float_dtype(name, x=x, gy=gy)
        w = Spec(self.w_shape, self.dtype)
        self.problem = conv2d_problem(
            name, x, w, self.stride, self.padding, self.dilation, self.groups
        )
        check_gy(name, "gy", gy, self.problem)
        return (w,), ()

    def macs(self, x, gy, gw):
        return self.problem.macs

    def saves(self, inputs, outputs, needs):
        x, gy = inputs
        return (x if needs[1] else None, gy if needs[0] else None)

    def kernel(self, K):
        return chosen_algorithm(K, self.problem, "wgrad", self.dtype)

    def workspace(self, K, direction):
        if direction == "forward":
            wanted = ["wgrad"]
        else:
            wanted = [d for d, need in zip(("dgrad", "fwd"), self.needs, strict=True) if need]
        return max((workspace_bytes(K, self.problem, d, self.dtype) for d in wanted), default=0)

    def forward(self, K, out, aux, x, gy):
        run_weight_gradient(K, x, gy, out[0], self.problem)

    def backward(self, K, ggw):
        x, gy = self.saved
        gx = ggy = None
        if self.needs[0]:
            gx = input_gradient(K, gy, ggw, self.problem)
        if self.needs[1]:
            ggy = K.empty(self.problem.y_shape, ggw.dtype)
            conv2d_forward(K, x, ggw, ggy, self.problem, NO_EPILOGUE)
        return gx, ggy


def check_gy(name, argument, gy, problem):
    """ShapeError unless gy has the shape of the convolution's output."""
    check_image(name, gy, argument, channels=problem.k)
    if gy.shape != problem.y_shape:
        raise ShapeError(
            f"{name}: {argument} must have the shape {problem.y_shape} of the output for x"
            f" {problem.x_shape} and w {problem.w_shape}, got {gy.shape}"
        )


def _shape(value, name, axes):
    if not isinstance(value, tuple | list) or len(value) != 4:
        raise ShapeError(f"{name} must be 4 ints {axes}, got {value!r}")
    if not all(isinstance(v, int) and v >= 0 for v in value):
        raise ShapeError(f"{name} must be 4 ints {axes}, none negative, got {tuple(value)}")
    return tuple(value)


@function(images=("gy", "w", "x_shape"), out=True)
def conv2d_input_grad(gy, w, x_shape, stride=1, padding=0, dilation=1, groups=1):
    """Gradient of conv2d by its input: gy (N, P, Q, K), w (K, R, S, C/groups) -> x_shape (N, H, W,
    C).

    stride, padding, dilation, groups as the convolution had them. layout="NCHW" takes x_shape as
    (N, C, H, W) too. Raises ShapeError, DTypeError, ArgumentError.
    """
    name = "conv2d_input_grad"
    return Conv2dInputGrad(
        _shape(x_shape, f"{name}: x_shape", "(N, H, W, C)"),
        pair(stride, f"{name}: stride"),
        four_sides(padding, f"{name}: padding"),
        pair(dilation, f"{name}: dilation"),
        positive_int(groups, f"{name}: groups"),
    )(gy, w)


@function(images=("x", "gy", "w_shape"), out=True)
def conv2d_weight_grad(x, gy, w_shape, stride=1, padding=0, dilation=1, groups=1):
    """Gradient of conv2d by its weights: x (N, H, W, C), gy (N, P, Q, K) -> w_shape (K, R, S,
    C/groups).

    stride, padding, dilation, groups as the convolution had them. layout="NCHW" takes w_shape as
    (K, C/groups, R, S) too. Raises ShapeError, DTypeError, ArgumentError.
    """
    name = "conv2d_weight_grad"
    return Conv2dWeightGrad(
        _shape(w_shape, f"{name}: w_shape", "(K, R, S, C/groups)"),
        pair(stride, f"{name}: stride"),
        four_sides(padding, f"{name}: padding"),
        pair(dilation, f"{name}: dilation"),
        positive_int(groups, f"{name}: groups"),
    )(x, gy)
