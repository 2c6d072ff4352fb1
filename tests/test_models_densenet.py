"""DenseNet: what goes into each layer, and its parts."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models import create_model
from fastconv.models.densenet import DenseBlock, DenseNet
from tests.model_facts import KERAS, meta_input, traced
from tests.small_networks import images


@pytest.mark.parametrize("name", ["densenet121", "densenet161", "densenet_bc_100_12_cifar"])
def test_layer_l_reads_k0_and_l_minus_1_times_k_channels(name):
    """Huang et al. 2016, section 3: k0 + k * (l - 1), and 4k in its bottleneck."""
    model = traced(name)[0]
    growth = {"densenet161": 48, "densenet121": 32}.get(name, 12)
    blocks = [m for m in model.modules() if isinstance(m, DenseBlock)]
    for block in blocks:
        layers = list(block.children())
        k0 = layers[0].norm1.num_features
        for i, layer in enumerate(layers):
            assert layer.norm1.num_features == layer.conv1.in_channels == k0 + growth * i
            assert layer.conv1.out_channels == layer.conv2.in_channels == 4 * growth
            assert layer.conv2.out_channels == growth
    joined = [b for b in model.features.blocks if b.startswith("transition")]
    for before, name in zip(blocks, joined):
        width = len(list(before.children())) * growth
        width += next(before.children()).norm1.num_features
        assert getattr(model.features, name).conv.out_channels == width // 2


def test_connections_of_a_block_of_l_layers():
    """L (L + 1) / 2 direct connections (section 1): a layer's maps reach every later layer."""
    block = DenseBlock(3, 2, 4, bottleneck=False, dropout=0.0).eval()
    x = images((1, 5, 5, 2))
    with fc.no_grad():
        y = block(x).numpy()
        np.testing.assert_array_equal(y[..., :2], x.numpy())
        for i, layer in enumerate(block.children()):
            weight = layer.conv1.weight.numpy().copy()
            nn.init.zeros_(layer.conv1.weight)
            moved = (block(x).numpy() != y).any(axis=(0, 1, 2))
            layer.conv1.weight.copy_(weight)
            assert moved.tolist() == [False] * (2 + 4 * i) + [True] * (4 * (3 - i))


@pytest.mark.parametrize("bc", [True, False])
def test_dropout_stands_behind_every_convolution_but_the_first(bc):
    """Huang et al. 2016, section 4.2."""
    with fc.Trace(meta=True) as trace:
        DenseNet("cifar", (2, 2), 4, 16, 5, dropout=0.2, bc=bc)(meta_input((2, 16, 16, 3)))
    names = [r.name for r in trace.records]
    convs = [i for i, name in enumerate(names) if name in ("Conv2d", "ConvBnAct")]
    drops = [i for i, name in enumerate(names) if name == "Dropout"]
    assert drops == [i + 1 for i in convs[1:]] and convs[0] == 0


def test_a_bottleneck_is_the_same_fused_or_with_dropout_that_drops_nothing():
    fused = DenseNet("imagenet", (2, 1), 4, 8, 5)
    split = DenseNet("imagenet", (2, 1), 4, 8, 5, dropout=0.5)
    split.load_state_dict(fused.state_dict())
    x = images((2, 32, 32, 3))
    with fc.no_grad():
        ys = [m.eval()(x).numpy() for m in (fused, split)]
    np.testing.assert_allclose(*ys, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [121, 169, 201])
def test_parameters_and_macs_are_keras_too(depth):
    counted = KERAS[f"keras:DenseNet{depth}"]
    model, trace, _ = traced(f"densenet{depth}")
    assert sum(p.size for p in model.parameters()) == counted["params_trainable"]
    assert sum(r.macs for r in trace.records) == counted["macs"]


def test_a_dense_network_starts_by_hes_rule():
    model = create_model("densenet_40_12_cifar")
    w = model.features.denseblock3.denselayer1.conv1.weight.numpy()
    _, r, s, c = w.shape
    assert abs(np.mean(w**2) * r * s * c / 2 - 1) < 5 * np.sqrt(2 / w.size)
    assert not model.classifier.bias.numpy().any()
