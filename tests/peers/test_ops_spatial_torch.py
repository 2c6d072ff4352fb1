"""The spatial ops against PyTorch in float64: outputs and every gradient.

Ours in NHWC, theirs in NCHW. Both compute in float64 in different orders, so they agree to a few
units of the last place of the largest value: 1e-12 of it.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as T

import fastconv as fc
from fastconv import functional as F
from tests.places import IN_FLOAT64

pytestmark = pytest.mark.peers


@pytest.fixture(params=IN_FLOAT64, autouse=True)
def backend(request):
    with fc.use_backend(request.param):
        yield request.param


def nchw(a):
    """Images and weights as PyTorch has them; other ranks as they are."""
    return np.ascontiguousarray(a.transpose(0, 3, 1, 2)) if a.ndim == 4 else a


def same(ours, theirs, what):
    ours, theirs = nchw(np.asarray(ours)), theirs.detach().numpy()
    assert ours.shape == theirs.shape, what
    bound = 1e-12 * np.abs(theirs).max(initial=1.0)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=bound, err_msg=what)


def compare(ours, theirs, *shapes):
    """ours(*inputs) and theirs(*inputs) with inputs of these shapes, forward and backward."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in shapes]
    xs = [fc.tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(nchw(a), requires_grad=True) for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    same(y, t, "output")
    gy = rng.standard_normal(y.shape)
    y.backward(gy)
    t.backward(torch.tensor(nchw(gy)))
    for i, (x, u) in enumerate(zip(xs, ts)):
        same(x.grad, u.grad, f"gradient of input {i}")


CONVOLUTIONS = [
    {},
    {"padding": 1, "stride": 2},
    {"padding": (1, 2), "stride": (2, 1), "dilation": (1, 2)},
    {"padding": 1, "groups": 2},
    {"padding": 2, "dilation": 2, "groups": 4},
]


@pytest.mark.parametrize("kwargs", CONVOLUTIONS, ids=str)
def test_conv2d(kwargs):
    cg = 4 // kwargs.get("groups", 1)
    shapes = (2, 9, 8, 4), (8, 3, 3, cg), (8,)
    compare(lambda *a: F.conv2d(*a, **kwargs), lambda *a: T.conv2d(*a, **kwargs), *shapes)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_conv2d_named_padding(padding):
    shapes = (2, 9, 8, 4), (8, 4, 3, 4), (8,)  # an even window: torch puts the odd row below too
    compare(
        lambda *a: F.conv2d(*a, padding=padding),
        lambda *a: T.conv2d(*a, padding=padding),
        *shapes,
    )


@pytest.mark.parametrize("kwargs", CONVOLUTIONS, ids=str)
def test_gradients_as_functions(kwargs):
    rng = np.random.default_rng(0)
    cg = 4 // kwargs.get("groups", 1)
    x, w = rng.standard_normal((2, 9, 8, 4)), rng.standard_normal((8, 3, 3, cg))
    y = F.conv2d(x, w, **kwargs)
    gy = rng.standard_normal(y.shape)
    tx, tw, tg = (torch.tensor(nchw(a)) for a in (x, w, gy))
    gx = torch.nn.grad.conv2d_input(tx.shape, tw, tg, **kwargs)
    gw = torch.nn.grad.conv2d_weight(tx, tw.shape, tg, **kwargs)
    same(F.conv2d_input_grad(gy, w, x.shape, **kwargs), gx, "input")
    same(F.conv2d_weight_grad(x, gy, w.shape, **kwargs), gw, "weight")
    # the same in PyTorch's layout, shapes included
    theirs = F.conv2d_input_grad(nchw(gy), nchw(w), tuple(tx.shape), layout="NCHW", **kwargs)
    np.testing.assert_allclose(theirs, gx.numpy(), rtol=0, atol=1e-12)
    theirs = F.conv2d_weight_grad(nchw(x), nchw(gy), tuple(tw.shape), layout="NCHW", **kwargs)
    np.testing.assert_allclose(theirs, gw.numpy(), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"stride": (3, 2), "padding": (1, 0), "output_padding": (2, 0), "groups": 2},
        {"stride": 2, "dilation": 2, "padding": 2, "output_padding": 1, "groups": 4},
    ],
    ids=str,
)
def test_conv_transpose2d(kwargs):
    shapes = (2, 5, 4, 8), (8, 3, 3, 6), (6 * kwargs.get("groups", 1),)
    compare(
        lambda *a: F.conv_transpose2d(*a, **kwargs),
        lambda *a: T.conv_transpose2d(*a, **kwargs),
        *shapes,
    )


