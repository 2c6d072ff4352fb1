"""ShuffleNet v1 and v2: the paper's complexities, and which way channels are shuffled."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models import create_model, model_info, shufflenet_v1, shufflenet_v2
from tests.model_facts import traced
from tests.small_networks import images

F = fc.functional


# Zhang et al. 2017, table 2, MFLOPs, which are multiply-adds: 140 (g=3), 38 (0.5x), 292 and 524
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("shufflenet_v1_g1", 143),
        ("shufflenet_v1_g3_x0_5_megvii", 38),
        ("shufflenet_v1_g3_x1_5_megvii", 292),
        ("shufflenet_v1_g3_x2_0_megvii", 524),
        ("shufflenet_v1_g8_x1_0_megvii", 138),
        # Ma et al. 2018, table 8: 41, 146, 299, 591; counted by other rules, so 1 to 2 % more
        ("shufflenet_v2_x0_5", 40),
        ("shufflenet_v2_x1_0", 145),
    ],
)
def test_complexities_of_the_papers(name, millions):
    assert round(model_info(name).macs / 1e6) == millions


def test_only_the_first_1x1_of_all_is_not_grouped():
    """Zhang et al. 2017, section 3.2: its input has few channels."""
    units = [
        m for m in traced("shufflenet_v1_g4")[0].modules() if isinstance(m, shufflenet_v1.Unit)
    ]
    assert [u.conv1.groups for u in units] == [1] + [4] * 15
    assert [u.conv3.groups for u in units] == [4] * 16
    assert all(u.conv1.out_channels == u.conv2.groups for u in units)


def test_the_authors_code_shuffles_the_other_way_round():
    x = images((1, 2, 2, 12))
    np.testing.assert_array_equal(
        F.channel_shuffle(F.channel_shuffle(x, 3), 12 // 3).numpy(), x.numpy()
    )
    c = np.arange(12)
    ours = F.channel_shuffle(fc.tensor(c.reshape(1, 1, 1, 12).astype("float32")), 3).numpy()
    assert ours.ravel().tolist() == c.reshape(3, 4).T.ravel().tolist()  # a channel of each group


def by_hand(unit, x):
    """A unit layer by layer, channels shuffled by NumPy's indices."""
    n = unit.conv1.out_channels
    order = np.arange(n).reshape(unit.groups, -1).T.ravel()
    if unit.megvii:
        order = np.argsort(order)
    y = F.relu(unit.bn1(unit.conv1(x)))
    y = unit.bn2(unit.conv2(y if unit.megvii else y[..., order]))
    y = unit.bn3(unit.conv3(y[..., order] if unit.megvii else y))
    if unit.pool is None:
        return F.relu(x + y)
    return F.relu(F.concat([F.avg_pool2d(x, 3, 2, 1), y], axis=-1))


@pytest.mark.parametrize("megvii", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_unit_of_v1_is_its_layers(stride, megvii):
    unit = shufflenet_v1.Unit(24, 24 * stride, stride, 3, 3, megvii)
    x = F.relu(images((2, 6, 6, 24)))
    with fc.no_grad():
        np.testing.assert_allclose(unit(x).numpy(), by_hand(unit, x).numpy(), rtol=1e-4, atol=1e-5)


def test_a_unit_of_v2_leaves_half_of_the_channels_as_they_are():
    """They come out at the even places, those of the branch between them."""
    unit = shufflenet_v2.Unit(12, 12, 1).eval()
    x = images((1, 4, 4, 12))
    with fc.no_grad():
        y = unit(x).numpy()
        branch = unit.branch2(x[..., 6:]).numpy()
    np.testing.assert_array_equal(y[..., ::2], x.numpy()[..., :6])
    np.testing.assert_array_equal(y[..., 1::2], branch)


def test_the_classifier_of_the_authors_code_has_no_bias():
    paper, code = (create_model(f"shufflenet_v1_g3{s}", 5) for s in ("", "_x1_0_megvii"))
    assert paper.fc.bias is not None and code.fc.bias is None
    assert isinstance(create_model("shufflenet_v1_g3_x0_25", 0).fc, nn.Identity)
