"""What the generic tests of the zoo do not see of ConvNeXt and ConvNeXt V2."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models import list_models
from fastconv.models.convnext import Block, ConvNeXt
from fastconv.models.convnext_v2 import Block as BlockV2
from fastconv.models.convnext_v2 import GlobalResponseNorm
from tests.model_facts import facts, layers

CONVNEXT = list_models(family="convnext")


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("name", CONVNEXT)
def test_stochastic_depth_reaches_its_rate_in_the_last_block(name):
    published = facts(name)["details"]["stochastic_depth"]
    rates = [m.p for m in layers(name, nn.DropPath)]
    assert (rates[0], rates[-1]) == (published["first"], published["last"])
    np.testing.assert_allclose(rates, np.linspace(0, rates[-1], published["n"]))


@pytest.mark.parametrize("name", CONVNEXT + list_models(family="convnext_v2"))
def test_layer_norms_are_the_published_ones(name):
    norms = layers(name, nn.LayerNorm)
    (published,) = facts(name)["details"].get("layernorm", [{"eps": 1e-6, "n": len(norms)}])
    assert [m.eps for m in norms] == [published["eps"]] * published["n"]


def test_a_block_starts_almost_as_the_identity():
    """Layer scale 1e-6; V2's response normalisation is itself the identity at first."""
    x = fc.tensor(random(2, 9, 9, 8))
    y = Block(8, drop=0)(x).numpy()
    assert 0 < abs(y - x.numpy()).max() < 1e-4
    np.testing.assert_array_equal(GlobalResponseNorm(8)(x).numpy(), x.numpy())


def test_layer_scale_loads_from_torchvisions_shape():
    block = Block(4, drop=0)
    arrays = fc.to_torch_state_dict(block)
    assert arrays["layer_scale"].shape == (4, 1, 1)
    arrays["layer_scale"] = np.arange(4, dtype="float32").reshape(4, 1, 1)
    fc.load_torch_state_dict(block, dict(arrays))
    np.testing.assert_array_equal(block.layer_scale.numpy(), np.arange(4))


def test_response_normalisation_by_its_formula():
    grn = GlobalResponseNorm(5)
    weight, bias = random(2, 5)
    grn.weight.copy_(weight)
    grn.bias.copy_(bias)
    x = random(2, 4, 3, 5)
    n = np.sqrt((x**2).sum(axis=(1, 2), keepdims=True))
    n /= n.mean(axis=3, keepdims=True)
    y = grn(fc.tensor(x)).numpy()
    np.testing.assert_allclose(y, x + weight * x * n + bias, rtol=1e-5, atol=1e-5)


def test_response_normalisation_of_a_silent_channel_has_a_gradient():
    grn = GlobalResponseNorm(2)
    grn.weight.copy_(np.ones(2, "float32"))
    a = random(1, 3, 3, 2)
    a[..., 1] = 0
    x = fc.tensor(a, requires_grad=True)
    grn(x).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("block", [Block, BlockV2])
def test_a_training_step_with_dropped_blocks(block):
    model = ConvNeXt(block, (8, 16), (2, 2), num_classes=5, stochastic_depth=0.3)
    loss = fc.functional.cross_entropy(
        model(fc.tensor(random(4, 32, 40, 3))), fc.tensor(np.arange(4))
    )
    loss.backward()
    for key, p in model.named_parameters():
        assert np.isfinite(p.grad.numpy()).all(), key


def test_starts_as_the_authors_code():
    model = ConvNeXt(Block, (32, 64), (1, 1), num_classes=50)
    for m in model.modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            w = m.weight.numpy()
            assert abs(w.std() / 0.02 - 1) < 5 / np.sqrt(2 * w.size)
            assert not m.bias.numpy().any()
