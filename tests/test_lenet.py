"""LeNet-5 of 1998 by the paper: connection table, squashing, fixed codes, initialisation, loss."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.errors import ArgumentError
from fastconv.models import create_model
from fastconv.models.lenet import C3_TABLE, digit_codes, map_loss
from tests.model_facts import facts, traced

FACTS = facts("lenet5_1998")


def test_connection_table():
    assert {str(i): list(maps) for i, maps in enumerate(C3_TABLE)} == FACTS["c3_table"]
    assert sum(map(len, C3_TABLE)) == 60
    crosses_per_row = np.bincount(np.concatenate(C3_TABLE))
    assert crosses_per_row.tolist() == [10] * 6


def test_layer_parameters():
    model = traced("lenet5_1998")[0]
    for layer, published in FACTS["layer_params"].items():
        counted = sum(p.size for p in getattr(model, layer.lower()).parameters())
        assert counted == published, layer
    assert sum(b.size for b in model.buffers()) >= FACTS["rbf_fixed_parameters"] == 840


def test_maps_of_c3_read_only_what_the_table_says():
    """A change in one map of S2 changes exactly the maps of C3 that the table connects to it."""
    c3 = create_model("lenet5_1998").c3
    x = np.random.default_rng(0).standard_normal((1, 14, 14, 6)).astype("float32")
    with fc.no_grad():
        before = c3(fc.tensor(x)).numpy()
        for i in range(6):
            changed = x.copy()
            changed[..., i] += 1
            differs = (c3(fc.tensor(changed)).numpy() != before).any((0, 1, 2))
            assert differs.tolist() == [i in maps for maps in C3_TABLE]


def test_codes_are_ten_different_bitmaps():
    codes = digit_codes()
    assert codes.shape == (10, 84) and set(np.unique(codes)) == {-1, 1}
    differing = [(a != b).sum() for i, a in enumerate(codes) for b in codes[:i]]
    assert min(differing) >= 6
    model = create_model("lenet5_1998")
    assert not any(p.size == 840 for p in model.parameters())
    assert any(np.array_equal(b.numpy(), codes) for b in model.buffers())


def test_output_is_the_squared_distance_to_the_codes():
    model = create_model("lenet5_1998").eval()
    x = np.random.default_rng(1).standard_normal((3, 32, 32, 1)).astype("float32")
    f6 = []
    squash = model.squash
    model.squash = Keep(squash, f6)
    with fc.no_grad():
        y = model(fc.tensor(x)).numpy()
    units = f6[-1].numpy().astype("float64")
    expected = ((units[:, None] - digit_codes()[None]) ** 2).sum(-1)
    # 84 squares of numbers up to 2.72, summed in float32
    np.testing.assert_allclose(y, expected, rtol=84 * np.finfo("float32").eps)
    assert abs(units).max() <= 1.7159


class Keep(fc.nn.Module):
    """A module that also remembers what it gave."""

    def __init__(self, inner, kept):
        super().__init__()
        self.inner = inner
        self.kept = lambda y: kept.append(y)

    def forward(self, x):
        y = self.inner(x)
        self.kept(y)
        return y


def test_squashing_goes_through_one_at_one():
    """The constants are chosen so that f(1) = 1 and f(-1) = -1 (appendix A)."""
    y = create_model("lenet5_1998").squash(fc.tensor(np.array([-1.0, 1.0]), dtype="float64"))
    np.testing.assert_allclose(y.numpy(), [-1, 1], atol=1e-4)


def test_weights_start_within_2_4_by_fan_in():
    model = create_model("lenet5_1998")
    bounds = {"c1": 2.4 / 25, "s2": 2.4 / 4, "s4": 2.4 / 4, "c5": 2.4 / 400, "f6": 2.4 / 120}
    for layer, bound in bounds.items():
        for key, p in getattr(model, layer).named_parameters():
            values = abs(p.numpy())
            assert values.max() <= bound, (layer, key)
            assert p.size < 50 or values.max() > 0.9 * bound, (layer, key)
    weights = iter(abs(model.c3.weight.numpy()))
    for maps, bias in zip(C3_TABLE, model.c3.bias.numpy()):
        bound = 2.4 / (25 * len(maps))
        largest = max(next(weights).max() for _ in maps)
        assert 0.9 * bound < largest <= bound and abs(bias) <= bound, maps


@pytest.mark.parametrize("j", [0.1, 2.0])
def test_map_loss_is_equation_9(j):
    rng = np.random.default_rng(2)
    y, labels = rng.uniform(0, 30, (7, 10)), rng.integers(0, 10, 7)
    expected = y[np.arange(7), labels] + np.log(np.exp(-j) + np.exp(-y).sum(1))
    distances = fc.tensor(y, requires_grad=True)
    loss = map_loss(distances, fc.tensor(labels), j)
    np.testing.assert_allclose(loss.item(), expected.mean(), rtol=1e-13)

    loss.backward()
    softmax = np.exp(-y) / (np.exp(-j) + np.exp(-y).sum(1, keepdims=True))
    gradient = (np.eye(10)[labels] - softmax) / 7
    np.testing.assert_allclose(distances.grad.numpy(), gradient, rtol=1e-12, atol=1e-16)


def test_wrong_arguments_are_named():
    with pytest.raises(ArgumentError, match=r"num_classes must be at most 10, .* got 11"):
        create_model("lenet5_1998", num_classes=11)
    with pytest.raises(ArgumentError, match="pooling must be one of avg, max, got 'sum'"):
        create_model("lenet5", pooling="sum")


def test_caffes_lenet_has_one_relu():
    model = create_model("lenet_caffe").eval()
    x = fc.tensor(np.random.default_rng(0).standard_normal((2, 28, 28, 1)).astype("float32"))
    maps = model.pool2(model.conv2(model.pool1(model.conv1(x))))
    hidden = model.ip1(maps.reshape(2, 800)).numpy()
    expected = np.maximum(hidden, 0) @ model.ip2.weight.numpy().T
    np.testing.assert_allclose(model(x).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert (hidden < 0).any()


def test_lenet_for_28_pads_to_32():
    small, large = create_model("lenet5_28"), create_model("lenet5")
    small.load_state_dict(large.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 28, 28, 1)).astype("float32")
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    np.testing.assert_allclose(
        small(fc.tensor(x)).numpy(), large(fc.tensor(padded)).numpy(), rtol=1e-5, atol=1e-6
    )
