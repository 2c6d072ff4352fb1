"""Kernel cases of element-wise ops, resize, losses and optimizer steps."""

import numpy as np

from tests.native.kernel_case import ACTS, case

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
