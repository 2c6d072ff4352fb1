"""What the residual families claim, each by its formula; counts are in test_models.py."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import functional as F
from fastconv import nn
from fastconv.errors import ArgumentError
from fastconv.models import create_model, model_info
from fastconv.models.preact_resnet import PreActBasicBlock, PreActBottleneck, PreActResNet
from fastconv.models.resnet import DEPTHS, BasicBlock, Bottleneck
from fastconv.models.senet import SEBottleneck, SENetBottleneck
from fastconv.models.shortcuts import padded_identity, projection
from tests.model_facts import layers, traced


def random(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def parameters(name):
    return sum(p.size for p in traced(name)[0].parameters())


def perturbed(module):
    """In float64 and eval mode, with batch norms that are not the identity."""
    rng = np.random.default_rng(1)
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.weight.copy_(rng.uniform(0.5, 1.5, m.weight.shape))
            m.running_mean.copy_(rng.uniform(-0.5, 0.5, m.weight.shape))
            m.running_var.copy_(rng.uniform(0.5, 1.5, m.weight.shape))
    return module.astype("float64").eval()


# ---- shortcuts (He et al. 2015, section 4.1)


@pytest.mark.parametrize("height", [8, 7])
def test_option_a_takes_every_second_pixel_and_adds_zero_channels(height):
    x = fc.tensor(random((2, height, 6, 3)), requires_grad=True)
    y = padded_identity(x, 2, 5)
    np.testing.assert_array_equal(y.numpy()[..., :3], x.numpy()[:, ::2, ::2])
    assert y.shape == (2, (height + 1) // 2, 3, 5) and not y.numpy()[..., 3:].any()
    gy = random(y.shape, 1)
    y.backward(gy)
    expected = np.zeros(x.shape)
    expected[:, ::2, ::2] = gy[..., :3]
    np.testing.assert_array_equal(x.grad.numpy(), expected)
    assert padded_identity(x, 1, 3) is x


def test_options_differ_in_where_they_project():
    def projects(option):
        return [projection(*change, option) is not None for change in ((8, 8, 1), (8, 16, 2))]

    assert projects(None) == projects("A") == [False, False]
    assert projects("B") == projects("D") == [False, True]
    assert projects("C") == [True, True]
    with pytest.raises(
        ArgumentError, match="shortcut must be 'A', 'B', 'C', 'D' or None, got True"
    ):
        projection(8, 16, 2, True)


def test_the_plain_network_has_the_parameters_of_option_a():
    for depth in (20, 32, 44, 56, 110):
        assert parameters(f"plain{depth}_cifar") == parameters(f"resnet{depth}_cifar")


@pytest.mark.parametrize(("option", "share"), [("B", 1 / 4), ("D", 1)])
def test_resnet_d_reads_every_pixel_where_b_reads_a_quarter(option, share):
    """He et al. 2018, section 4.2: a 1x1 convolution of stride 2 ignores three of four pixels."""
    x = fc.tensor(random((1, 8, 8, 4)), requires_grad=True)
    y = projection(4, 8, 2, option).astype("float64")(x)
    y.backward(random(y.shape, 1))
    assert np.mean(x.grad.numpy().any(axis=-1)) == share


def test_cifar_networks_have_6n_plus_2_layers():
    """1 convolution, 2n per stage, 1 linear layer; depth n of 1202 layers is 200."""
    for depth in (20, 32, 44, 56, 110, 1202):
        name = f"resnet{depth}_cifar"
        assert len(layers(name, nn.Conv2d)) + len(layers(name, nn.Linear)) == depth
        assert len(layers(name, BasicBlock)) == (depth - 2) // 2


# ---- ResNeXt (Xie et al. 2016)


def test_a_grouped_bottleneck_is_the_sum_of_its_paths():
    """Figure 3: (a), paths of 1x1, 3x3, 1x1 that are summed, equals (c), a grouped convolution."""
    groups, d = 4, 2
    block = perturbed(Bottleneck(32, 8, groups=groups, base_width=d * 64 // 8))
    assert block.conv2.weight.shape == (8, 3, 3, d)
    x = fc.tensor(random((2, 5, 6, 32)))
    with fc.no_grad():
        expected = 0
        for i in range(groups):
            own = slice(i * d, (i + 1) * d)
            y = F.conv2d(x, block.conv1.weight[own])
            y = F.relu(block.bn1(_among(y, i, groups))[..., own])
            y = F.conv2d(y, block.conv2.weight[own], padding=1)
            y = F.relu(block.bn2(_among(y, i, groups))[..., own])
            expected = F.conv2d(y, block.conv3.weight[..., own]) + expected
        expected = F.relu(block.bn3(expected) + x)
        np.testing.assert_allclose(block(x).numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)


def _among(y, i, groups):
    """The channels of path i at their place among those of all paths."""
    return fc.concat([y if j == i else y * 0 for j in range(groups)], axis=-1)


def test_resnext_costs_what_resnet_costs():
    """Table 1: 32x4d was chosen so that ResNeXt-50 costs about what ResNet-50 does."""
    resnext, resnet = model_info("resnext50_32x4d"), model_info("resnet50")
    assert abs(resnext.params / resnet.params - 1) < 0.03
    assert abs(resnext.macs / resnet.macs - 1) < 0.04
    widths = [m.out_channels for m in layers("resnext50_32x4d", nn.Conv2d) if m.groups == 32]
    assert sorted(set(widths)) == [128, 256, 512, 1024]


# ---- pre-activation (He et al. 2016)


@pytest.mark.parametrize(
    ("block", "last"), [(PreActBasicBlock, "conv2"), (PreActBottleneck, "conv3")]
)
def test_x_goes_through_pre_activation_blocks_unchanged(block, last):
    """Equation 4, x_L = x_l + sum of F: where every F is 0 the last block gives the first's x."""
    model = PreActResNet(block, (1, 3), (4, 4 if block is PreActBasicBlock else 8), "cifar")
    stage = nn.Sequential(*[block(16, 16 // block.expansion) for _ in range(3)])
    for b in stage:
        nn.init.zeros_(getattr(b, last).weight)
    x = fc.tensor(random((2, 6, 6, 16)).astype("float32"))
    y = stage(x).numpy()
    np.testing.assert_array_equal(y, x.numpy())
    assert (y < 0).any()  # no ReLU after the sum
    assert (model.forward_features(x[..., :3]).numpy() >= 0).all()  # one at the end of the network


def test_a_pre_activation_shortcut_reads_what_the_first_relu_gave():
    block = perturbed(PreActBasicBlock(4, 8, stride=2))
    nn.init.zeros_(block.conv2.weight)
    x = fc.tensor(random((2, 6, 6, 4)))
    expected = F.conv2d(F.relu(block.bn1(x)), block.downsample.weight, stride=2)
    np.testing.assert_allclose(block(x).numpy(), expected.numpy(), rtol=1e-12)


# ---- wide networks (Zagoruyko and Komodakis 2016)


def test_wide_networks_widen_the_3x3_only():
    """Table 1 for CIFAR; on ImageNet the outer channels stay those of ResNet-50."""
    stages = [m.conv1.out_channels for m in layers("wrn28_10_cifar", PreActBasicBlock)]
    assert stages == [160] * 4 + [320] * 4 + [640] * 4
    wide, narrow = (layers(n, Bottleneck) for n in ("wide_resnet50_2", "resnet50"))
    for a, b in zip(wide, narrow, strict=True):
        assert a.conv2.out_channels == 2 * b.conv2.out_channels
        assert a.conv3.out_channels == b.conv3.out_channels


def test_dropout_of_wide_networks_stands_between_the_convolutions():
    model = create_model("wrn16_4_cifar", dropout=0.3)
    drops = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert [m.p for m in drops] == [0.3] * 6
    block = PreActBasicBlock(4, 4, dropout=0.5)
    nn.init.zeros_(block.conv2.weight)
    block.conv2.weight[:, 1, 1] = 1.0  # the sum of the channels, four times
    x = fc.tensor(random((2, 8, 8, 4)).astype("float32"))
    sums = (block(x) - x).numpy()
    np.testing.assert_allclose(sums[..., 1:], sums[..., :-1], rtol=1e-5, atol=1e-5)
    assert not np.allclose(sums, (block(x) - x).numpy())
    block.eval()
    np.testing.assert_array_equal(block(x).numpy(), block(x).numpy())


# ---- squeeze and excitation (Hu et al. 2017)


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_squeeze_and_excitation_adds_the_papers_parameters(depth):
    """Equation 5: 2/r * sum over stages of N_s * C_s^2; two biases of each block come on top."""
    added = parameters(f"seresnet{depth}") - parameters(f"resnet{depth}")
    blocks = [(n, 256 * 2**i) for i, n in enumerate(DEPTHS[depth])]
    assert added == sum(n * (2 * c * c // 16 + c // 16 + c) for n, c in blocks)


def opened(block):
    """The block with every gate at 1 (to rounding)."""
    nn.init.zeros_(block.se.fc2.weight)
    nn.init.constant_(block.se.fc2.bias, 50)
    return block


def test_with_open_gates_an_se_block_is_resnets():
    block = opened(perturbed(SEBottleneck(64, 16, 2, groups=2)))
    plain = Bottleneck(64, 16, 2, groups=2).astype("float64").eval()
    plain.load_state_dict(
        nn.StateDict({k: v for k, v in block.state_dict().items() if not k.startswith("se.")})
    )
    x = fc.tensor(random((2, 6, 6, 64)))
    np.testing.assert_allclose(block(x).numpy(), plain(x).numpy(), rtol=1e-12)


def test_an_se_block_scales_the_branch_and_not_the_shortcut():
    """With every gate at 0 only the shortcut is left."""
    block = opened(perturbed(SEBottleneck(64, 16)))
    nn.init.constant_(block.se.fc2.bias, -1e4)
    x = fc.tensor(random((2, 6, 6, 64)))
    np.testing.assert_array_equal(block(x).numpy(), np.maximum(x.numpy(), 0))


def test_senet_154_projects_by_3x3_where_it_strides():
    sizes = [
        block.downsample[0].kernel_size
        for block in layers("senet154", SENetBottleneck)
        if block.downsample is not None
    ]
    assert sizes == [1, 3, 3, 3]
    assert [m.p for m in layers("senet154", nn.Dropout)] == [0.2]
