"""Two-dimensional convolution (cross-correlation, as the field calls it).

    y[n,p,q,k] = b[k] + sum_{r,s,c} x[n, p*stride+r*dilation-pad, q*stride+s*dilation-pad, c] *
    w[k,r,s,c]

x (N, H, W, C), w (K, R, S, C/groups), y (N, P, Q, K). Group g of K/groups filters reads group g of
channels. LeCun et al. 1989; groups: Krizhevsky et al. 2012.
"""

from fastconv.backend import Conv2dProblem, Epilogue
from fastconv.core import Op, Spec, function, packed_copy, state
from fastconv.errors import AlgorithmError, ArgumentError, ShapeError
from fastconv.ops.arguments import (
    check_image,
    float_dtype,
    four_sides,
    nchw_hint,
    pair,
    positive_int,
    same_sides,
    window_outputs,
)


class Conv2d(Op):
    bilinear = (0, 1)
    autocast = "low"
    packs = 1
    remembers = True

    stride: tuple[int, int] = (1, 1)
    padding: str | tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def infer(self, x, w, b=None):
        self.dtype = float_dtype("conv2d", x=x, w=w, b=b)
        self.problem = conv2d_problem(
            "conv2d", x, w, self.stride, self.padding, self.dilation, self.groups
        )
        if b is not None and b.shape != (self.problem.k,):
            raise ShapeError(
                f"conv2d: b must have shape ({self.problem.k},) for w {w.shape}, got {b.shape}"
            )
        return (Spec(self.problem.y_shape, self.dtype),), ()

    def macs(self, x, w, b, y):
        return self.problem.macs

    def saves(self, inputs, outputs, needs):
        x, w = inputs[:2]
        return (x if needs[1] else None, w if needs[0] else None)

    def kernel(self, K):
        return chosen_algorithm(K, self.problem, "fwd", self.dtype, self.parameter is not None)

    def packed(self, K):
        return packed_weights(K, self.problem, self.kernel(K), self.dtype, self.parameter)

    def workspace(self, K, direction):
        wanted = ("fwd",) if direction == "forward" else self._gradients()
        packed = self.parameter is not None
        sizes = [workspace_bytes(K, self.problem, d, self.dtype, packed) for d in wanted]
        return max(sizes, default=0)

    def _gradients(self):
        return [d for d, need in zip(("dgrad", "wgrad"), self.needs, strict=False) if need]

    def later_results(self, K):
        return later_gradients(K, self.problem, self.dtype, *self.needs[:2])

    def forward(self, K, out, aux, x, w, b=None):
        conv2d_forward(K, x, w, out[0], self.problem, Epilogue(shift=b), self.parameter)

    def backward(self, K, gy):
        x, w = self.saved
        gx = gw = gb = None
        if self.needs[0]:
            gx = input_gradient(K, gy, w, self.problem)
        if self.needs[1]:
            gw = weight_gradient(K, x, gy, self.problem)
        if len(self.needs) > 2 and self.needs[2]:
            gb = K.empty((self.problem.k,), gy.dtype)
            K.channel_sum(gy, gb)
        return (gx, gw, gb)[: len(self.needs)]


def conv2d_problem(name, x, w, stride, padding, dilation, groups) -> Conv2dProblem:
    """The frozen problem of x and w (or their Specs); ShapeError, ArgumentError with numbers."""
    n, h, wd, c = check_image(name, x)
    if w.ndim != 4:
        raise ShapeError(f"{name}: w must have 4 axes (K, R, S, C/groups), got shape {w.shape}")
    k, r, s, cg = w.shape
    if c % groups or k % groups:
        raise ArgumentError(
            f"{name}: groups={groups} must divide the {c} channels of x and the {k} filters of w"
            + nchw_hint(x, cg * groups)
        )
    if c != cg * groups:
        raise ShapeError(
            f"{name}: x has {c} channels, w {w.shape} with groups={groups} needs {cg * groups}"
            + nchw_hint(x, cg * groups)
        )
    if padding == "same":
        padding = same_sides((h, wd), (r, s), stride, dilation)
    p, q = window_outputs(name, (h, wd), (r, s), stride, padding, dilation)
    return Conv2dProblem(n, h, wd, c, k, r, s, p, q, stride, padding, dilation, groups)


