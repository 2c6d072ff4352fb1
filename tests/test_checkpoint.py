"""fc.checkpoint: the same bits from less memory."""

import copy

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.analysis import summary
from fastconv.backend import reset_peak_memory, select
from fastconv.errors import ArgumentError, GradientError
from fastconv.models import create_model
from tests.places import EVERYWHERE

F = fc.functional


class Block(nn.Module):
    """Two convolutions with batch norm, dropout, a sum; one tensor in, or two."""

    def __init__(self, channels=4):
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(channels)
        self.drop = nn.Dropout(0.4)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x, other=None, scale=1.0):
        y = self.conv2(self.drop(F.relu(self.bn(self.conv1(x))))) * scale
        return x + y if other is None else y + other


class Net(nn.Module):
    def __init__(self, block=Block):
        self.stem = nn.Conv2d(3, 4, 3)
        self.blocks = nn.Sequential(*(block() for _ in range(3)))
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).mean(axis=(1, 2)))


def image(shape=(2, 9, 8, 3), seed=0):
    values = np.random.default_rng(seed).standard_normal(shape).astype("float32")
    return fc.tensor(values, requires_grad=True)


def step(choose, make=Net, steps=2):
    """Gradients, buffers and losses of training steps. choose(model): what is recomputed."""
    fc.manual_seed(3)
    model = make().train()
    for module in choose(model):
        assert fc.checkpoint(module) is module
    optimizer = fc.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found = {}
    for i in range(steps):
        x = image(seed=i)
        loss = F.cross_entropy(model(x), fc.tensor(np.array([1, 4])))
        model.zero_grad()
        loss.backward()
        found[f"{i} loss"] = loss.numpy().copy()
        found[f"{i} x"] = x.grad.numpy()
        found |= {f"{i} {k}": p.grad.numpy().copy() for k, p in model.named_parameters()}
        found |= {f"{i} {k}": b.numpy().copy() for k, b in model.named_buffers()}
        optimizer.step()
    found["random"] = np.array(fc.core.random_state(), dtype=object)
    return found


def same(first, second):
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


CHOICES = {
    "every block": lambda model: model.blocks.children(),
    "all blocks as one": lambda model: [model.blocks],
    "one inside the other": lambda model: [model.blocks, *model.blocks.children()],
    "the whole network": lambda model: [model],
    "a layer": lambda model: [model.stem],
}


@pytest.mark.parametrize("backend", EVERYWHERE)
@pytest.mark.parametrize("name", CHOICES)
def test_gradients_and_statistics_have_the_same_bits(name, backend):
    with fc.use_backend(backend):
        same(step(CHOICES[name]), step(lambda model: []))


