"""What the generic tests of the zoo do not see of NASNet-A and PNASNet-5."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.functional import concat, relu
from fastconv.models import create_model, model_info
from fastconv.models.nasnet import NASNet, NormalCell, ReductionCell, average
from fastconv.models.pnasnet import Cell, PNASNet
from fastconv.models.searched import FactorizedReduction, Separable, Shift
from tests.model_facts import FACTS, facts, meta_input, traced


def random(*shape):
    return fc.tensor(np.random.default_rng(0).standard_normal(shape).astype("float32"))


def test_averages_do_not_count_padding():
    ones = fc.tensor(np.ones((1, 6, 7, 2), "float32"))
    for stride in (1, 2):
        y = average(stride)(ones).numpy()
        assert y.shape == (1, 6 // stride, -(-7 // stride), 2)
        np.testing.assert_allclose(y, 1, rtol=1e-6)


@pytest.mark.parametrize("size", [4, 5])
def test_the_second_path_reads_what_lies_between_the_pixels_of_the_first(size):
    reduction = FactorizedReduction(1, 2)
    assert isinstance(reduction.path_2[0], Shift)
    x = np.arange(1.0, size * size + 1, dtype="float32").reshape(1, size, size, 1)
    for path, expected in (
        (reduction.path_1, x[:, ::2, ::2]),
        (reduction.path_2, np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1::2, 1::2]),
    ):
        path.conv.weight.copy_(1)
        np.testing.assert_array_equal(path(fc.tensor(x)).numpy(), expected)


def plain(branch, x):
    """A separable branch module by module."""
    first = branch.bn_sep_1(branch.separable_1(relu(x)))
    return branch.bn_sep_2(branch.separable_2(relu(first)))


def check_cell(cell, size, expected):
    """expected: of the paper's branches, in the cell's order of channels, from (cell, p, h)."""
    for m in cell.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_var.copy_(0.25)
    cell.eval()
    prev, x = random(2, size, size, 6), random(2, size, size, 10)
    p, h = cell.conv_prev_1x1(prev), cell.conv_1x1(x)
    np.testing.assert_allclose(
        cell(x, prev).numpy(),
        concat(expected(cell, p, h), axis=3).numpy(),
        rtol=1e-4,
        atol=1e-5,
    )


def adjust(in_channels, width):
    return Separable(in_channels, width, 3)


def test_the_normal_cell_by_its_formula():
    def expected(c, p, h):
        return [
            p,
            plain(c.comb_iter_0_left, h) + plain(c.comb_iter_0_right, p),
            plain(c.comb_iter_1_left, p) + plain(c.comb_iter_1_right, p),
            average()(h) + p,
            average()(p) + average()(p),
            plain(c.comb_iter_4_left, h) + h,
        ]

    check_cell(NormalCell(6, 10, 4, adjust), 7, expected)


@pytest.mark.parametrize("size", [6, 7])
def test_the_reduction_cell_by_its_formula(size):
    def expected(c, p, h):
        largest = nn.MaxPool2d(3, 2, "same")(h)
        b0 = plain(c.comb_iter_0_left, h) + plain(c.comb_iter_0_right, p)
        b1 = largest + plain(c.comb_iter_1_right, p)
        return [
            b1,
            average(2)(h) + plain(c.comb_iter_2_right, p),
            average()(b0) + b1,
            plain(c.comb_iter_4_left, b0) + largest,
        ]

    check_cell(ReductionCell(6, 10, 4, adjust), size, expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_progressive_cell_by_its_formula(stride):
    def expected(c, p, h):
        pool = nn.MaxPool2d(3, stride, "same")
        b2 = plain(c.comb_iter_2_left, h) + plain(c.comb_iter_2_right, h)
        return [
            plain(c.comb_iter_0_left, p) + pool(p),
            plain(c.comb_iter_1_left, h) + pool(h),
            b2,
            plain(c.comb_iter_3_left, b2) + pool(h),
            plain(c.comb_iter_4_left, p) + c.comb_iter_4_right(h),
        ]

    check_cell(Cell(6, 10, 4, stride, adjust), 7, expected)


@pytest.mark.parametrize("skip", [True, False])
def test_which_map_the_cell_behind_a_reduction_reads_as_the_one_before(skip):
    """The large network skips the reduction's own input, the mobile one reads it."""
    model = NASNet(8, 96, 2, skip, num_classes=5).eval()
    outputs, read = {}, {}

    def spy(name, forward):
        def call(x, prev):
            read[name] = prev
            outputs[name] = forward(x, prev)
            return outputs[name]

        return call

    for name in model.cells:
        cell = getattr(model, name)
        cell.forward = spy(name, cell.forward)
    model(random(1, 64, 64, 3))
    assert read["cell_1"] is not read["cell_0"]
    assert read["reduction_cell_0"] is outputs["cell_0"]
    assert read["cell_6"] is outputs["cell_0" if skip else "cell_1"]
    assert read["cell_7"] is outputs["reduction_cell_0"]
    assert read["reduction_cell_1"] is outputs["cell_6"]


