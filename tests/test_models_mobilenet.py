"""MobileNet v1, v2, v3 and MnasNet: widths, resolutions, and where shortcuts and dropout are."""

import re

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models import create_model
from fastconv.models.mobilenet_v2 import InvertedResidual as V2
from fastconv.models.mobilenet_v3 import InvertedResidual as V3
from tests.model_facts import FACTS, KERAS, REFERENCE, meta_input, traced

EXTRA = REFERENCE["extra_counts"]


def counted(name, size, **options):
    """(parameters, multiply-accumulates of one image of size x size)."""
    with fc.Trace(meta=True) as trace, fc.no_grad():
        model = create_model(name, **options).eval()
        model(meta_input((1, size, size, 3)))
    return sum(p.size for p in model.parameters()), sum(r.macs for r in trace.records)


@pytest.mark.parametrize("size", [128, 160, 192, 224])
@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.75, 1.0])
def test_mobilenet_v1_of_every_width_and_resolution(alpha, size):
    """Howard et al. 2017, tables 6 and 7: 16 networks."""
    published = KERAS[f"keras:MobileNet_a{alpha}_{size}"]
    assert counted("mobilenet_v1", size, alpha=alpha) == (
        published["params_trainable"],
        published["macs"],
    )


def test_the_papers_millions_of_mobilenet_v1():
    """Howard et al. 2017, table 8: 4.2 million parameters, 569 million multiply-adds."""
    params, macs = counted("mobilenet_v1", 224)
    assert (round(params / 1e6, 1), round(macs / 1e6)) == (4.2, 569)


def test_depth_multiplier_widens_between_depthwise_and_pointwise():
    model = traced("mobilenet_v1_025")[0]
    wide = create_model("mobilenet_v1_025", depth_multiplier=2, dropout=0.001)
    for one, two in zip(model.blocks, wide.blocks):
        for thin, broad in zip(one, two):
            assert broad.conv_dw.out_channels == 2 * thin.conv_dw.out_channels
            assert broad.conv_pw.in_channels == 2 * thin.conv_pw.in_channels
            assert broad.conv_pw.out_channels == thin.conv_pw.out_channels
    assert wide(fc.tensor(np.ones((1, 32, 32, 3), "float32"))).shape == (1, 1000)
    assert wide.drop.p == 0.001


@pytest.mark.parametrize("width", [0.25, 0.35, 0.5, 0.75, 1.3, 1.4])
def test_mobilenet_v2_of_every_width(width):
    published = EXTRA[f"mobilenet_v2_w{width}_torchvision_rule"]
    assert counted("mobilenet_v2", 224, width=width) == (published["params"], published["macs"])


@pytest.mark.parametrize("width", [0.35, 0.5, 0.75, 1.0, 1.3, 1.4])
def test_mobilenet_v2_has_keras_counts(width):
    published = KERAS[f"keras:MobileNetV2_a{width}_224"]
    assert counted("mobilenet_v2", 224, width=width) == (
        published["params_trainable"],
        published["macs"],
    )


@pytest.mark.parametrize("size", [128, 160, 192])
def test_mobilenet_v2_of_every_resolution(size):
    assert counted("mobilenet_v2", size)[1] == EXTRA[f"mobilenet_v2@{size}"]["macs"]


@pytest.mark.parametrize("kind", ["large", "small"])
def test_mobilenet_v3_thinned_and_as_keras_counts_it(kind):
    name = f"mobilenet_v3_{kind}"
    published = EXTRA[f"{name}_w0.75"]
    assert counted(name, 224, width=0.75) == (published["params"], published["macs"])
    keras = KERAS[f"keras:MobileNetV3{kind.capitalize()}"]
    timm = FACTS[f"tf_mobilenetv3_{kind}_100"]
    assert counted(name, 224) == (keras["params_trainable"], keras["macs"])
    assert counted(name, 224) == (timm["params_trainable"], timm["macs"])


