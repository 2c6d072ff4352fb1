"""Softmax and losses in the emulator beyond the kernel cases: every plan of rows, tails, labels
that are no class, infinities, unaligned views, counters."""

import numpy as np
import pytest

from fastconv import _emulator
from fastconv.backend import reference
from fastconv.backend.select import backends

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv.backend.emulator import emulator_options, emulator_table
from tests.emulator.counting import launches, sectors, sectors_per_request, wavefronts

TABLE = emulator_table()

EPS = np.finfo(np.float32).eps
# staged; a warp, its registers short and long; a block; streamed: each plan's first and last sizes,
# with vectors (multiples of 4) and without
CLASSES = [1, 2, 3, 10, 31, 32, 33, 36, 255, 256, 257, 260, 1023, 1024, 1025, 1028]
LONG = [8191, 8192, 8193, 8196]
LOSSES = ["bce_with_logits", "mse"]


def normal(shape, seed=0, skip=0, spread=1.0):
    """float32 values in a view that begins `skip` values after its array."""
    size = int(np.prod(shape))
    values = spread * np.random.default_rng(seed).standard_normal(skip + size)
    return values.astype(np.float32)[skip:].reshape(shape)


def empty(shape, skip=0):
    size = int(np.prod(shape))
    return np.full(skip + size, 77, np.float32)[skip:].reshape(shape)


def softmax(K, rows, classes, log, dtype=np.float32, skip=0):
    x, gy = normal((rows, classes), 1, skip, 4.0), normal((rows, classes), 2, skip)
    y, gx = empty(x.shape, skip), empty(x.shape, skip)
    x, gy, y, gx = (a if dtype == np.float32 else a.astype(dtype) for a in (x, gy, y, gx))
    K.softmax_fwd(x, y, log)
    K.softmax_bwd(gy, y, gx, log)
    return y, gx


def cross_entropy(K, rows, classes, smoothing, reduction, dtype=np.float32, skip=0):
    logits = normal((rows, classes), 1, skip, 4.0)
    labels = np.random.default_rng(2).integers(0, classes, rows)
    shape = (rows,) if reduction == "none" else ()
    gloss, loss = normal(shape, 3), empty(shape)
    lse, glogits = empty((rows,)), empty(logits.shape, skip)
    logits, gloss, loss, lse, glogits = (
        a if dtype == np.float32 else a.astype(dtype) for a in (logits, gloss, loss, lse, glogits)
    )
    with np.errstate(all="ignore"):
        K.cross_entropy_fwd(logits, labels, loss, lse, smoothing, reduction)
        K.cross_entropy_bwd(gloss, logits, labels, lse, glogits, smoothing, reduction)
    return loss, lse, glogits


def pointwise(K, name, shape, reduction, dtype=np.float32, skip=0):
    x, t = normal(shape, 1, skip, 4.0), normal(shape, 2, skip)
    gshape = shape if reduction == "none" else ()
    gloss, loss, gx = normal(gshape, 3), empty(gshape), empty(shape, skip)
    x, t, gloss, loss, gx = (
        a if dtype == np.float32 else a.astype(dtype) for a in (x, t, gloss, loss, gx)
    )
    with np.errstate(all="ignore"):
        getattr(K, f"{name}_fwd")(x, t, loss, reduction)
        getattr(K, f"{name}_bwd")(gloss, x, t, gx, reduction)
    return loss, gx


def assert_close(came, truth, error):
    for i, (a, b) in enumerate(zip(came, truth, strict=True)):
        bound = error * EPS * np.max(np.abs(b), initial=0)
        assert np.all(np.abs(a - b) <= bound), f"output {i}: {np.max(np.abs(a - b)) / bound} bounds"


