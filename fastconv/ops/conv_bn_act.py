"""Convolution, batch normalisation, residual and activation as one op.

    z = conv2d(x, w) + b          y = act((z - mean) / sqrt(var + eps) * gamma + beta + residual)

Eval, where none of w, b, gamma, beta needs a gradient, is one kernel ("folded"):

    y = act(conv2d(x, w) * scale + shift + residual)
    scale = gamma / sqrt(var + eps)          shift = beta + (b - mean) * scale

Training: the convolution yields the sums of its channels on the way, then one pass normalises, adds
and activates.
"""

from typing import Any, NamedTuple

from fastconv.backend import IDENTITY, Activation, Epilogue, array_module
from fastconv.core import Op, Spec, function, is_float, state
from fastconv.errors import ShapeError
from fastconv.ops.arguments import (
    activation_named,
    float_dtype,
    four_sides,
    pair,
    positive_int,
)
from fastconv.ops.batch_norm import (
    check_channels,
    check_constants,
    mean_or_filler,
    statistics_dtype,
    sums_bytes,
)
from fastconv.ops.conv2d import (
    chosen_algorithm,
    conv2d_forward,
    conv2d_problem,
    input_gradient,
    later_gradients,
    packed_weights,
    weight_gradient,
    workspace_bytes,
)

NAME = "conv_bn_act"
X, W, B, GAMMA, BETA, MEAN, VAR, RESIDUAL = range(8)


class Kept(NamedTuple):
    """What backward reads, beside aux; None where it does not."""

    x: Any = None
    w: Any = None
    gamma: Any = None
    beta: Any = None
    mean: Any = None
    residual: Any = None
    y: Any = None


