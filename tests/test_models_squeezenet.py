"""SqueezeNet: its size, the fire module, and a classifier without linear layer."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models import create_model, model_info
from fastconv.models.squeezenet import Fire
from tests.model_facts import REFERENCE, meta_input
from tests.small_networks import images

F = fc.functional
EXTRA = REFERENCE["extra_counts"]


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_macs_at_caffes_resolution(name):
    with fc.Trace(meta=True) as trace:
        create_model(name).eval()(meta_input((1, 227, 227, 3)))
    assert sum(r.macs for r in trace.records) == EXTRA[f"{name}@227"]["macs"]


def test_squeezenet_is_fifty_times_smaller_than_alexnet():
    """Iandola et al. 2016, table 2: 50x, of AlexNet's 240 MB."""
    assert round(model_info("alexnet_2012").params / model_info("squeezenet1_0").params) == 49
    assert round(model_info("alexnet_2012").params / model_info("squeezenet1_1").params) == 49


def test_a_fire_module_concatenates_1x1_before_3x3():
    fire = Fire(8, 3, 5)
    x = images((1, 6, 6, 8))
    y = fire(x).numpy()
    s = F.relu(fire.squeeze(x))
    np.testing.assert_array_equal(y[..., :5], F.relu(fire.expand1x1(s)).numpy())
    np.testing.assert_array_equal(y[..., 5:], F.relu(fire.expand3x3(s)).numpy())


def test_squeezenet_starts_as_torchvisions():
    model = create_model("squeezenet1_1")
    last = model.classifier[1]
    assert abs(np.mean(last.weight.numpy() ** 2) / 1e-4 - 1) < 0.02
    w = model.features[12].expand3x3.weight.numpy()
    bound = np.sqrt(6 / np.prod(w.shape[1:]))
    assert bound * 0.99 < abs(w).max() <= bound
    assert not any(m.bias.numpy().any() for m in model.modules() if isinstance(m, nn.Conv2d))


def test_features_of_squeezenet_are_the_means_of_its_last_maps():
    model = create_model("squeezenet1_1", num_classes=0).eval()
    x = images((1, 64, 64, 3))
    with fc.no_grad():
        means = model.forward_features(x).numpy().mean((1, 2))
        np.testing.assert_allclose(model(x).numpy(), means, rtol=1e-5, atol=1e-6)