@pytest.mark.parametrize(
    "kwargs", [{}, {"stride": 2, "padding": 1, "groups": 2}, {"padding": "same", "dilation": 2}]
)
def test_conv1d(kwargs):
    cg = 4 // kwargs.get("groups", 1)
    compare(
        lambda x, w, b: F.conv1d(x, w, b, **kwargs),
        lambda x, w, b: T.conv1d(x.transpose(1, 2), w.transpose(1, 2), b, **kwargs).transpose(1, 2),
        *((2, 11, 4), (6, 3, cg), (6,)),
    )


@pytest.mark.parametrize("lead", [(5,), (2, 3), ()])
def test_linear(lead):
    compare(F.linear, T.linear, (*lead, 7), (4, 7), (4,))


@pytest.mark.parametrize(
    "a, b",
    [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 5)),
        ((2, 1, 3, 4), (6, 4, 5)),
        ((3, 4), (2, 4, 5)),
        ((1, 3, 4), (2, 4, 5)),
        ((2, 3, 4), (1, 4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((4,), (4,)),
        ((2, 3, 4), (4,)),
        ((4,), (2, 4, 5)),
    ],
)
def test_matmul(a, b):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in (a, b)]
    xs = [fc.tensor(v, requires_grad=True) for v in arrays]
    ts = [torch.tensor(v, requires_grad=True) for v in arrays]
    y, t = xs[0] @ xs[1], ts[0] @ ts[1]
    gy = rng.standard_normal(t.shape)
    y.backward(gy)
    t.backward(torch.tensor(gy))
    for ours, theirs in ((y, t), (xs[0].grad, ts[0].grad), (xs[1].grad, ts[1].grad)):
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    "kwargs",
    [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0)},
    ],
    ids=str,
)
def test_pooling(kwargs, ceil_mode):
    kwargs = dict(kwargs, ceil_mode=ceil_mode)
    shape = (2, 10, 11, 3)
    compare(lambda x: F.max_pool2d(x, **kwargs), lambda x: T.max_pool2d(x, **kwargs), shape)
    for include in (False, True):
        kwargs["count_include_pad"] = include
        compare(lambda x: F.avg_pool2d(x, **kwargs), lambda x: T.avg_pool2d(x, **kwargs), shape)


def test_max_pool2d_dilation():
    kwargs = {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2}
    compare(lambda x: F.max_pool2d(x, **kwargs), lambda x: T.max_pool2d(x, **kwargs), (2, 9, 9, 3))


@pytest.mark.parametrize("size", [1, (1, 1), (3, 2), 7, (10, 13)])
def test_adaptive_pooling(size):
    shape = (2, 10, 11, 3)
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        ours, theirs = getattr(F, name), getattr(T, name)
        compare(lambda x, f=ours: f(x, size), lambda x, f=theirs: f(x, size), shape)


def test_global_avg_pool2d():
    compare(F.global_avg_pool2d, lambda x: x.mean((2, 3)), (2, 5, 7, 3))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (7, 6)])
def test_batch_norm(training, shape):
    rng = np.random.default_rng(1)
    mean, var = rng.standard_normal(6), rng.uniform(0.5, 2, 6)
    ours = fc.tensor(mean), fc.tensor(var)
    theirs = torch.tensor(mean), torch.tensor(var)
    compare(
        lambda x, g, b: F.batch_norm(x, g, b, *ours, training, 0.3, 1e-3),
        lambda x, g, b: T.batch_norm(x, *theirs, g, b, training, 0.3, 1e-3),
        *(shape, (6,), (6,)),
    )
    for a, b in zip(ours, theirs):
        same(a, b, "running statistics")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("act", [None, "relu", "silu"])
