"""Results of batch normalisation that convolutions do not keep: made again, with the same bits."""

import gc

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.analysis import summary
from fastconv.backend import reset_peak_memory, select
from fastconv.core import Op
from fastconv.models import create_model
from fastconv.ops.batch_norm import BatchNorm
from fastconv.ops.conv_bn_act import ConvBnAct
from tests.places import EVERYWHERE

F = fc.functional


class Net(nn.Module):
    """All that reads such a result: convolutions, another norm, pooling, a sum, the loss."""

    def __init__(self):
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, groups=6), nn.BatchNorm2d(6)
        self.conv3, self.bn3 = nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)
        self.bn4, self.bn5 = nn.BatchNorm2d(6), nn.BatchNorm2d(6)
        self.conv4, self.bn6 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv5 = nn.Conv2d(6, 6, 1)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        y = nn.conv_bn_act(x, self.conv2, self.bn2, "relu6")
        y = nn.conv_bn_act(y, self.conv3, self.bn3, "silu")
        y = self.bn5(self.bn4(y, "relu"))
        y = self.pool(self.conv5(self.bn6(self.conv4(y), "relu")) + y)
        return self.fc(y.mean(axis=(1, 2))) + x.mean()


def image(shape=(3, 8, 9, 3)):
    return fc.tensor(np.random.default_rng(0).standard_normal(shape).astype("float32"))


def gradients(make):
    fc.manual_seed(2)
    model = make().train()
    x = image()
    x.requires_grad = True
    loss = F.cross_entropy(model(x), fc.tensor(np.array([0, 3, 1])))
    loss.backward()
    return {"x": x.grad.numpy()} | {k: p.grad.numpy() for k, p in model.named_parameters()}


def keeping(monkeypatch):
    for op in (BatchNorm, ConvBnAct):
        monkeypatch.setattr(op, "remakes", Op.remakes)


def count(monkeypatch):
    """How often the result of each kind is made again."""
    calls = []
    for op in (BatchNorm, ConvBnAct):

        def remake(self, original=op.remake):
            calls.append(self)
            return original(self)

        monkeypatch.setattr(op, "remake", remake)
    return calls


@pytest.mark.parametrize("backend", EVERYWHERE)
def test_gradients_have_the_bits_of_what_was_kept(backend, monkeypatch):
    with fc.use_backend(backend):
        calls = count(monkeypatch)
        ours = gradients(Net)
        assert len(calls) >= 4
        keeping(monkeypatch)
        before = len(calls)
        kept = gradients(Net)
        assert len(calls) == before
    for key, value in kept.items():
        np.testing.assert_array_equal(ours[key], value, err_msg=key)


def pair():
    fc.manual_seed(0)
    bn, conv = nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3)
    return bn, conv, image((2, 5, 5, 3))


def test_what_is_still_alive_is_used_as_it_is(monkeypatch):
    calls = count(monkeypatch)
    bn, conv, x = pair()
    y = bn(x, "relu")
    conv(y).sum().backward()
    assert not calls
    y = bn(x, "relu")
    z = conv(y).sum()
    del y
    z.backward()
    assert len(calls) == 1


def test_two_readers_share_it_and_the_last_one_frees_it(monkeypatch):
    calls = count(monkeypatch)
    bn, conv, x = pair()
    other = nn.Conv2d(3, 2, 3)
    y = bn(x, "relu")
    recipe = y._recipe
    loss = conv(y).sum() + other(y).sum()
    del y
    assert recipe.users == 2
    loss.backward()
    assert len(calls) == 1 and recipe.users == 0 and recipe._made is None and recipe._op is None


def test_a_write_in_place_does_not_reach_the_gradient():
    bn, conv, x = pair()
    found = []
    for write in (False, True):
        conv.weight.grad = None
        y = bn(x, "relu")
        z = conv(y).sum()
        if write:
            with fc.no_grad():
                y.copy_(np.zeros(y.shape))
        z.backward()
        found.append(conv.weight.grad.numpy().copy())
    np.testing.assert_array_equal(*found)
    assert found[0].any()


def test_nothing_is_made_again_where_nothing_was_kept(monkeypatch):
    """In eval and without gradients, and where the activation needs its result."""
    calls = count(monkeypatch)
    bn, conv, x = pair()
    for mode, act in ((False, "relu"), (True, "tanh")):
        bn.train(mode)
        y = bn(x, act)
        assert y._recipe is None
        conv(y).sum().backward()
    with fc.no_grad():
        assert bn.train()(x, "relu")._recipe is None
    assert not calls


def test_the_arrays_are_not_kept():
    bn, conv, x = pair()
    with fc.Trace() as trace:
        z = conv(bn(x, "relu"))
    assert [s.nbytes for s in trace.records[1].saved if s.kind == "activation"] == []
    norm = [s.nbytes for s in trace.records[0].saved if s.kind == "activation"]
    assert sum(norm) == 2 * 3 * 4  # mean and 1 / standard deviation
    z.sum().backward()


@pytest.mark.parametrize(("name", "share"), [("mobilenet_v2", 0.55), ("densenet121", 0.55)])
def test_training_needs_about_half_the_memory(name, share, monkeypatch):
    with fc.Trace(meta=True):
        model = create_model(name)
    less = summary(model, (8, 224, 224, 3), training=True)
    keeping(monkeypatch)
    more = summary(model, (8, 224, 224, 3), training=True)
    assert less.saved_bytes < share * more.saved_bytes
    assert less.peak_bytes < 0.65 * more.peak_bytes


@pytest.mark.skipif(not select.NATIVE_BUILT, reason="fastconv._cpu is not built")
@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121"])
def test_measured_memory_is_what_was_predicted(name):
    fc.manual_seed(0)
    model = create_model(name, num_classes=10).train()
    shape = (2, 96, 96, 3)
    predicted = summary(model, shape, training=True).peak_bytes
    optimizer = fc.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, labels = image(shape), fc.tensor(np.arange(2))
    for _ in range(3):
        gc.collect()
        reset_peak_memory()
        optimizer.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()
    measured = fc.memory_stats()["peak_bytes"]
    assert abs(measured - predicted) < 0.03 * measured