def chosen_algorithm(K, problem, direction, dtype, packed=False) -> str:
    """The forced algorithm if there is one and it fits, else the backend's choice.

    packed: w is a parameter whose packed copy is kept."""
    if state.algorithm is None:
        return K.conv2d_choose(problem, direction, dtype, state.precision, packed)
    fits = K.conv2d_algorithms(problem, direction, dtype)
    if state.algorithm not in fits:
        raise AlgorithmError(
            f"conv2d: algorithm {state.algorithm!r} does not fit {problem} ({direction}, {dtype})"
            f" on backend {K.NAME!r}; these do: {', '.join(fits)}"
        )
    return state.algorithm


def workspace_bytes(K, problem, direction, dtype, packed=False) -> int:
    """Scratch of one pass with the algorithm that would be chosen now."""
    algorithm = chosen_algorithm(K, problem, direction, dtype, packed)
    return K.conv2d_workspace(problem, direction, algorithm, dtype, packed)


def later_gradients(K, problem, dtype, by_x, by_w) -> int:
    """Op.later_results of the two gradients: the one by x is computed first, and where that takes
    more scratch, the one by w is not there meanwhile."""
    if not by_x or not by_w:
        return 0
    first, second = (workspace_bytes(K, problem, d, dtype) for d in ("dgrad", "wgrad"))
    return min(max(0, first - second), Spec(problem.w_shape, dtype).nbytes)


def _scratch(K, problem, direction, algorithm, dtype, packed=False):
    nbytes = K.conv2d_workspace(problem, direction, algorithm, dtype, packed)
    return K.empty((nbytes,), "uint8") if nbytes else None


def conv2d_forward(K, x, w, y, problem, epilogue, parameter=None):
    """Run the chosen forward algorithm. parameter: the tensor of w if its packed copy is kept."""
    algorithm = chosen_algorithm(K, problem, "fwd", x.dtype, parameter is not None)
    packed = None
    if parameter is not None:
        packed = packed_weights(K, problem, algorithm, x.dtype, parameter)
    scratch = _scratch(K, problem, "fwd", algorithm, x.dtype, packed is not None)
    K.conv2d_fwd(x, w, y, problem, algorithm, scratch, epilogue, packed=packed)


def packed_weights(K, problem, algorithm, dtype, parameter):
    """The weights as the forward algorithm reads them, kept with the parameter; or None."""
    elements = K.conv2d_packed_elements(problem, algorithm, dtype)
    if not elements:
        return None
    key = ("conv2d", problem.groups, elements)
    w = parameter._data
    return packed_copy(
        K, parameter, key, elements, lambda values: K.conv2d_pack(w, problem, algorithm, values)
    )


def run_input_gradient(K, gy, w, gx, problem):
    """Run the chosen algorithm of the gradient by x."""
    algorithm = chosen_algorithm(K, problem, "dgrad", gy.dtype)
    scratch = _scratch(K, problem, "dgrad", algorithm, gy.dtype)
    K.conv2d_dgrad(gy, w, gx, problem, algorithm, scratch)


def input_gradient(K, gy, w, problem):
    """A new array gx."""
    gx = K.empty(problem.x_shape, gy.dtype)
    run_input_gradient(K, gy, w, gx, problem)
    return gx


def run_weight_gradient(K, x, gy, gw, problem):
    """Run the chosen algorithm of the gradient by w."""
    algorithm = chosen_algorithm(K, problem, "wgrad", gy.dtype)
    scratch = _scratch(K, problem, "wgrad", algorithm, gy.dtype)
    K.conv2d_wgrad(x, gy, gw, problem, algorithm, scratch)


def weight_gradient(K, x, gy, problem):
    """A new array gw."""
    gw = K.empty(problem.w_shape, gy.dtype)
    run_weight_gradient(K, x, gy, gw, problem)
    return gw


@function(images=("x", "w"), out=True)
def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolve x (N, H, W, C) with w (K, R, S, C/groups), add b (K,); gives (N, P, Q, K).

    padding: int, (h, w), (top, bottom, left, right), "valid", or "same" (output ceil(size/stride),
    the odd pixel at bottom and right, as TensorFlow). Arrays may be given in layout="NCHW" (w then
    OIHW). Raises ShapeError, DTypeError, ArgumentError.
    """
    return Conv2d(
        pair(stride, "conv2d: stride"),
        four_sides(padding, "conv2d: padding"),
        pair(dilation, "conv2d: dilation"),
        positive_int(groups, "conv2d: groups"),
    )(x, w, b)