class ConvBnAct(Op):
    bilinear = (X, W)
    packs = W
    remembers = True
    autocast = "keep"  # x and w are cast by the function below, the parameters stay float32

    act: Activation
    training: bool
    stride: tuple[int, int]
    padding: str | tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int
    momentum: float
    eps: float

    def infer(self, x, w, b, gamma, beta, mean, var, residual):
        self.dtype = float_dtype(NAME, x=x, w=w, b=b, residual=residual)
        self.problem = p = conv2d_problem(
            NAME, x, w, self.stride, self.padding, self.dilation, self.groups
        )
        if b is not None and b.shape != (p.k,):
            raise ShapeError(f"{NAME}: b must have shape ({p.k},) for w {w.shape}, got {b.shape}")
        if residual is not None and residual.shape != p.y_shape:
            raise ShapeError(
                f"{NAME}: residual must have the shape {p.y_shape} of the output, got"
                f" {residual.shape}"
            )
        parameters = {"gamma": gamma, "beta": beta, "running_mean": mean, "running_var": var}
        output = Spec(p.y_shape, self.dtype)
        check_channels(NAME, output, p.k, parameters, self.training)

        self.mutates = (MEAN, VAR) if self.training else ()
        self.passes = (RESIDUAL,) if self.act == IDENTITY else ()
        self.folded = not self.training and not any(self.needs[i] for i in (W, B, GAMMA, BETA))
        self.alone = residual is None
        # the gradient of act is taken at its input, computed a second time
        self.again = self.act.saves == "x" or (self.act.at_x and self.alone)
        return (output,), self._aux(output, Spec((p.k,), statistics_dtype(self.dtype)))

    def _aux(self, z, statistic):
        if self.training:
            return (z, statistic, statistic)  # z, mean, rstd
        if not self.folded:
            return (z, statistic)  # z, rstd
        # where the gradient of act needs its input, the kernel stops before act and z is kept
        keep = self.act.saves == "x" and True in self.needs
        return (statistic, z) if keep else (statistic,)  # scale, input of act

    def macs(self, x, *_):
        return self.problem.macs

    def saves(self, inputs, outputs, needs):
        x, w, _, gamma, beta, mean, _, residual = inputs
        if self.folded:
            y = outputs[0] if self.act.saves == "y" and self.act != IDENTITY else None
            return Kept(w=w if needs[X] else None, y=y)
        again, through = self.again, self._through_norm()
        return Kept(
            x if needs[W] else None,
            w if needs[X] else None,
            gamma if through or again else None,
            beta if again else None,
            mean if not self.training and (needs[GAMMA] or again) else None,
            residual if again else None,
            None if again or self.act == IDENTITY else outputs[0],
        )

    def _through_norm(self):
        """Whether the gradient by z, the output of the convolution, is needed."""
        return any(self.needs[i] for i in (X, W, B))

    def kernel(self, K):
        return chosen_algorithm(K, self.problem, "fwd", self.dtype, self.parameter is not None)

    def packed(self, K):
        return packed_weights(K, self.problem, self.kernel(K), self.dtype, self.parameter)

    def workspace(self, K, direction):
        p = self.problem
        statistic = p.k * statistics_dtype(self.dtype).itemsize
        if direction == "forward":
            own = sums_bytes(p.k) if self.training else statistic if self.folded else 0
            return own + workspace_bytes(K, p, "fwd", self.dtype, self.parameter is not None)
        gradients = [
            workspace_bytes(K, p, d, self.dtype)
            for d, need in (("dgrad", self.needs[X]), ("wgrad", self.needs[W]))
            if need
        ]
        y_bytes = Spec(p.y_shape, self.dtype).nbytes
        if not self.folded:
            own = y_bytes if self._through_norm() else 0  # gz
        else:
            own = Spec(p.w_shape, self.dtype).nbytes if self.needs[X] else 0  # w * scale
            if self.act != IDENTITY and not self.needs[RESIDUAL]:
                own += y_bytes
        return own + max(gradients, default=0)

    def later_results(self, K):
        return later_gradients(K, self.problem, self.dtype, self.needs[X], self.needs[W])

    # ---- forward

    def remakes(self):
        return self.training and self.alone and self.act.at_x

    def remake(self):
        z, mean, rstd = self.aux
        y = self.K.empty(z.shape, z.dtype)
        gamma, beta = self.saved.gamma, self.saved.beta
        self.K.batch_norm_apply(z, mean, rstd, gamma, beta, None, y, self.act)
        return y

    def forward(self, K, out, aux, x, w, b, gamma, beta, mean, var, residual):
        if self.folded:
            self._forward_folded(K, out[0], aux, x, w, b, gamma, beta, mean, var, residual)
            return
        z, rstd = aux[0], aux[-1]
        if self.training:
            mean_now = aux[1]
            sums = K.empty((2, self.problem.k), "float64")
            conv2d_forward(K, x, w, z, self.problem, Epilogue(shift=b, sums=sums))
            count = self.problem.n * self.problem.p * self.problem.q
            K.batch_norm_prepare(sums, count, mean_now, rstd, mean, var, self.momentum, self.eps)
            mean = mean_now
        else:
            conv2d_forward(K, x, w, z, self.problem, Epilogue(shift=b))
            K.batch_norm_fold(mean, var, None, None, None, self.eps, rstd, None)
        K.batch_norm_apply(z, mean, rstd, gamma, beta, residual, out[0], self.act)

    def _forward_folded(self, K, y, aux, x, w, b, gamma, beta, mean, var, residual):
        scale, *input_of_act = aux
        shift = K.empty(scale.shape, scale.dtype)
        K.batch_norm_fold(mean, var, gamma, beta, b, self.eps, scale, shift)
        if input_of_act:
            epilogue = Epilogue(scale, shift, residual)
            conv2d_forward(K, x, w, *input_of_act, self.problem, epilogue, self.parameter)
            K.activation_fwd(*input_of_act, y, self.act)
        else:
            epilogue = Epilogue(scale, shift, residual, self.act)
            conv2d_forward(K, x, w, y, self.problem, epilogue, self.parameter)

    # ---- backward

    def backward(self, K, gy):
        kept = self.saved
        if self.folded:
            return self._backward_folded(K, gy, kept)
        p, needs = self.problem, self.needs
        z, rstd = self.aux[0], self.aux[-1]
        mean = self.aux[1] if self.training else mean_or_filler(kept.mean, rstd)
        gz = K.empty(p.y_shape, gy.dtype) if self._through_norm() else None
        ggamma, gbeta = (K.empty((p.k,), rstd.dtype) if needs[i] else None for i in (GAMMA, BETA))
        gresidual = gx = gw = gb = None
        if needs[RESIDUAL]:
            # through no activation it is gy itself
            gresidual = gy if self.passes else K.empty(p.y_shape, gy.dtype)
        K.batch_norm_bwd(
            *(gy, z, kept.y, kept.residual, kept.gamma, kept.beta, mean, rstd),
            *(self.act, self.training, gz, ggamma, gbeta, None if self.passes else gresidual),
        )
        if needs[X]:
            gx = input_gradient(K, gz, kept.w, p)
        if needs[W]:
            gw = weight_gradient(K, kept.x, gz, p)
        if needs[B]:
            gb = K.empty((p.k,), gz.dtype)
            K.channel_sum(gz, gb)
        return gx, gw, gb, ggamma, gbeta, None, None, gresidual

    def _backward_folded(self, K, gy, kept):
        scale, *input_of_act = self.aux
        g, gx = gy, None
        if self.act != IDENTITY:
            g = K.empty(gy.shape, gy.dtype)
            K.activation_bwd(gy, *(input_of_act or (kept.y,)), g, self.act)
        if self.needs[X]:
            # dgrad(g * scale, w) = dgrad(g, w * scale), and w is the smaller one
            scaled = K.empty(kept.w.shape, kept.w.dtype)
            per_filter = scale.reshape(-1, 1, 1, 1).astype(scaled.dtype, copy=False)
            array_module(scaled).multiply(kept.w, per_filter, out=scaled)
            gx = input_gradient(K, g, scaled, self.problem)
        return gx, None, None, None, None, None, None, g if self.needs[RESIDUAL] else None


def _in_autocast(*tensors):
    """What the gate does for ops of class "low", for the activations and w, b only."""
    target = state.autocast
    return [
        t
        if target is None or t is None or not is_float(t.dtype) or t.dtype == target
        else t.astype(target)
        for t in tensors
    ]


@function(images=("x", "w", "residual"))
def conv_bn_act(
    x,
    w,
    b,
    gamma,
    beta,
    running_mean,
    running_var,
    residual=None,
    act=None,
    training=False,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    momentum=0.1,
    eps=1e-5,
):
    """act(batch_norm(conv2d(x, w, b)) + residual): x (N, H, W, C), w (K, R, S, C/groups) -> (N, P,
    Q, K).

    b, gamma, beta (K,) and residual (N, P, Q, K) may be None. act: None, "relu", ... or a
    backend.Activation. In training running_mean and running_var (K,) are overwritten, as batch_norm
    does, and may be None. Raises ShapeError, DTypeError, ArgumentError.
    """
    x, w, b, residual = _in_autocast(x, w, b, residual)
    momentum, eps = check_constants(NAME, momentum, eps)
    return ConvBnAct(
        activation_named(act, NAME),
        bool(training),
        pair(stride, f"{NAME}: stride"),
        four_sides(padding, f"{NAME}: padding"),
        pair(dilation, f"{NAME}: dilation"),
        positive_int(groups, f"{NAME}: groups"),
        momentum,
        eps,
    )(x, w, b, gamma, beta, running_mean, running_var, residual)