def test_conv_bn_act(training, act):
    rng = np.random.default_rng(1)
    mean, var = rng.standard_normal(6), rng.uniform(0.5, 2, 6)
    ours = fc.tensor(mean), fc.tensor(var)
    theirs = torch.tensor(mean), torch.tensor(var)
    activation = (lambda y: y) if act is None else getattr(T, act)

    def fused(x, w, b, g, beta, r):
        return F.conv_bn_act(x, w, b, g, beta, *ours, r, act, training, padding=1, stride=2)

    def unfused(x, w, b, g, beta, r):
        z = T.conv2d(x, w, b, padding=1, stride=2)
        return activation(T.batch_norm(z, *theirs, g, beta, training) + r)

    compare(fused, unfused, (3, 6, 7, 4), (6, 3, 3, 4), (6,), (6,), (6,), (3, 3, 4, 6))
    for a, b in zip(ours, theirs):
        same(a, b, "running statistics")


@pytest.mark.parametrize("shape", [(6,), (5, 6)])
def test_layer_norm(shape):
    compare(
        lambda x, g, b: F.layer_norm(x, g, b, 1e-3),
        lambda x, g, b: T.layer_norm(x, shape, g, b, 1e-3),
        *((4, 5, 6), shape, shape),
    )


@pytest.mark.parametrize("size", [1, 4, 5, 20])
def test_local_response_norm(size):
    compare(
        lambda x: F.local_response_norm(x, size, 0.3, 0.6, 1.5),
        lambda x: T.local_response_norm(x, size, 0.3, 0.6, 1.5),
        (2, 3, 4, 7),
    )
    # torch divides alpha by the size, the paper does not
    compare(
        lambda x: F.paper_local_response_norm(x, size, 0.3, 0.6, 1.5),
        lambda x: T.local_response_norm(x, size, 0.3 * size, 0.6, 1.5),
        (2, 3, 4, 7),
    )


@pytest.mark.parametrize("size", [2, (3, 2)])
def test_trainable_subsampling(size):
    def theirs(x, a, b):
        window = (size, size) if isinstance(size, int) else size
        total = T.avg_pool2d(x, window) * (window[0] * window[1])
        return total * a[:, None, None] + b[:, None, None]

    compare(lambda *a: F.trainable_subsampling(*a, size), theirs, (2, 7, 8, 3), (3,), (3,))


def test_partial_conv2d():
    table = ((0, 2), (3, 1), (1,), (0, 1, 2, 3))

    def theirs(x, w, b):
        maps, at = [], 0
        for k, row in enumerate(table):
            part = w[at : at + len(row)][None]
            maps.append(T.conv2d(x[:, list(row)], part, b[k : k + 1], stride=2, padding=1))
            at += len(row)
        return torch.cat(maps, 1)

    compare(
        lambda x, w, b: F.partial_conv2d(x, w, b, table, stride=2, padding=1),
        theirs,
        *((2, 7, 6, 4), (9, 3, 3), (4,)),
    )


def test_rbf():
    compare(F.rbf, lambda x, w: ((x[:, None] - w[None]) ** 2).sum(2), (5, 7), (3, 7))


@pytest.mark.parametrize("s", [(2, 1, 1, 3), (2, 3)])
def test_scale_channels(s):
    def theirs(x, s):
        return x * s.reshape(2, 3, 1, 1)

    compare(F.scale_channels, theirs, (2, 5, 4, 3), s)


@pytest.mark.parametrize("size", [(10, 14), (3, 4), (8, 5), (1, 1)])
@pytest.mark.parametrize(
    "mode, align", [("nearest", None), ("bilinear", False), ("bilinear", True)]
)
def test_resize(size, mode, align):
    compare(
        lambda x: F.resize(x, size, mode=mode, align_corners=bool(align)),
        lambda x: T.interpolate(x, size, mode=mode, align_corners=align),
        (2, 5, 7, 3),
    )


@pytest.mark.parametrize("scale", [2, 0.5, 1.7])
def test_resize_by_a_factor(scale):
    compare(
        lambda x: F.resize(x, scale_factor=scale, mode="bilinear"),
        lambda x: T.interpolate(
            x, scale_factor=scale, mode="bilinear", recompute_scale_factor=True
        ),
        (2, 5, 7, 3),
    )
