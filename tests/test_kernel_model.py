"""What a kernel cannot avoid (tools/kernel_model.py), against values computed by hand."""

import pytest

from fastconv.backend import Conv2dProblem, Pool2dProblem
from tools import kernel_model as model

SAME = (1, 1, 1, 1)


def test_a_convolution_with_padding():
    # x 32, w 54, y 48 elements; along each axis 2 + 3 + 3 + 2 taps lie inside the image
    p = Conv2dProblem(1, 4, 4, 2, 3, 3, 3, 4, 4, pad=SAME)
    for direction in model.DIRECTIONS:
        assert model.conv2d(p, direction) == (4 * (32 + 54 + 48), 2 * 3 * 2 * 10 * 10)


def test_without_padding_operations_are_twice_the_macs():
    p = Conv2dProblem(2, 9, 8, 6, 4, 3, 2, 7, 7, groups=2)
    assert model.conv2d(p, "fwd").flops == 2 * p.macs


def test_a_stride_beyond_the_window_leaves_pixels_unread_but_writes_their_gradient():
    p = Conv2dProblem(1, 4, 4, 8, 4, 1, 1, 2, 2, stride=(2, 2))
    assert model.conv2d(p, "fwd") == (4 * (32 + 32 + 16), 256)
    assert model.conv2d(p, "wgrad") == model.conv2d(p, "fwd")
    assert model.conv2d(p, "dgrad") == (4 * (128 + 32 + 16), 256)


def test_a_depthwise_convolution():
    p = Conv2dProblem(2, 5, 5, 4, 4, 3, 3, 3, 3, groups=4)
    assert model.conv2d(p, "fwd") == (4 * (200 + 36 + 72), 2 * 2 * 4 * 81)


def test_groups_of_four_channels_wait_for_memory_those_of_sixteen_for_arithmetic():
    """3x3 layers of ResNeXt-50 32x4d; a product per channel of the group and tap."""
    few, many = (
        Conv2dProblem(32, size, size, c, c, 3, 3, size, size, pad=SAME, groups=32)
        for size, c in ((56, 128), (14, 512))
    )
    taps = 54 * 3 + 2 * 2
    size = 32 * 56 * 56 * 128
    assert model.conv2d(few, "fwd") == (
        4 * (2 * size + 128 * 9 * 4),
        2 * 32 * 128 * 4 * taps * taps,
    )
    for direction in model.DIRECTIONS:
        assert model.conv2d(few, direction).bound_by() == "memory"
        assert model.conv2d(many, direction).bound_by() == "arithmetic"


def test_dilated_taps_in_the_padding_do_not_count():
    p = Conv2dProblem(1, 3, 1, 1, 1, 3, 1, 3, 1, pad=(2, 2, 0, 0), dilation=(2, 1))
    # output 0: rows -2 0 2 -> 2; output 1: rows -1 1 3 -> 1; output 2: rows 0 2 4 -> 2
    assert model.conv2d(p, "fwd").flops == 2 * (2 + 1 + 2)


def test_winograd_counts_whole_tiles_and_the_transformed_weights():
    # 2 x 2 tiles of 6 x 5 outputs; x 60, w 54, y 90 elements, all of them read
    p = Conv2dProblem(1, 6, 5, 2, 3, 3, 3, 6, 5, pad=SAME)
    assert model.winograd(p, "fwd") == (4 * (60 + 54 + 90 + 2 * 36 * 6), 2 * 36 * 4 * 6)
    assert model.winograd(p, "dgrad") == model.winograd(p, "fwd")
    large = Conv2dProblem(8, 56, 56, 64, 64, 3, 3, 56, 56, pad=SAME)
    assert 3.8 < model.conv2d(large, "fwd").flops / model.winograd(large, "fwd").flops < 4


def test_pooling():
    p = Pool2dProblem(2, 4, 4, 3, 2, 2, 2, 2, (2, 2))
    assert model.max_pool2d_fwd(p) == (4 * (96 + 24) + 24, 4 * 24)
    assert model.max_pool2d_fwd(p, argmax=False).bytes == 4 * (96 + 24)
    assert model.max_pool2d_bwd(p).bytes == 4 * (96 + 24) + 24
    assert model.avg_pool2d(p).bytes == 4 * (96 + 24)
    large = Pool2dProblem(1, 17, 17, 1, 17, 17, 1, 1)
    assert model.max_pool2d_bwd(large).bytes == 4 * (289 + 1) + 4  # 289 taps: int32
    assert model.adaptive_avg_pool2d((2, 4, 4, 3), (2, 1, 1, 3)).bytes == 4 * (96 + 6)


@pytest.mark.parametrize(
    "cost, size",
    [
        (model.channel_stats(100, 10), 400 + 160),
        (model.batch_norm_apply(100, 10), 4 * 240),
        (model.batch_norm_apply(100, 10, residual=True), 4 * 340),
        (model.batch_norm_bwd(100, 10, residual=True), 4 * 550),
        (model.batch_norm_bwd(100, 10, saved=False), 4 * 350),
        (model.activation_fwd(100), 800),
        (model.activation_bwd(100), 1200),
        (model.add(100), 1200),
        (model.cross_entropy_fwd(8, 10), 4 * (80 + 8 + 1) + 64),
        (model.cross_entropy_bwd(8, 10), 4 * (80 + 8 + 1 + 80) + 64),
        (model.sgd_step(100), 2000),
        (model.sgd_step(100, momentum=False), 1200),
        (model.adam_step(100), 2800),
        (model.linear(2, 3, 5), 4 * (10 + 15 + 6)),
    ],
)
def test_bytes_of_layer_kernels(cost, size):
    assert cost.bytes == size


def test_the_floor_is_the_larger_of_memory_and_arithmetic():
    device = model.Device("round", bandwidth=1e9, peak=1e12)
    assert model.Cost(10**6, 10**6).floor(device) == pytest.approx(1e-3)
    assert model.Cost(10**6, 10**6).bound_by(device) == "memory"
    assert model.Cost(10**6, 10**10).floor(device) == pytest.approx(1e-2)
    assert model.Cost(10**6, 10**10).bound_by(device) == "arithmetic"


def test_constants_of_the_h200():
    assert pytest.approx(66.908e12, rel=1e-4) == model.H200.peak
    # 256 channels of 32 x 56 x 56 pixels, read and written: 205.5 MB each way's sum
    assert 1e6 * model.activation_fwd(32 * 56 * 56 * 256).floor() == pytest.approx(47.79, abs=0.01)


def test_rows_of_a_network():
    rows = {(r.kernel, r.shape): r for r in model.network_rows("resnet50", 2)}
    assert sum(r.uses for r in rows.values() if r.kernel == "conv2d fwd") == 53
    assert sum(r.uses for r in rows.values() if r.kernel == "batch_norm bwd") == 53
    assert rows["max_pool2d fwd", "2x112x112x64"].uses == 1
    assert rows["sgd_step", "25,557,032"].cost.bytes == 20 * 25_557_032
    assert rows["linear wgrad", "2 x 2048 -> 1000"].cost == model.linear(2, 1000, 2048)


def test_the_command_prints_a_table(capsys):
    model.main(["--network", "resnet18", "--batch", "1"])
    out = capsys.readouterr().out
    assert "1x56x56x64 -> 64, 3x3" in out
    assert "at least" in out.splitlines()[-1]
