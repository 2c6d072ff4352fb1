"""feature_extractor: outputs of inner modules, and no more work than they need."""

import threading
from copy import deepcopy

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.errors import ArgumentError
from fastconv.models import create_model, feature_extractor
from fastconv.models.resnet import BasicBlock, ResNet
from tests.model_facts import meta_input


@pytest.fixture
def net():
    return ResNet(BasicBlock, (1, 1, 1, 1), num_classes=5)


@pytest.fixture
def x(rng):
    return fc.tensor(rng.standard_normal((2, 32, 32, 3)).astype("float32"))


@pytest.mark.parametrize("training", [False, True])
def test_outputs_are_those_of_a_whole_run(net, x, training):
    net.train(training)
    whole = deepcopy(net)
    y = whole.maxpool(nn.conv_bn_act(x, whole.conv1, whole.bn1, "relu"))
    first = y = whole.layer1(y)
    y = whole.layer3(whole.layer2(y))
    features = feature_extractor(net, ["layer3", "layer1"])(x)
    assert list(features) == ["layer3", "layer1"]
    np.testing.assert_array_equal(features["layer3"].numpy(), y.numpy())
    np.testing.assert_array_equal(features["layer1"].numpy(), first.numpy())


def test_the_last_module_and_the_model_agree(net, x):
    net.eval()
    features = feature_extractor(net, ["flatten", "fc"])(x)
    np.testing.assert_array_equal(features["fc"].numpy(), net(x).numpy())
    assert features["flatten"].shape == (2, 512)


def test_nothing_behind_the_last_one_is_computed(net, x):
    with fc.Trace() as trace:
        feature_extractor(net, ["layer2.0"])(x)
    ran = {id(r.module) for r in trace.records}
    assert id(net.layer2[0].conv2) in ran
    assert not ran & {id(m) for part in (net.layer3, net.fc) for m in part.modules()}
    # in training: statistics of what did not run stay
    assert net.layer2[0].bn2.num_batches_tracked.item() == 1
    assert net.layer3[0].bn1.num_batches_tracked.item() == 0
    assert trace.modules == []


def test_gradients_go_back_through_the_features(net, x):
    extractor = feature_extractor(net, ["layer1", "layer2"]).train()
    out = extractor(x)
    (out["layer1"].sum() + (out["layer2"] * out["layer2"]).sum()).backward()
    assert np.isfinite(net.conv1.weight.grad.numpy()).all() and net.conv1.weight.grad.numpy().any()
    assert net.layer2[0].conv2.weight.grad.numpy().any()
    assert net.layer3[0].conv1.weight.grad is None


def test_it_is_a_module_that_shares_the_models_parameters(net):
    extractor = feature_extractor(net, ["layer1"])
    assert {id(p) for p in extractor.parameters()} == {id(p) for p in net.parameters()}
    extractor.eval()
    assert not net.layer1[0].bn1.training
    assert "FeatureExtractor(['layer1']" in repr(extractor)


def test_meta_mode_gives_shapes():
    with fc.Trace(meta=True):
        extractor = feature_extractor(create_model("vgg16"), ["features.4", "classifier.1"])
        shapes = {k: y.shape for k, y in extractor(meta_input((1, 224, 224, 3))).items()}
    assert shapes == {"features.4": (1, 112, 112, 64), "classifier.1": (1, 4096)}


def test_afterwards_nothing_is_watched(net, x):
    extractor = feature_extractor(net.eval(), ["layer1"])
    extractor(x)
    with pytest.raises(fc.errors.ShapeError):
        extractor(fc.tensor(np.ones((1, 8), "float32")))
    assert fc.core.state.watch is None and not fc.core.state.observed
    assert net(x).shape == (2, 5)
    with fc.Trace() as trace:
        extractor(x)
        net(x)
    assert trace.records[-1].module is net.fc and not fc.core.state.observed


def test_an_extractor_inside_another_network(x):
    class Outer(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.inner = feature_extractor(net, ["layer1"])
            self.pool = nn.AdaptiveAvgPool2d(1)

        def forward(self, x):
            return self.pool(self.inner(x)["layer1"])

    outer = Outer(ResNet(BasicBlock, (1, 1, 1, 1), num_classes=5)).eval()
    features = feature_extractor(outer, ["inner.model.maxpool", "pool"])(x)
    np.testing.assert_array_equal(features["pool"].numpy(), outer(x).numpy())
    assert features["inner.model.maxpool"].shape == (2, 8, 8, 64)
    assert list(feature_extractor(outer, ["inner.model.maxpool"])(x)) == ["inner.model.maxpool"]


def test_another_thread_runs_the_same_model_undisturbed(net, x):
    class StartsAnother(nn.Module):
        def __init__(self, pool):
            super().__init__()
            self.pool = pool
            self.results = None

        def forward(self, y):
            if self.results is None:
                self.results = []
                thread = threading.Thread(target=lambda: self.results.append(net(x).numpy()))
                thread.start()
                thread.join()
            return self.pool(y)

    whole = net.eval()(x).numpy()
    net.maxpool = StartsAnother(net.maxpool)
    assert feature_extractor(net, ["layer1"])(x)["layer1"].shape == (2, 8, 8, 64)
    (other,) = net.maxpool.results
    np.testing.assert_array_equal(other, whole)


def test_of_a_module_that_runs_twice_it_is_the_first_output():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(self.relu(x) - 1)

    x = fc.tensor(np.array([[0.5, 3]], "float32"))
    assert feature_extractor(Twice(), ["relu"])(x)["relu"].numpy().tolist() == [[0.5, 3]]


def test_wrong_names_are_named(net, x):
    with pytest.raises(ArgumentError, match=r"ResNet has no module 'layer5'; near to it: layer"):
        feature_extractor(net, ["layer5"])
    with pytest.raises(ArgumentError, match=r"a list of module names.*got 'layer4'"):
        feature_extractor(net, "layer4")
    with pytest.raises(ArgumentError, match=r"got \[\]"):
        feature_extractor(net, [])
    with pytest.raises(ArgumentError, match=r"must be an nn\.Module, got str"):
        feature_extractor("resnet18", ["layer4"])
    with pytest.raises(
        ArgumentError,
        match=r"layer2.0.bn1 did not run by itself in ResNet \(a convolution and its batch norm run"
        r" as one op, nn.conv_bn_act\); modules that did: layer2.0, layer2, maxpool,",
    ):
        feature_extractor(net, ["layer1", "layer2.0.bn1"])(x)
