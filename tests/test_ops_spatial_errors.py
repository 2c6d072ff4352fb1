"""Misuse of the spatial ops: the class of the error, and the numbers in its text."""

import numpy as np
import pytest

from fastconv import functional as F
from fastconv.errors import ArgumentError, DTypeError, ShapeError

X = (2, 6, 6, 4)

ERRORS = [
    # function, shapes, arguments, class, text
    ("conv2d", ((1, 5, 5, 64), (128, 3, 3, 32)), {}, ShapeError,
     "x has 64 channels, w (128, 3, 3, 32) with groups=1 needs 32"),
    ("conv2d", ((1, 3, 8, 8), (4, 3, 3, 3)), {}, ShapeError, "like NCHW: use fc.from_nchw(x)"),
    ("conv2d", ((5, 5, 3), (4, 3, 3, 3)), {}, ShapeError, "add the batch axis: x[None]"),
    ("conv2d", ((1, 5, 5, 3), (4, 3, 3)), {}, ShapeError, "w must have 4 axes"),
    ("conv2d", ((1, 5, 5, 3), (4, 3, 3, 3), (5,)), {}, ShapeError, "b must have shape (4,)"),
    ("conv2d", ((1, 2, 5, 3), (4, 3, 3, 3)), {}, ShapeError, "spans 3 rows, the padded input has"),
    ("conv2d", ((1, 5, 5, 3), (4, 3, 3, 3)), {"stride": 0}, ArgumentError, "at least 1, got 0"),
    ("conv2d", ((1, 5, 5, 3), (4, 3, 3, 1)), {"groups": 2}, ArgumentError,
     "groups=2 must divide the 3 channels of x and the 4 filters of w"),
    ("conv2d", ((1, 5, 5, 3), (4, 3, 3, 3)), {"padding": "full"}, ArgumentError, "got 'full'"),
    ("conv2d_input_grad", ((1, 3, 3, 4), (4, 3, 3, 3)), {"x_shape": (1, 6, 5, 3)}, ShapeError,
     "gy must have the shape (1, 4, 3, 4) of the output for x (1, 6, 5, 3)"),
    ("conv2d_input_grad", ((1, 4, 3, 3), (4, 3, 3, 2)), {"x_shape": (1, 5, 5, 2)}, ShapeError,
     "gy has 3 channels, expected 4; looks like NCHW"),
    ("conv2d_input_grad", ((1, 3, 3, 4), (4, 3, 3, 3)), {"x_shape": (5, 5, 3)}, ShapeError,
     "x_shape must be 4 ints (N, H, W, C), got (5, 5, 3)"),
    ("conv2d_weight_grad", ((1, 5, 5, 3), (1, 3, 3, 4)), {"w_shape": (4, 3, 3, -3)}, ShapeError,
     "none negative"),
    ("conv2d_weight_grad", ((1, 5, 5, 3), (1, 2, 3, 4)), {"w_shape": (4, 3, 3, 3)}, ShapeError,
     "gy must have the shape (1, 3, 3, 4)"),
    ("conv_transpose2d", ((1, 5, 5, 3), (4, 3, 3, 3)), {}, ShapeError,
     "x has 3 channels, w (4, 3, 3, 3) needs 4"),
    ("conv_transpose2d", ((1, 4, 5, 3), (4, 3, 3, 3)), {}, ShapeError, "looks like NCHW"),
    ("conv_transpose2d", ((1, 5, 5, 4), (4, 3, 3, 3)), {"output_padding": 1}, ArgumentError,
     "output_padding (1, 1) must be smaller than the stride (1, 1)"),
    ("conv_transpose2d", ((1, 1, 1, 4), (4, 3, 3, 3)), {"padding": 2}, ShapeError,
     "the output would be -1x-1"),
    ("conv_transpose2d", ((1, 5, 5, 4), (4, 3, 3, 3)), {"padding": "same"}, ArgumentError, "same"),
    ("conv_transpose2d", ((1, 5, 5, 4), (4, 3, 3, 3), (4,)), {}, ShapeError,
     "b must have shape (3,)"),
    ("conv1d", ((1, 5, 5, 4), (4, 3, 4)), {}, ShapeError, "x must have 3 axes (N, L, C)"),
    ("conv1d", ((1, 4, 9), (6, 3, 4)), {}, ShapeError,
     "x has 9 channels, w (6, 3, 4) with groups=1 needs 4; looks like (N, C, L)"),
    ("conv1d", ((1, 9, 4), (6, 3, 4)), {"padding": (1, 2, 3)}, ArgumentError, "got (1, 2, 3)"),
    ("conv1d", ((1, 9, 4), (6, 3, 4)), {"stride": (1, 1)}, ArgumentError, "stride"),
    ("linear", ((2, 3), (4, 5)), {}, ShapeError,
     "the last axis of x (2, 3) must be the 5 columns of w (4, 5)"),
    ("linear", ((2, 2, 3), (4, 6)), {}, ShapeError, "flatten it: x.reshape(x.shape[0], -1)"),
    ("linear", ((2, 3), (4, 3), (3,)), {}, ShapeError, "b must have shape (4,)"),
    ("linear", ((2, 3), (3,)), {}, ShapeError, "w must have 2 axes (K, C), got shape (3,)"),
    ("matmul", ((2, 3), (2, 3)), {}, ShapeError, "is 3, the one of b (2, 3) that is summed"),
    ("matmul", ((2, 3, 4), (5, 4, 2)), {}, ShapeError, "(2,) of a and (5,) of b, do not broadcast"),
    ("matmul", ((), (2, 3)), {}, ShapeError, "at least 1 axis"),
    ("max_pool2d", ((2, 4, 4),), {"kernel_size": 2}, ShapeError, "x must have 4 axes"),
    ("max_pool2d", ((1, 2, 4, 1),), {"kernel_size": 3}, ShapeError, "spans 3 rows"),
    ("max_pool2d", ((1, 4, 4, 1),), {"kernel_size": 2, "padding": 2}, ArgumentError,
     "must be smaller than the window, which spans 2 rows"),
    ("max_pool2d", ((1, 4, 4, 1),), {"kernel_size": 0}, ArgumentError, "kernel_size"),
    ("avg_pool2d", ((1, 4, 4, 1),), {"kernel_size": 2, "stride": -1}, ArgumentError, "stride"),
    ("adaptive_avg_pool2d", ((1, 0, 4, 1),), {"output_size": 2}, ShapeError, "nothing to pool"),
    ("adaptive_max_pool2d", ((1, 4, 4, 1),), {"output_size": 0}, ArgumentError, "output_size"),
    ("global_avg_pool2d", ((4, 4, 1),), {}, ShapeError, "x must have 4 axes"),
    ("batch_norm", ((2, 4, 3, 3), (4,)), {"training": True}, ShapeError,
     "gamma must have shape (3,), one per channel, got (4,); looks like NCHW"),
    ("batch_norm", ((2, 3), (3,), (3,)), {}, ArgumentError,
     "running_mean must be given with training=False"),
    ("batch_norm", ((3,),), {"training": True}, ShapeError, "at least 2 axes"),
    ("batch_norm", ((2, 3),), {"training": True, "momentum": 1.5}, ArgumentError, "got 1.5"),
    ("batch_norm", ((2, 3),), {"training": True, "momentum": None}, ArgumentError, "got None"),
    ("batch_norm", ((2, 3),), {"training": True, "eps": 0}, ArgumentError, "eps"),
    ("conv_bn_act", ((1, 5, 5, 3), (4, 3, 3, 3), *[(4,)] * 5, (1, 5, 5, 4)), {}, ShapeError,
     "residual must have the shape (1, 3, 3, 4) of the output, got (1, 5, 5, 4)"),
    ("conv_bn_act", ((1, 5, 5, 3), (4, 3, 3, 3), *[(4,)] * 4, (3,)), {}, ShapeError,
     "running_var must have shape (4,)"),
    ("conv_bn_act", ((1, 5, 5, 3), (4, 3, 3, 3), (3,), *[(4,)] * 4), {}, ShapeError,
     "b must have shape (4,)"),
    ("conv_bn_act", ((1, 5, 5, 3), (4, 3, 3, 3), *[(4,)] * 5), {"act": "rleu"}, ArgumentError,
     "got 'rleu'"),
    ("conv_bn_act", ((1, 5, 5, 3), (4, 3, 3, 3), *[(4,)] * 5), {"act": "elu"}, ArgumentError,
     "act='elu' has constants: give Activation('elu', ...)"),
    ("layer_norm", ((2, 3), (2,)), {}, ShapeError, "the last axes of x (2, 3) must be (2,)"),
    ("layer_norm", ((2, 3), (3,), (2,)), {}, ShapeError, "beta must have shape (3,), got (2,)"),
    ("layer_norm", ((2, 3),), {"eps": -1}, ArgumentError, "eps"),
    ("local_response_norm", ((3,),), {"size": 3}, ShapeError, "at least 2 axes"),
    ("local_response_norm", ((2, 3),), {"size": 0}, ArgumentError, "size"),
    ("paper_local_response_norm", ((2, 3),), {"alpha": -1}, ArgumentError, "alpha"),
    ("trainable_subsampling", ((1, 4, 4, 3), (4,), (3,)), {}, ShapeError,
     "coefficient must have shape (3,) for x (1, 4, 4, 3), got (4,); looks like NCHW"),
    ("partial_conv2d", ((1, 5, 5, 3), (3, 3, 3), (2,)), {"table": ((0, 3), (1,))}, ShapeError,
     "the table reads input map 3, x (1, 5, 5, 3) has 3 maps"),
    ("partial_conv2d", ((1, 5, 5, 4), (4, 3, 3), (2,)), {"table": ((0, 3), (1,))}, ShapeError,
     "w must have shape (3, R, S), one window per connection of the table, got (4, 3, 3)"),
    ("partial_conv2d", ((1, 5, 5, 4), (3, 3, 3), (2,)), {"table": ((0, 0), (1,))}, ArgumentError,
     "table[0] must list different input maps, got (0, 0)"),
    ("partial_conv2d", ((1, 5, 5, 4), (3, 3, 3), (2,)), {"table": ()}, ArgumentError, "no output"),
    ("rbf", ((2, 3), (4, 5)), {}, ShapeError, "the same J, got (2, 3) and (4, 5)"),
    ("scale_channels", ((1, 4, 5, 3), (1, 1, 1, 4)), {}, ShapeError, "looks like NCHW"),
    ("resize", ((1, 4, 4, 3),), {}, ArgumentError, "give either size or scale_factor"),
    ("resize", ((1, 4, 4, 3),), {"size": 0}, ArgumentError, "size"),
    ("resize", ((1, 4, 4, 3),), {"size": 2, "mode": "cubic"}, ArgumentError, "got 'cubic'"),
    ("resize", ((1, 4, 4, 3),), {"size": 2, "align_corners": True}, ArgumentError, "bilinear"),
    ("resize", ((1, 4, 4, 3),), {"scale_factor": 0.1}, ShapeError, "would be (0, 0)"),
    ("resize", ((1, 4, 4, 3),), {"scale_factor": -2}, ArgumentError, "above 0, got -2"),
]  # fmt: skip