def assert_same(came, expected):
    for a, b in zip(came, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


# ---- softmax and cross-entropy


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("classes", CLASSES + LONG)
def test_softmax_of_every_plan(classes, log):
    rows = 131 if classes <= 32 else 3
    truth = softmax(reference, rows, classes, log, np.float64)
    assert_close(softmax(TABLE, rows, classes, log), truth, 24)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", CLASSES[1:] + LONG)  # of one class: only rounding
def test_cross_entropy_of_every_plan(classes, smoothing):
    rows = 131 if classes <= 32 else 3
    for reduction in ("none", "mean"):
        truth = cross_entropy(reference, rows, classes, smoothing, reduction, np.float64)
        assert_close(cross_entropy(TABLE, rows, classes, smoothing, reduction), truth, 40)


@pytest.mark.parametrize("classes", [7, 36, 260, 1028, 8196])
def test_where_an_array_begins_does_not_change_a_bit(classes):
    for log in (False, True):
        whole = softmax(TABLE, 3, classes, log)
        x, gy = normal((3, classes), 1, 0, 4.0), normal((3, classes), 2)
        moved = [np.empty(3 * classes + 1, np.float32)[1:].reshape(3, classes) for _ in range(4)]
        moved[0][...], moved[1][...] = x, gy
        TABLE.softmax_fwd(moved[0], moved[2], log)
        TABLE.softmax_bwd(moved[1], moved[2], moved[3], log)
        assert_same(moved[2:], whole)


@pytest.mark.parametrize("classes", [10, 1000, 1028, 8196])
def test_the_schedule_does_not_change_a_bit(classes):
    results = []
    for schedule in ("fifo", "lifo", "random"):
        with emulator_options(schedule=schedule):
            results.append(cross_entropy(TABLE, 5, classes, 0.1, "mean"))
    assert_same(results[0], results[1])
    assert_same(results[0], results[2])


@pytest.mark.parametrize("classes", [10, 33, 1028, 8200])
def test_in_place(classes):
    y, gx = softmax(TABLE, 3, classes, True)
    x, gy = normal((3, classes), 1, 0, 4.0), normal((3, classes), 2)
    TABLE.softmax_fwd(x, x, True)
    TABLE.softmax_bwd(gy, x, gy, True)
    assert_same((x, gy), (y, gx))


@pytest.mark.parametrize("classes", [9, 36, 1028, 8200])
def test_infinities_and_nans_as_the_reference(classes):
    x = normal((8, classes), 1)
    x[0, 3], x[1, 5], x[2, 7] = np.nan, np.inf, -np.inf
    x[3], x[4], x[5, 1:] = -np.inf, np.inf, -np.inf
    x[6], x[7, ::2] = np.finfo(np.float32).min, np.finfo(np.float32).max
    labels = np.arange(8)
    for log in (False, True):
        results = []
        for K in (TABLE, reference):
            y = empty(x.shape)
            K.softmax_fwd(x, y, log)
            results.append(y)
        np.testing.assert_allclose(*results, rtol=1e-5)
    for smoothing in (0.0, 0.1):
        results = []
        for K in (TABLE, reference):
            loss, lse, glogits = empty((8,)), empty((8,)), empty(x.shape)
            K.cross_entropy_fwd(x, labels, loss, lse, smoothing, "none")
            K.cross_entropy_bwd(np.ones(8, np.float32), x, labels, lse, glogits, smoothing, "none")
            results.append((loss, lse, glogits))
        for came, expected in zip(*results, strict=True):
            np.testing.assert_allclose(came, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("classes", [3, 40, 1028, 8193])
def test_large_logits_do_not_overflow(classes):
    x = normal((3, classes), 1) + np.float32(1e4)
    y, truth = empty(x.shape), np.empty(x.shape)
    TABLE.softmax_fwd(x, y, False)
    reference.softmax_fwd(x.astype(np.float64), truth, False)
    assert_close([y], [truth], 24)


@pytest.mark.parametrize("classes", [5, 40, 1028, 8193])
@pytest.mark.parametrize("label", [-1, "classes", 2**32, -(2**63), 2**63 - 1])
def test_a_label_that_is_no_class_makes_its_row_nan(classes, label):
    rows, bad = 5, 2
    x, labels = normal((rows, classes), 1), np.arange(rows)
    labels[bad] = classes if label == "classes" else label
    good = np.arange(rows) != bad
    loss, lse, glogits = empty((rows,)), empty((rows,)), empty(x.shape)
    gloss = np.ones(rows, np.float32)
    TABLE.cross_entropy_fwd(x, labels, loss, lse, 0.1, "none")
    TABLE.cross_entropy_bwd(gloss, x, labels, lse, glogits, 0.1, "none")
    assert np.isnan(loss[bad])
    assert np.isnan(glogits[bad]).all()
    assert np.isfinite(loss[good]).all()
    assert np.isfinite(lse).all()
    assert np.isfinite(glogits[good]).all()
    mean = empty(())
    TABLE.cross_entropy_fwd(x, labels, mean, lse, 0.1, "mean")
    assert np.isnan(mean)


@pytest.mark.parametrize(("classes", "per_block"), [(33, 2), (2, 128)])
def test_more_rows_than_the_blocks_take_at_once(classes, per_block):
    rows = 4096 * per_block + 3
    truth = cross_entropy(reference, rows, classes, 0.0, "sum", np.float64)
    assert_close(cross_entropy(TABLE, rows, classes, 0.0, "sum"), truth, 40)


def test_workspaces_hold_a_partial_sum_per_block():
    assert _emulator.cross_entropy_workspace(5, "none") == 0
    assert _emulator.cross_entropy_workspace(5, "sum") == 40
    assert _emulator.cross_entropy_workspace(10**9, "mean") == 8 * 4096
    assert _emulator.loss_workspace(0, "mean") == 0
    assert _emulator.loss_workspace(1025, "sum") == 16
    x = normal((5, 7))
    with pytest.raises(ValueError, match="workspace: expected 40 bytes, came 39"):
        _emulator.cross_entropy_fwd(
            *(x, np.zeros(5, np.int64), empty(()), empty((5,)), 0.0, "sum"),
            *(np.empty(39, np.uint8), 0),
        )


# ---- element-wise losses


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1023, 1024, 1025, 4099])
def test_pointwise_losses_of_odd_sizes(name, size):
    for reduction in ("none", "sum", "mean"):
        truth = pointwise(reference, name, (size,), reduction, np.float64)
        assert_close(pointwise(TABLE, name, (size,), reduction), truth, 6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_sum_does_not_change_a_bit_with_where_arrays_begin(name):
    x, t = normal((4099,), 1), normal((4099,), 2)
    sums = []
    for skip in (0, 1, 2):
        a, b = (np.empty(4099 + skip, np.float32)[skip:] for _ in range(2))
        a[...], b[...] = x, t
        loss = empty(())
        getattr(TABLE, f"{name}_fwd")(a, b, loss, "mean")
        sums.append(loss)
    assert sums[0] == sums[1] == sums[2]


def test_more_values_than_the_blocks_take_at_once():
    size = 4096 * 1024 + 1027
    x = np.ones(size, np.float32)
    loss = empty(())
    TABLE.mse_fwd(x, np.zeros_like(x), loss, "sum")
    assert loss == np.float32(size)


@pytest.mark.parametrize("name", LOSSES)
def test_infinities_and_nans_of_pointwise_losses(name):
    values = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 200, -200], np.float32)
    x, t = np.repeat(values, 7), np.tile(values, 7)
    results = []
    for K in (TABLE, reference):
        loss, gx = empty(x.shape), empty(x.shape)
        getattr(K, f"{name}_fwd")(x, t, loss, "none")
        getattr(K, f"{name}_bwd")(np.ones_like(x), x, t, gx, "none")
        results.append((loss, gx))
    for came, expected in zip(*results, strict=True):
        np.testing.assert_allclose(came, expected, rtol=1e-6, atol=1e-30)