def test_backward_happens_where_forward_did():
    """Backend, algorithm and autocast of the first time, whatever holds when backward is called."""

    def gradient(recompute):
        fc.manual_seed(1)
        block = fc.checkpoint(Block(), recompute)
        x = image((1, 6, 5, 4))
        with fc.use_backend("reference"), fc.autocast("bfloat16"):
            y = block(x)
        y.sum().backward()
        return x.grad.numpy(), block.conv1.weight.grad.numpy()

    for ours, plain in zip(gradient(True), gradient(False), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_no_packed_weights_in_training():
    """Under no_grad kernels may read packed weights, by another algorithm: other bits."""
    fc.manual_seed(0)
    layer = fc.checkpoint(nn.Conv2d(64, 64, 3, padding=1))
    y = layer(image((1, 8, 8, 64)))
    assert layer.weight._buffer.packed is None and layer.weight.data.flags.writeable
    assert y.requires_grad


def test_several_tensors_in_and_out_and_other_arguments():
    class Two(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, a, b, factor):
            y = self.conv(a) * factor
            return y, b + y, a

    def gradients(recompute):
        fc.manual_seed(1)
        two = fc.checkpoint(Two(), recompute)
        a, b = image((1, 3, 3, 4), 1), image((1, 3, 3, 4), 2)
        y, z, again = two(a, b, 0.5)
        (y * z + again).sum().backward()
        return [a.grad.numpy(), b.grad.numpy(), two.conv.weight.grad.numpy()]

    for ours, plain in zip(gradients(True), gradients(False), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_an_output_that_is_not_used_and_one_input_without_gradient():
    class Pair(nn.Module):
        def forward(self, a, b):
            return a * b, b * 2

    pair, a = fc.checkpoint(Pair()), image((2, 3))
    b = fc.tensor(np.full((2, 3), 3, np.float32))
    y, _ = pair(a, b)
    y.sum().backward()
    np.testing.assert_array_equal(a.grad.numpy(), b.numpy())
    assert b.grad is None


def test_without_gradients_it_is_the_module_itself():
    block, x = fc.checkpoint(Block().eval()), image((1, 5, 5, 4))
    with fc.no_grad():
        y = block(x)
    assert not y.requires_grad
    plain = fc.checkpoint(block, False)
    with fc.no_grad():
        np.testing.assert_array_equal(plain(x).numpy(), y.numpy())
    frozen = fc.checkpoint(Block()).freeze()
    assert not frozen(x.detach()).requires_grad


def test_names_copies_and_the_way_back():
    model = Net()
    names = list(model.state_dict())
    fc.checkpoint(model.blocks)
    assert list(model.state_dict()) == names
    other = copy.deepcopy(model)
    assert other.blocks.recomputed and other.blocks[0] is not model.blocks[0]
    fc.checkpoint(model.blocks, recompute=False)
    assert not model.blocks.recomputed and other.blocks.recomputed


# ---- memory


def test_the_trace_tells_the_saving_before_anything_is_computed():
    with fc.Trace(meta=True):
        model = create_model("resnet50")
    shape = (8, 224, 224, 3)
    plain = summary(model, shape, training=True)
    for i in (1, 2, 3, 4):
        for block in getattr(model, f"layer{i}").children():
            fc.checkpoint(block)
    less = summary(model, shape, training=True)
    assert less.params == plain.params and less.macs == plain.macs
    assert less.saved_bytes < 0.4 * plain.saved_bytes
    assert less.peak_bytes < 0.7 * plain.peak_bytes
    # 16 inputs of blocks are kept, and what stem and head keep
    sides = {56: 64 + 3 * 256, 28: 4 * 512, 14: 6 * 1024, 7: 2 * 2048}
    inputs = 4 * 8 * sum(side**2 * channels for side, channels in sides.items())
    stem = 4 * 8 * (224**2 * 3 + 2 * 112**2 * 64 + 56**2 * 64)
    assert inputs < less.saved_bytes < inputs + 1.1 * stem


@pytest.mark.skipif(not select.NATIVE_BUILT, reason="fastconv._cpu is not built")
def test_measured_memory_is_what_was_predicted():
    fc.manual_seed(0)
    model = create_model("resnet18", num_classes=10).train()
    for i in (1, 2, 3, 4):
        for block in getattr(model, f"layer{i}").children():
            fc.checkpoint(block)
    shape = (4, 96, 96, 3)
    predicted = summary(model, shape, training=True)
    optimizer = fc.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, labels = image(shape).detach(), fc.tensor(np.arange(4))
    for _ in range(3):
        fc.empty_cache()
        reset_peak_memory()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
    measured = fc.memory_stats()["peak_bytes"]
    assert abs(measured - predicted.peak_bytes) < 0.03 * measured


# ---- misuse


def test_the_graph_is_walked_once():
    y = fc.checkpoint(Block())(image((1, 4, 4, 4))).sum()
    y.backward()
    with pytest.raises(GradientError, match=r"graph at .* was already walked"):
        y.backward()
    x = image((1, 4, 4, 4))
    z = fc.checkpoint(Block())(x)
    z.sum().backward()
    with pytest.raises(GradientError, match="graph at Block was already walked"):
        (z * 2).sum().backward()


def test_an_input_that_changed_is_noticed():
    x = image((1, 4, 4, 4))
    y = fc.checkpoint(Block())(x)
    with fc.no_grad():
        x.copy_(np.zeros(x.shape))
    with pytest.raises(GradientError, match="an input of Block, which is computed again"):
        y.sum().backward()


def test_tensors_by_name_are_refused():
    x = image((1, 4, 4, 4))
    with pytest.raises(ArgumentError, match="Block must be given tensors by position"):
        fc.checkpoint(Block())(x, other=x)


def test_what_is_no_module_or_gives_no_tensor_is_refused():
    with pytest.raises(ArgumentError, match=r"module must be an nn\.Module, got"):
        fc.checkpoint(Block().forward)

    class Number(nn.Module):
        def forward(self, x):
            return 3

    with pytest.raises(ArgumentError, match="Number must give a Tensor or a tuple of Tensors"):
        fc.checkpoint(Number())(image((1, 2)))