@pytest.mark.parametrize("name, shapes, arguments, error, text", ERRORS)
def test_misuse(name, shapes, arguments, error, text):
    with pytest.raises(error) as caught:
        getattr(F, name)(*[np.zeros(s, "float32") for s in shapes], **arguments)
    assert text in str(caught.value)
    assert name.removeprefix("paper_") in str(caught.value)


FLOATS_ONLY = [
    ("conv2d", (X, (8, 3, 3, 4)), {}),
    ("conv2d_input_grad", ((2, 4, 4, 8), (8, 3, 3, 4)), {"x_shape": X}),
    ("conv2d_weight_grad", (X, (2, 4, 4, 8)), {"w_shape": (8, 3, 3, 4)}),
    ("conv_transpose2d", (X, (4, 3, 3, 8)), {}),
    ("conv1d", ((2, 9, 4), (6, 3, 4)), {}),
    ("linear", ((3, 4), (5, 4)), {}),
    ("matmul", ((3, 4), (4, 5)), {}),
    ("partial_conv2d", (X, (3, 3, 3), (2,)), {"table": ((0, 3), (1,))}),
    ("trainable_subsampling", (X, (4,), (4,)), {}),
    ("rbf", ((3, 4), (5, 4)), {}),
    ("scale_channels", (X, (2, 4)), {}),
    ("batch_norm", (X, (4,)), {"training": True}),
    ("layer_norm", (X, (4,)), {}),
    ("conv_bn_act", (X, (8, 3, 3, 4), *[(8,)] * 5), {}),
    ("max_pool2d", (X,), {"kernel_size": 2}),
    ("avg_pool2d", (X,), {"kernel_size": 2}),
    ("adaptive_avg_pool2d", (X,), {"output_size": 2}),
    ("adaptive_max_pool2d", (X,), {"output_size": 2}),
    ("global_avg_pool2d", (X,), {}),
    ("local_response_norm", (X,), {"size": 2}),
    ("resize", (X,), {"size": 2}),
]


@pytest.mark.parametrize("name, shapes, arguments", FLOATS_ONLY)
def test_integers_and_mixed_dtypes_are_refused(name, shapes, arguments):
    f = getattr(F, name)
    with pytest.raises(DTypeError, match="must be a floating-point tensor, got int64"):
        f(*[np.zeros(s, "int64") for s in shapes], **arguments)
    if len(shapes) > 1:
        mixed = [np.zeros(shapes[0], "float64"), *[np.zeros(s, "float32") for s in shapes[1:]]]
        with pytest.raises(DTypeError, match=r"float(64|32).*float(32|64)"):
            f(*mixed, **arguments)


@pytest.mark.parametrize("name", ["rbf", "trainable_subsampling"])
def test_lenet_layers_have_no_half_kernels(name):
    shapes = {n: s for n, s, _ in FLOATS_ONLY}[name]
    with pytest.raises(DTypeError, match="must be float32 or float64, got float16"):
        getattr(F, name)(*[np.zeros(s, "float16") for s in shapes])
