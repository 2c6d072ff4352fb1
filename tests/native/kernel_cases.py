"""Calls of the kernel table, each on one set of inputs, for any backend, dtype and batch size.

A case takes (K, draw, n): the backend, a source of inputs, the batch size; it returns the arrays
that the kernel wrote. Inputs depend on the case's name alone, and their values are float32 numbers
in every dtype, so that float64 results are the truth for float32.
"""

import zlib
from typing import NamedTuple

import numpy as np

from fastconv.backend.activation import ACTIVATIONS, Activation
from fastconv.backend.problem import Pool2dProblem

__all__ = ["ACTS", "CASES", "Case", "Draw"]

CONSTANTS = {"leaky_relu": (0.25,), "elu": (1.5,), "scaled_tanh": (1.7159, 0.6667)}
ACTS = {name: Activation(name, *CONSTANTS.get(name, ())) for name in ACTIVATIONS}


class Draw:
    """Inputs of one call. integers: whole numbers of -3 .. 3, else normal values times `spread`."""

    def __init__(self, name, dtype, integers):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.dtype, self.integers = np.dtype(dtype), integers

    def array(self, *shape, spread=1.0):
        if self.integers:
            return np.asarray(self.rng.integers(-3, 4, shape), self.dtype)
        values = np.asarray(spread * self.rng.standard_normal(shape), np.float32)
        return values.astype(self.dtype)

    def positive(self, *shape):
        """0.5, 1 or 2 for integers, else 0.5 .. 2."""
        if self.integers:
            return 2.0 ** self.rng.integers(-1, 2, shape).astype(self.dtype)
        return self.rng.uniform(0.5, 2, shape).astype(np.float32).astype(self.dtype)

    def labels(self, rows, classes):
        return self.rng.integers(0, classes, rows)

    def out(self, *shape, dtype=None):
        """An output, filled so that a value that no kernel wrote is seen."""
        return np.full(shape, 77, dtype or self.dtype)


class Case(NamedTuple):
    """error: |y - y64| <= error * eps * max|y64| on random inputs, worked out from the formula's
    roundings and the length of its sums. exact: integer inputs give the reference's bits."""

    name: str
    call: object
    error: float
    exact: bool
    functions: tuple[str, ...]

    def run(self, K, dtype, integers=False, n=3):
        with np.errstate(all="ignore"):
            return self.call(K, Draw(self.name, dtype, integers), n)


CASES: dict[str, Case] = {}


def case(name, functions, error, exact=False):
    def register(call):
        assert name not in CASES, name
        CASES[name] = Case(name, call, error, exact, tuple(functions.split()))
        return call

    return register


# ---- pooling: name, (h, w, c), (r, s), stride, pad, dilation, ceil

POOLS = {
    "3x3s2": ((17, 13, 37), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), False),
    "2x2s2": ((16, 14, 64), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False),
    "3x2": ((11, 7, 5), (3, 2), (2, 3), (1, 0, 0, 1), (1, 1), True),
    "dilated": ((19, 13, 7), (3, 3), (1, 2), (2, 1, 0, 2), (2, 3), False),
    "17x17": ((31, 29, 3), (17, 17), (5, 7), (8, 8, 8, 8), (1, 1), True),
    "one": ((5, 3, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), False),
}