@pytest.mark.parametrize(
    ("name", "kind", "shortcuts"),
    [
        ("mobilenet_v2", V2, 10),
        ("mobilenet_v3_large", V3, 10),
        ("mobilenet_v3_small", V3, 6),
    ],
)
def test_shortcuts_are_where_neither_stride_nor_width_changes(name, kind, shortcuts):
    with fc.Trace(meta=True):
        blocks = [m for m in traced(name)[0].modules() if isinstance(m, kind)]
        for block in blocks:
            first = next(m for m in block.modules() if isinstance(m, nn.Conv2d))
            x = meta_input((1, 8, 8, first.in_channels))
            assert block.shortcut == (block(x).shape == x.shape)
    assert sum(b.shortcut for b in blocks) == shortcuts


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small", "mnasnet1_0"])
def test_dropout_is_an_option_and_acts_in_training_only(name):
    assert [
        m.p for m in create_model(name, dropout=0.4).modules() if isinstance(m, nn.Dropout)
    ] == [0.4]
    model = create_model(name, 3)
    x = fc.tensor(np.random.default_rng(0).standard_normal((2, 64, 64, 3)).astype("float32"))
    model.eval()
    with fc.no_grad():
        np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())
        dropout = next(m for m in model.modules() if isinstance(m, nn.Dropout))
        dropout.train()
        assert (model(x).numpy() != model(x).numpy()).any()


def test_mobilenets_start_as_their_implementations():
    """Fan-out of torchvision counts all filters; timm's, as TensorFlow's, those of one group."""
    v2 = create_model("mobilenet_v2").features[17].conv[1][0].weight.numpy()  # 960 depthwise 3x3
    v1 = create_model("mobilenet_v1").blocks[4][1].conv_dw.weight.numpy()  # 1024 depthwise 3x3
    for w, fan_out in ((v2, 960 * 9), (v1, 9)):
        assert abs(np.mean(w**2) * fan_out / 2 - 1) < 5 * np.sqrt(2 / w.size)
    linear = create_model("mobilenet_v2").classifier[1]
    assert abs(np.mean(linear.weight.numpy() ** 2) / 1e-4 - 1) < 0.01
    assert not linear.bias.numpy().any()


def test_mnasnet_a1_is_the_papers_size():
    """Tan et al. 2018, table 1: 3.9 million parameters, 312 million multiply-adds."""
    params, macs = counted("mnasnet_a1", 224)
    assert (round(params / 1e6, 1), round(macs / 1e6)) == (3.9, 312)
    linear = create_model("mnasnet1_0").classifier[1].weight.numpy()
    bound = np.sqrt(3 / 1000)
    assert bound * 0.99 < abs(linear).max() <= bound


@pytest.mark.parametrize(
    ("name", "timm", "ours"),
    [
        ("mobilenet_v2", "conv_stem.weight", "features.0.0.weight"),
        ("mobilenet_v2", "blocks.0.0.conv_pw.weight", "features.1.conv.1.weight"),
        ("mobilenet_v2", "blocks.1.1.bn2.running_var", "features.3.conv.1.1.running_var"),
        ("mobilenet_v2", "blocks.6.0.bn3.bias", "features.17.conv.3.bias"),
        ("mobilenet_v2", "bn2.weight", "features.18.1.weight"),
        ("mobilenet_v2", "classifier.bias", "classifier.1.bias"),
        # torchvision's head stays, also where num_classes=0 leaves ours out
        ("mobilenet_v2", "classifier.1.bias", "classifier.1.bias"),
        ("mnasnet1_0", "bn1.weight", "layers.1.weight"),
        ("mnasnet1_0", "blocks.0.0.conv_pw.weight", "layers.6.weight"),
        ("mnasnet1_0", "blocks.5.3.conv_dw.weight", "layers.12.3.layers.3.weight"),
        ("mnasnet1_0", "blocks.6.0.bn3.bias", "layers.13.0.layers.7.bias"),
        ("mnasnet1_0", "conv_head.weight", "layers.14.weight"),
        ("mnasnet1_0", "classifier.weight", "classifier.1.weight"),
        ("mnasnet1_0", "classifier.1.bias", "classifier.1.bias"),
        ("efficientnet_b1", "classifier.1.bias", "classifier.1.bias"),
        ("mnasnet_a1", "blocks.2.0.se.conv_reduce.bias", "blocks.2.0.se.fc1.bias"),
        ("mnasnet_a1", "blocks.5.2.se.conv_expand.weight", "blocks.5.2.se.fc2.weight"),
    ],
)
def test_timms_names_lead_to_ours(name, timm, ours):
    model = traced(name)[0]
    for pattern, replacement in model.key_map:
        timm = re.sub(pattern, replacement, timm)
    assert timm == ours
    assert ours in {key for key, _ in (*model.named_parameters(), *model.named_buffers())}
