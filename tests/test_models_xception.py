"""Xception: its counts elsewhere, and its block layer by layer."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models import create_model
from fastconv.models.xception import Block
from tests.model_facts import KERAS, REFERENCE, meta_input, traced
from tests.small_networks import images


def test_macs_at_another_resolution():
    with fc.Trace(meta=True) as trace:
        create_model("xception").eval()(meta_input((1, 224, 224, 3)))
    published = REFERENCE["extra_counts"]["legacy_xception@224"]
    assert sum(r.macs for r in trace.records) == published["macs"]


def test_xception_has_keras_counts():
    keras = KERAS["keras:Xception"]
    model, trace, _ = traced("xception")
    assert sum(p.size for p in model.parameters()) == keras["params_trainable"]
    assert sum(r.macs for r in trace.records) == keras["macs"]
    assert sum(isinstance(m, nn.Conv2d) for m in model.modules()) == keras["conv_layers"]


@pytest.mark.parametrize(
    ("channels", "stride", "relu_first"),
    [((6, 6, 6), 1, True), ((6, 10), 2, True), ((8, 8), 2, False)],
)
def test_a_block_of_xception_is_its_layers(channels, stride, relu_first):
    block = Block(6, channels, stride, relu_first)
    x = images((2, 7, 7, 6))
    y = x
    for layer in block.rep:
        if isinstance(layer, nn.ReLU | nn.BatchNorm2d | nn.MaxPool2d):
            y = layer(y)
        else:
            y = layer.pointwise(layer.conv1(y))
    y = y + (x if block.skip is None else block.skipbn(block.skip(x)))
    np.testing.assert_allclose(block(x).numpy(), y.numpy(), rtol=1e-4, atol=1e-5)
