"""Kernel cases of pooling and norms."""

import numpy as np

from fastconv.backend.problem import Pool2dProblem
from tests.native.kernel_case import ACTS, case

__all__ = ["pool_problem"]

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


@case("batch_norm_fold", "batch_norm_fold", 4, exact=True)
def batch_norm_fold(K, draw, n):
    c = 37 * n
    mean, var, gamma, beta, b = (
        draw.array(c), draw.positive(c), draw.array(c), draw.array(c), draw.array(c),
    )  # fmt: skip
    scale, shift, rstd, plain = (draw.out(c) for _ in range(4))
    K.batch_norm_fold(mean, var, gamma, beta, b, 1e-5, scale, shift)
    K.batch_norm_fold(mean, var, None, None, None, 1e-5, rstd, None)
    K.batch_norm_fold(mean, var, None, beta, None, 1e-5, draw.out(c), plain)
    return scale, shift, rstd, plain


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