def pool_problem(n, key):
    (h, w, c), (r, s), stride, pad, dilation, ceil = POOLS[key]

    def outputs(size, window, step, before, after, spacing):
        room = size + before + after - (window - 1) * spacing - 1
        count = -(-room // step) + 1 if ceil else room // step + 1
        # a last window must start inside the input or the padding before it
        return count - 1 if ceil and (count - 1) * step >= size + before else count

    p = outputs(h, r, stride[0], pad[0], pad[1], dilation[0])
    q = outputs(w, s, stride[1], pad[2], pad[3], dilation[1])
    return Pool2dProblem(n, h, w, c, r, s, p, q, stride, pad, dilation)


def max_pool(key):
    def call(K, draw, n):
        g = pool_problem(n, key)
        x, gy = draw.array(n, g.h, g.w, g.c), draw.array(n, g.p, g.q, g.c)
        y, plain, gx = draw.out(*gy.shape), draw.out(*gy.shape), draw.out(*x.shape)
        index = np.uint8 if g.r * g.s <= 256 else np.int32
        argmax = draw.out(*gy.shape, dtype=index)
        K.max_pool2d_fwd(x, y, argmax, g)
        K.max_pool2d_fwd(x, plain, None, g)
        K.max_pool2d_bwd(gy, argmax, gx, g)
        return y, plain, argmax, gx

    return call


def avg_pool(key, count_include_pad):
    def call(K, draw, n):
        g = pool_problem(n, key)
        x, gy = draw.array(n, g.h, g.w, g.c), draw.array(n, g.p, g.q, g.c)
        y, gx = draw.out(*gy.shape), draw.out(*x.shape)
        K.avg_pool2d_fwd(x, y, g, count_include_pad)
        K.avg_pool2d_bwd(gy, gx, g, count_include_pad)
        return y, gx

    return call


def adaptive_avg(h, w, c, p, q):
    def call(K, draw, n):
        x, gy = draw.array(n, h, w, c), draw.array(n, p, q, c)
        y, gx = draw.out(*gy.shape), draw.out(*x.shape)
        K.adaptive_avg_pool2d_fwd(x, y)
        K.adaptive_avg_pool2d_bwd(gy, gx)
        return y, gx

    return call


def adaptive_max(h, w, c, p, q):
    def call(K, draw, n):
        x, gy = draw.array(n, h, w, c), draw.array(n, p, q, c)
        y, plain, gx = draw.out(*gy.shape), draw.out(*gy.shape), draw.out(*x.shape)
        argmax = draw.out(*gy.shape, dtype=np.int32)
        K.adaptive_max_pool2d_fwd(x, y, argmax)
        K.adaptive_max_pool2d_fwd(x, plain, None)
        K.adaptive_max_pool2d_bwd(gy, argmax, gx)
        return y, plain, argmax, gx

    return call


for key in POOLS:
    case(f"max_pool-{key}", "max_pool2d_fwd max_pool2d_bwd", 4, exact=True)(max_pool(key))
    for included in (False, True):
        # up to 289 taps one after another: a random walk of roundings
        functions = "avg_pool2d_fwd avg_pool2d_bwd"
        exact = key in ("2x2s2", "one")
        case(f"avg_pool-{key}-{included}", functions, 10, exact)(avg_pool(key, included))
for shape in ((7, 7, 2048, 1, 1), (13, 11, 19, 6, 6), (3, 5, 7, 4, 9), (64, 32, 300, 1, 1)):
    functions = "adaptive_avg_pool2d_fwd adaptive_avg_pool2d_bwd"
    case(f"adaptive_avg-{shape}", functions, 8, shape[0] == 64)(adaptive_avg(*shape))
    functions = "adaptive_max_pool2d_fwd adaptive_max_pool2d_bwd"
    case(f"adaptive_max-{shape}", functions, 4, exact=True)(adaptive_max(*shape))


# ---- norms

ROWS = {
    "wide": (5, 3, 1031),
    "narrow": (31, 29, 5),
    "even": (28, 28, 64),
    "long": (107, 103, 3),  # more rows than 128 chunks of 256
    "one": (1, 1, 1),
}


@case("batch_norm_prepare", "batch_norm_prepare", 4, exact=True)
def batch_norm_prepare(K, draw, n):
    c, count = 37, 11 * n
    sums = np.stack([10 * draw.array(c), 500 * draw.positive(c)]).astype(np.float64)
    mean, rstd, running_mean = draw.out(c), draw.out(c), draw.array(c)
    running_var = draw.positive(c)
    K.batch_norm_prepare(sums, count, mean, rstd, running_mean, running_var, 0.25, 1e-5)
    K.batch_norm_prepare(sums, count, *(draw.out(c), draw.out(c)), None, None, 0.25, 1e-5)
    return mean, rstd, running_mean, running_var


def batch_norm_inputs(draw, n, key):
    shape = (n, *ROWS[key])
    c = shape[-1]
    x, residual, gy = (draw.array(*shape) for _ in range(3))
    mean, rstd, gamma, beta = draw.array(c), draw.positive(c), draw.positive(c), draw.array(c)
    return x, residual, gy, mean, rstd, gamma, beta


def batch_norm_apply(key, act, full):
    def call(K, draw, n):
        x, residual, _, mean, rstd, gamma, beta = batch_norm_inputs(draw, n, key)
        if not full:
            residual = gamma = beta = None
        y = draw.out(*x.shape)
        K.batch_norm_apply(x, mean, rstd, gamma, beta, residual, y, act)
        return (y,)

    return call


def batch_norm_bwd(key, act, full, training):
    def call(K, draw, n):
        x, residual, gy, mean, rstd, gamma, beta = batch_norm_inputs(draw, n, key)
        if not full:
            residual = gamma = beta = None
        y, gx = draw.out(*x.shape), draw.out(*x.shape)
        K.batch_norm_apply(x, mean, rstd, gamma, beta, residual, y, act)
        ggamma, gbeta = (draw.out(x.shape[-1]) for _ in range(2)) if full else (None, None)
        gresidual = draw.out(*x.shape) if full else None
        xs = x if full or training or act.saves == "x" else None
        K.batch_norm_bwd(
            *(gy, xs, y, residual, gamma, beta, mean, rstd, act, training),
            *(gx, ggamma, gbeta, gresidual),
        )
        return [a for a in (gx, ggamma, gbeta, gresidual) if a is not None]

    return call


for key in ROWS:
    for act in ("identity", "relu", "silu"):
        for full in (False, True):
            name = f"{key}-{act}-{full}"
            whole = act != "silu"
            case(f"batch_norm_apply-{name}", "batch_norm_apply", 6, exact=whole)(
                batch_norm_apply(key, ACTS[act], full)
            )
            for training in (False, True):
                # float32: blocks of 32 steps, then float64; in float64 one long sum of 33,000
                # roundings on both sides, whose value is a random walk as long as theirs
                error = 60 if key != "long" else 200
                exact = whole and not training
                case(f"batch_norm_bwd-{name}-{training}", "batch_norm_bwd", error, exact)(
                    batch_norm_bwd(key, ACTS[act], full, training)
                )


def layer_norm(c, affine):
    def call(K, draw, n):
        rows = 23 * n
        x, gy = draw.array(rows, c), draw.array(rows, c)
        gamma, beta = (draw.positive(c), draw.array(c)) if affine else (None, None)
        y, gx = draw.out(rows, c), draw.out(rows, c)
        mean, rstd = draw.out(rows), draw.out(rows)
        ggamma, gbeta = (draw.out(c), draw.out(c)) if affine else (None, None)
        K.layer_norm_fwd(x, gamma, beta, y, mean, rstd, 1e-5)
        K.layer_norm_bwd(gy, x, gamma, mean, rstd, gx, ggamma, gbeta)
        return [a for a in (y, mean, rstd, gx, ggamma, gbeta) if a is not None]

    return call


for c in (2, 31, 768):
    for affine in (False, True):
        functions = "layer_norm_fwd layer_norm_bwd"
        # two channels: rstd reaches 1/sqrt(eps), which multiplies the error of x - mean
        error = 4000 if c == 2 else 10
        case(f"layer_norm-{c}-{affine}", functions, error)(layer_norm(c, affine))


def lrn(c, size, beta):
    def call(K, draw, n):
        x, gy = draw.array(n, 13, 7, c, spread=8.0), draw.array(n, 13, 7, c)
        y, plain, scale, gx = (draw.out(*x.shape) for _ in range(4))
        K.lrn_fwd(x, y, scale, size, 1e-2, beta, 2.0)
        K.lrn_fwd(x, plain, None, size, 1e-2, beta, 2.0)
        K.lrn_bwd(gy, x, scale, gx, size, 1e-2, beta)
        return y, plain, scale, gx

    return call


for c, size, beta in ((96, 5, 0.75), (3, 5, 0.75), (37, 4, 0.6), (17, 40, 1.0)):
    case(f"lrn-{c}-{size}-{beta}", "lrn_fwd lrn_bwd", 8)(lrn(c, size, beta))


# ---- element-wise

SELECTS = ("identity", "relu", "relu6", "leaky_relu")  # no rounding for whole numbers


def activation(act):
    def call(K, draw, n):
        x, gy = draw.array(n, 53, 17, 13, spread=4.0), draw.array(n, 53, 17, 13)
        y, gx, again = draw.out(*x.shape), draw.out(*x.shape), x.copy()
        K.activation_fwd(x, y, act)
        K.activation_fwd(again, again, act)
        K.activation_bwd(gy, y if act.saves == "y" else x, gx, act)
        return y, again, gx

    return call


def add(act):
    def call(K, draw, n):
        a, b = draw.array(n, 59, 53, 11), draw.array(n, 59, 53, 11)
        y = draw.out(*a.shape)
        K.add(a, b, y, act)
        K.add(a, b, b, act)
        return y, b

    return call


for act in ACTS.values():
    functions = "activation_fwd activation_bwd"
    case(f"activation-{act.name}", functions, 8, act.name in SELECTS)(activation(act))
    case(f"add-{act.name}", "add", 6, act.name in SELECTS)(add(act))


def dropout(p, seed, offset, group, shape):
    def call(K, draw, n):
        x = draw.array(n, *shape)
        y = draw.out(*x.shape)
        K.dropout(x, y, p, seed, offset, group)
        return (y,)

    return call


for p, seed, offset, group, shape in (
    (0.5, 1, 0, 1, (53, 17, 13)),
    (0.3, 2**63 + 12345, 2**40 + 7, 1, (7, 5, 3)),
    (0.7, 3, 1, 53 * 17 * 13, (53, 17, 13)),
    (0.25, 9, 2, 3, (51, 19, 13)),
    (0.0, 4, 0, 1, (5, 5, 5)),
    (1.0, 4, 0, 1, (5, 5, 5)),
):
    name = f"dropout-{p}-{seed}-{offset}-{group}"
    case(name, "dropout", 4, exact=True)(dropout(p, seed, offset, group, shape))


def channel_shuffle(c, groups):
    def call(K, draw, n):
        x = draw.array(n, 29, 31, c)
        y = draw.out(*x.shape)
        K.channel_shuffle(x, y, groups)
        return (y,)

    return call


for c, groups in ((24, 3), (35, 5), (7, 7), (5, 1)):
    case(f"channel_shuffle-{c}-{groups}", "channel_shuffle", 0, True)(channel_shuffle(c, groups))


def scale_channels(h, w, c):
    def call(K, draw, n):
        x, gy, s = draw.array(n, h, w, c), draw.array(n, h, w, c), draw.array(n, 1, 1, c)
        y, gx, gs = draw.out(*x.shape), draw.out(*x.shape), draw.out(*s.shape)
        only_x, only_s = draw.out(*x.shape), draw.out(*s.shape)
        K.scale_channels_fwd(x, s, y)
        K.scale_channels_bwd(gy, x, s, gx, gs)
        K.scale_channels_bwd(gy, x, s, only_x, None)
        K.scale_channels_bwd(gy, x, s, None, only_s)
        return y, gx, gs, only_x, only_s

    return call


for shape in ((14, 14, 144), (37, 41, 5), (1, 1, 300)):
    functions = "scale_channels_fwd scale_channels_bwd"
    case(f"scale_channels-{shape}", functions, 12, exact=True)(scale_channels(*shape))


# ---- resize


def resize(h, w, p, q, c, mode, align_corners):
    def call(K, draw, n):
        x, gy = draw.array(n, h, w, c), draw.array(n, p, q, c)
        y, gx = draw.out(*gy.shape), draw.out(*x.shape)
        K.resize_fwd(x, y, mode, align_corners)
        K.resize_bwd(gy, gx, mode, align_corners)
        return y, gx

    return call


for h, w, p, q, c in ((7, 5, 14, 10, 37), (13, 11, 5, 17, 7), (3, 1, 8, 6, 5), (9, 8, 1, 1, 3)):
    for mode, corners in (("nearest", False), ("bilinear", False), ("bilinear", True)):
        name = f"resize-{h}x{w}-{p}x{q}-{mode}-{corners}"
        exact = mode == "nearest" or (p == 2 * h and not corners)
        # float64: the reference rounds source coordinates of up to 13
        case(name, "resize_fwd resize_bwd", 20, exact)(resize(h, w, p, q, c, mode, corners))


# ---- softmax and losses


def softmax(classes, log):
    def call(K, draw, n):
        x, gy = draw.array(29 * n, classes, spread=4.0), draw.array(29 * n, classes)
        y, gx = draw.out(*x.shape), draw.out(*x.shape)
        K.softmax_fwd(x, y, log)
        K.softmax_bwd(gy, y, gx, log)
        return y, gx

    return call


for classes in (1, 10, 1000):
    for log in (False, True):
        case(f"softmax-{classes}-{log}", "softmax_fwd softmax_bwd", 24)(softmax(classes, log))


def upstream(draw, shape, reduction):
    return draw.array(*(shape if reduction == "none" else ()))


def cross_entropy(classes, smoothing, reduction):
    def call(K, draw, n):
        logits, labels = draw.array(29 * n, classes, spread=4.0), draw.labels(29 * n, classes)
        gloss = upstream(draw, labels.shape, reduction)
        loss, lse, glogits = draw.out(*gloss.shape), draw.out(29 * n), draw.out(*logits.shape)
        K.cross_entropy_fwd(logits, labels, loss, lse, smoothing, reduction)
        K.cross_entropy_bwd(gloss, logits, labels, lse, glogits, smoothing, reduction)
        return loss, lse, glogits

    return call


def pair(name):
    def with_reduction(reduction):
        def call(K, draw, n):
            x, t = draw.array(n, 57, 67, 3), draw.array(n, 57, 67, 3)
            gloss = upstream(draw, x.shape, reduction)
            loss, gx = draw.out(*gloss.shape), draw.out(*x.shape)
            getattr(K, f"{name}_fwd")(x, t, loss, reduction)
            getattr(K, f"{name}_bwd")(gloss, x, t, gx, reduction)
            return loss, gx

        return call

    return with_reduction


for reduction in ("none", "sum", "mean"):
    for classes in (2, 10, 1000):
        for smoothing in (0.0, 0.1):
            name = f"cross_entropy-{classes}-{smoothing}-{reduction}"
            case(name, "cross_entropy_fwd cross_entropy_bwd", 40)(
                cross_entropy(classes, smoothing, reduction)
            )
    for name, exact in (("bce_with_logits", False), ("mse", reduction != "mean")):
        functions = f"{name}_fwd {name}_bwd"
        case(f"{name}-{reduction}", functions, 6, exact)(pair(name)(reduction))


# ---- optimizer steps: exact on any inputs, three steps


def parameters(draw, n):
    shapes = [(64, 3, 3, 37), (17,), (1,), (n, 1031, 17)]
    return [draw.array(*s) for s in shapes], [draw.array(*s) for s in shapes], shapes


def sgd(momentum, dampening, weight_decay, nesterov):
    def call(K, draw, n):
        params, grads, shapes = parameters(draw, n)
        momenta = [draw.out(*s) for s in shapes] if momentum else None
        for step in range(3):
            K.sgd_step(
                *(params, grads, momenta, 0.1, momentum, dampening, weight_decay, nesterov),
                step == 0,
            )
        return [*params, *(momenta or ())]

    return call


for setting in ((0, 0, 0, False), (0, 0, 1e-2, False), (0.9, 0, 1e-2, True), (0.9, 0.1, 0, False)):
    case(f"sgd-{setting}", "sgd_step", 4, exact=True)(sgd(*setting))


def adam(weight_decay, decoupled):
    def call(K, draw, n):
        params, grads, _ = parameters(draw, n)
        m, v = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
        for step in range(1, 4):
            K.adam_step(
                *(params, grads, m, v, 1e-2, 0.9, 0.999, 1e-8, weight_decay, decoupled, step)
            )
        return [*params, *m, *v]

    return call


for setting in ((0, False), (1e-2, False), (1e-2, True)):
    case(f"adam-{setting}", "adam_step", 5, exact=True)(adam(*setting))