# ---- nothing, and refusals


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_losses_of_nothing(reduction):
    expected = {"none": np.empty(0), "sum": 0.0, "mean": np.nan}[reduction]
    for loss, *_ in (
        cross_entropy(TABLE, 0, 10, 0.1, reduction),
        *(pointwise(TABLE, name, (0,), reduction) for name in LOSSES),
    ):
        np.testing.assert_array_equal(loss, np.float32(expected))


def test_no_rows_and_no_classes_launch_nothing():
    def call():
        softmax(TABLE, 0, 10, False)
        softmax(TABLE, 3, 0, True)
        cross_entropy(TABLE, 0, 10, 0.0, "none")

    assert launches(call) == 0


def test_arrays_that_do_not_match_are_refused():
    x = normal((3, 5))
    with pytest.raises(ValueError, match=r"softmax_fwd: y: expected shape \(3, 5\)"):
        TABLE.softmax_fwd(x, empty((5, 3)), False)
    with pytest.raises(ValueError, match=r"softmax_fwd: x: expected 2 axes"):
        TABLE.softmax_fwd(normal((2, 3, 5)), empty((2, 3, 5)), False)
    with pytest.raises(ValueError, match=r"labels: expected shape \(3,\)"):
        TABLE.cross_entropy_fwd(x, np.zeros(2, np.int64), empty(()), empty((3,)), 0.0, "sum")
    with pytest.raises(ValueError, match=r"reduction: expected none, sum or mean, came max"):
        TABLE.mse_fwd(x, x, empty(()), "max")


# ---- traffic


@pytest.mark.parametrize("classes", [16, 1000, 4096])
@pytest.mark.parametrize("kind", ["read", "write"])
def test_rows_move_whole_sectors_once(classes, kind):
    rows = 128
    for call, arrays in (
        (lambda: softmax(TABLE, rows, classes, False), {"read": 3, "write": 2}),
        (lambda: cross_entropy(TABLE, rows, classes, 0.1, "mean"), {"read": 2, "write": 1}),
    ):
        ideal, moved = sectors(call, kind)
        assert ideal >= 0.9 * moved
        # beside the matrices: labels, lse, partial sums, a logit at the label
        assert moved <= 1.03 * arrays[kind] * rows * classes * 4 // 32 + 8 * rows


@pytest.mark.parametrize("classes", [1024, 8192, 9216])
def test_long_rows_move_16_bytes_per_thread(classes):
    assert sectors_per_request(lambda: softmax(TABLE, 3, classes, False), "read") == 16
    assert sectors_per_request(lambda: softmax(TABLE, 3, classes, False), "write") == 16


@pytest.mark.parametrize("classes", [2, 16, 21, 32])
def test_staged_rows_are_spread_over_the_banks(classes):
    for call in (
        lambda: softmax(TABLE, 256, classes, False),
        lambda: cross_entropy(TABLE, 256, classes, 0.1, "none"),
    ):
        for kind in ("read", "write"):
            ideal, moved = wavefronts(call, kind)
            # one more where the padding between two rows falls into a warp's request
            assert moved <= 1.7 * ideal


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("kind", ["read", "write"])
def test_pointwise_losses_move_whole_sectors(name, reduction, kind):
    def call():
        pointwise(TABLE, name, (1 << 14,), reduction)

    ideal, moved = sectors(call, kind)
    assert ideal >= 0.9 * moved
    # 16 but for the gradient from above and the partial sums
    assert sectors_per_request(call, kind) >= 12