def test_where_the_progressive_network_strides():
    model = traced("pnasnet5_large")[0]
    cells = {name: getattr(model, name) for name in model.cells}
    strided = [n for n, c in cells.items() if c.comb_iter_1_right.stride == 2]
    halved = [n for n, c in cells.items() if isinstance(c.conv_prev_1x1, FactorizedReduction)]
    assert strided == ["cell_stem_0", "cell_stem_1", "cell_4", "cell_8"]
    assert halved == ["cell_stem_1", "cell_0", "cell_5", "cell_9"]


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [("nasnet_mobile", 4, 528), ("nasnet_large", 6, 2016), ("pnasnet5_large", 6, 2160)],
)
def test_the_auxiliary_head_reads_the_map_at_two_thirds(name, size, channels):
    """5x5 with stride 3 leaves 4 of 14 rows and 6 of 21; the default network has no such head."""
    with fc.Trace(meta=True):
        model = create_model(name, num_classes=7, aux_heads=True)
        logits, auxiliary = model(meta_input((2, *model_info(name).input_shape)))
        model.eval()
        assert model(meta_input((2, *model_info(name).input_shape))).shape == (2, 7)
    assert (logits.shape, auxiliary.shape) == ((2, 7), (2, 7))
    assert model.aux.conv.kernel_size == size
    assert model.aux.proj.in_channels == channels
    assert create_model("nasnet_mobile", num_classes=0, aux_heads=True).aux is None


@pytest.mark.parametrize(
    "build",
    [
        lambda: NASNet(8, 96, 1, False, num_classes=5, aux_size=8),
        lambda: PNASNet(8, 4, 1, num_classes=5, aux_size=8),
    ],
)
def test_the_auxiliary_loss_trains_what_it_reads(build):
    model = build()
    x, labels = random(2, 128, 128, 3), fc.tensor(np.array([1, 3]))
    outputs = model(x)
    total = model.loss(outputs, labels)
    losses = [fc.functional.cross_entropy(o, labels).item() for o in outputs]
    assert total.item() == pytest.approx(losses[0] + 0.4 * losses[1], rel=1e-5)
    total.backward()
    for key, p in model.named_parameters():
        assert np.isfinite(p.grad.numpy()).all() and p.grad.numpy().any(), key
    assert model.eval().loss(model(x), labels).shape == ()


def test_the_mobile_network_multiplies_as_often_as_keras():
    """The facts count a port that computes a border and cuts it off."""
    name = "nasnet_mobile"
    keras = FACTS["nasnet_a_mobile"]["keras"]
    assert facts(name)["macs"] == keras["macs"] < FACTS["nasnet_a_mobile"]["macs"]
    assert facts(name)["params_trainable"] == keras["trainable"]
