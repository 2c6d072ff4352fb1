"""What the generic tests of the zoo do not see of EfficientNet and EfficientNetV2."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models import create_model, list_models
from fastconv.models.blocks import divisible
from fastconv.models.efficientnet import EfficientNet, MBConv, Stage
from fastconv.models.efficientnet_v2 import FusedMBConv
from tests.model_facts import facts, layers

BOTH = [n for family in ("efficientnet", "efficientnet_v2") for n in list_models(family=family)]


@pytest.mark.parametrize("name", [n for n in BOTH if not n.startswith("tf_")])
def test_stochastic_depth_grows_from_nothing_but_not_to_its_rate(name):
    """Rate 0.2 * i / n of the i-th of n blocks: 0.1875 in B0's last, not 0.2."""
    published = facts(name)["details"]["stochastic_depth"]
    rates = [m.p for m in layers(name, nn.DropPath)]
    assert len(rates) == published["n"]
    assert rates == sorted(rates)
    assert rates[0] == published["first"]
    assert rates[-1] == pytest.approx(published["last"], abs=1e-6)


def test_channels_are_rounded_to_multiples_of_eight():
    assert [divisible(c) for c in (4, 35.2, 11, 83.2, 140.8, 211.2)] == [
        8, 32, 16, 80, 144, 208,
    ]  # fmt: skip
    assert divisible(19) == 24  # 16 would be less than nine tenths of it


@pytest.mark.parametrize("block", [MBConv, FusedMBConv])
@pytest.mark.parametrize("expand", [1, 4])
def test_squeeze_and_expansion_of_a_block(block, expand):
    b = block(16, 16, expand, 3, 1, drop=0.5)
    squeezes = [m for m in b.modules() if isinstance(m, nn.SqueezeExcitation)]
    assert [m.fc1.out_channels for m in squeezes] == ([4] if block is MBConv else [])
    convs = [m for m in b.block.children() if not isinstance(m, nn.SqueezeExcitation)]
    assert [c.act for c in convs[:-1]] == ["silu"] * (len(convs) - 1)
    alone = block is FusedMBConv and expand == 1
    assert convs[-1].act == ("silu" if alone else None)


def test_without_expansion_the_fused_block_adds_behind_its_activation():
    """x + silu(bn(conv(x))), not silu(bn(conv(x)) + x)."""
    b = FusedMBConv(8, 8, 1, 3, 1, drop=0).eval()
    x = fc.tensor(np.random.default_rng(0).standard_normal((1, 5, 5, 8)).astype("float32"))
    conv, bn = b.block[0]
    expected = x.numpy() + fc.functional.silu(bn(conv(x))).numpy()
    np.testing.assert_allclose(b(x).numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_dropped_block_is_the_identity_for_the_images_it_drops():
    fc.manual_seed(0)
    b = MBConv(8, 8, 1, 3, 1, drop=0.5)
    x = fc.tensor(np.random.default_rng(0).standard_normal((32, 5, 5, 8)).astype("float32"))
    same = (b(x).numpy() == x.numpy()).all(axis=(1, 2, 3))
    assert 4 < same.sum() < 28
    b.eval()
    assert not (b(x).numpy() == x.numpy()).all(axis=(1, 2, 3)).any()
    other = MBConv(8, 16, 1, 3, 1, drop=0.5)  # no shortcut: nothing is dropped
    assert other(x).numpy().any(axis=(1, 2, 3)).all()


def test_a_training_step_with_dropped_blocks():
    stages = (Stage(FusedMBConv, 4, 3, 2, 8, 2), Stage(MBConv, 4, 3, 2, 16, 2))
    model = EfficientNet(8, stages, 32, 5, stochastic_depth=0.2)
    x = fc.tensor(np.random.default_rng(0).standard_normal((4, 33, 32, 3)).astype("float32"))
    loss = fc.functional.cross_entropy(model(x), fc.tensor(np.arange(4)))
    loss.backward()
    for key, p in model.named_parameters():
        assert np.isfinite(p.grad.numpy()).all(), key


def test_tensorflows_b0_pads_the_odd_pixel_at_the_end():
    """Equal shapes, other pixels: a shift of the input by one changes which are read."""
    symmetric, tf = (create_model(n) for n in ("efficientnet_b0", "tf_efficientnet_b0"))
    assert {m.padding for m in tf.modules() if isinstance(m, nn.Conv2d) and m.kernel_size > 1} == {
        "same"
    }
    tf.load_state_dict(symmetric.state_dict())
    x = np.zeros((1, 32, 32, 3), "float32")
    x[:, 0, 0] = 1  # read by output (0, 0) of both, by taps (1, 1) and (0, 0) of the stem
    stems = [m.features[0][0](fc.tensor(x)).numpy()[0, 0, 0] for m in (symmetric, tf)]
    w = symmetric.features[0][0].weight.numpy().sum(axis=3)
    np.testing.assert_allclose(stems[0], w[:, 1, 1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stems[1], w[:, 0, 0], rtol=1e-5, atol=1e-6)


def test_starts_as_torchvisions():
    """Convolutions by He's rule with the fan-out, which does not count groups; no bias."""
    model = EfficientNet(8, (Stage(MBConv, 6, 5, 2, 16, 1),), 64, num_classes=100)
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            w = m.weight.numpy()
            k, r, s, _ = w.shape
            assert abs(np.mean(w**2) * k * r * s / 2 - 1) < 5 * np.sqrt(2 / w.size)
            assert m.bias is None or not m.bias.numpy().any()
    bound = 1 / np.sqrt(100)
    assert bound * 0.99 < abs(model.classifier[1].weight.numpy()).max() <= bound
    assert not model.classifier[1].bias.numpy().any()
