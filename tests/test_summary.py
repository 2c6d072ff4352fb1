"""fc.analysis.summary: the figures of a real run without running, and a model left as it was."""

import subprocess
import sys

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.core import random_state
from fastconv.errors import ArgumentError, ShapeError
from fastconv.models import create_model, list_models, model_info
from fastconv.models.resnet import BasicBlock, Bottleneck, ResNet
from fastconv.models.vgg import BLOCKS, VGG

SHAPE = (2, 32, 32, 3)
SMALL = {
    "basic": lambda: ResNet(BasicBlock, (1, 2, 1, 1), 5),
    "bottleneck": lambda: ResNet(Bottleneck, (1, 1, 1, 1), 5),
    "vgg": lambda: VGG(BLOCKS[11], False, 5, map_size=1, hidden=16),
    "vgg_bn": lambda: VGG(BLOCKS[11], True, 5, map_size=1, hidden=16),
}


def images(shape=SHAPE):
    return fc.tensor(np.random.default_rng(0).standard_normal(shape).astype("float32"))


def momentum_sgd(parameters):
    return fc.optim.SGD(parameters, lr=0.01, momentum=0.9)


def adam(parameters):
    return fc.optim.Adam(parameters)


@pytest.mark.parametrize("name", list_models())
def test_totals_are_the_registered_ones_and_the_sum_of_the_rows(name):
    with fc.Trace(meta=True):
        model = create_model(name)
    s = fc.analysis.summary(model, (1, *model_info(name).input_shape))
    assert (s.params, s.trainable_params) == (model_info(name).params,) * 2
    assert s.param_bytes == 4 * s.params
    assert s.macs == model_info(name).macs and s.flops == 2 * s.macs
    assert sum(r.params for r in s.rows) == s.params
    assert sum(r.macs for r in s.rows) == s.macs
    assert sum(r.saved_bytes for r in s.rows) == s.saved_bytes > 0
    assert s.peak_bytes > s.param_bytes


@pytest.mark.parametrize("name", SMALL)
def test_saved_bytes_and_macs_are_those_of_a_real_run(name):
    model = SMALL[name]()
    s = fc.analysis.summary(model, SHAPE)
    with fc.Trace() as real:
        y = model(images())
    assert s.saved_bytes == real.saved_bytes
    assert s.macs == real.macs
    assert s.rows[-1].output_shape == y.shape


@pytest.mark.parametrize("optimizer", [momentum_sgd, adam])
@pytest.mark.parametrize("name", SMALL)
def test_training_peak_is_that_of_a_real_step(name, optimizer):
    predicted = fc.analysis.summary(SMALL[name](), SHAPE, training=True, optimizer=optimizer)
    with fc.Trace() as real:
        model = SMALL[name]()
        opt = optimizer(list(model.parameters()))
        step(model, opt)
        real.reset_peak()
        step(model, opt)
    assert predicted.peak_by_kind == real.peak_by_kind
    assert predicted.peak_bytes == real.peak_bytes


def step(model, opt):
    x, labels = images(), fc.tensor(np.array([0, 1]))
    opt.zero_grad()
    y = model(x)
    loss = fc.functional.cross_entropy(y, labels)
    loss.backward()
    opt.step()


@pytest.mark.parametrize("name", SMALL)
def test_inference_peak_is_that_of_a_real_pass(name):
    predicted = fc.analysis.summary(SMALL[name](), SHAPE)
    with fc.Trace() as real, fc.no_grad():
        model = SMALL[name]().eval()
        x = images()
        model(x)  # packs the weights
        real.reset_peak()
        model(x)
    assert predicted.peak_bytes == real.peak_bytes
    assert "gradient" not in {k for k, v in predicted.peak_by_kind.items() if v}


def test_memory_figures_are_told_apart():
    with fc.Trace(meta=True):
        model = create_model("resnet18")
    inference = fc.analysis.summary(model, (8, 224, 224, 3))
    training = fc.analysis.summary(model, (8, 224, 224, 3), training=True)
    by_adam = fc.analysis.summary(model, (8, 224, 224, 3), training=True, optimizer=adam)
    assert inference.saved_bytes == training.saved_bytes
    assert inference.peak_bytes < training.peak_bytes < by_adam.peak_bytes
    # parameters, momenta and what is saved are alive at the end of a forward pass
    assert training.peak_bytes > training.saved_bytes + 2 * training.param_bytes
    # Adam has two arrays per parameter, momentum one
    assert by_adam.peak_bytes - training.peak_bytes == training.param_bytes
    # parameters stay, activations grow with the batch
    twice = fc.analysis.summary(model, (16, 224, 224, 3))
    assert twice.param_bytes == inference.param_bytes
    assert twice.saved_bytes > 1.99 * inference.saved_bytes


def test_the_model_is_left_as_it_was():
    model = SMALL["vgg_bn"]()
    step(model, momentum_sgd(list(model.parameters())))
    model.eval()
    model.features.train()
    state = model.state_dict()
    tensors = [*model.parameters(), *model.buffers()]
    arrays = [x.data for x in tensors]
    versions = [x._buffer.version for x in tensors]
    gradients = [p.grad for p in model.parameters()]
    versions_of_gradients = [g._buffer.version for g in gradients]
    modes = [m.training for m in model.modules()]
    random = random_state()

    fc.analysis.summary(model, SHAPE, training=True)
    fc.analysis.summary(model, SHAPE, training=True, optimizer=lambda ps: momentum_sgd(ps[:1]))

    assert all(x.data is a for x, a in zip(tensors, arrays))
    assert [x._buffer.version for x in tensors] == versions
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients))
    assert [g._buffer.version for g in gradients] == versions_of_gradients
    assert [m.training for m in model.modules()] == modes
    assert random_state() == random
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[key])


def test_the_model_is_left_as_it_was_after_an_error_too():
    model = SMALL["vgg_bn"]()
    with pytest.raises(ShapeError):
        fc.analysis.summary(model, (1, 32, 32, 4))
    assert not any(x.is_meta for x in [*model.parameters(), *model.buffers()])
    assert all(m.training for m in model.modules())


def test_a_meta_model_and_a_real_one_have_the_same_summary():
    real = SMALL["vgg_bn"]()
    with fc.Trace(meta=True):
        meta = SMALL["vgg_bn"]()
    a, b = (fc.analysis.summary(m, SHAPE, training=True) for m in (real, meta))
    assert a == b


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "alexnet", "lenet5"])
def test_nchw_is_named(name):
    h, w, _ = model_info(name).input_shape
    with fc.Trace(meta=True):
        model = create_model(name, in_channels=3)
    with pytest.raises(ShapeError, match=r"looks like NCHW: use fc\.from_nchw\(x\)$"):
        fc.analysis.summary(model, (1, 3, h, w))


@pytest.mark.parametrize("shape", [(), "1,2", (1, 32.0, 32, 3), (1, -32, 32, 3), 224])
def test_wrong_shapes_are_named(shape):
    with pytest.raises(ArgumentError, match="summary: input_shape must be ints such as"):
        fc.analysis.summary(nn.ReLU(), shape)


def test_what_is_no_model_is_named():
    with pytest.raises(ArgumentError, match=r"summary: model must be an nn\.Module, got str"):
        fc.analysis.summary("resnet18", SHAPE)


class Twice(nn.Module):
    """A layer under two names, run twice; one with the same weight; one that never runs."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = self.first
        self.idle = nn.Linear(3, 4)
        self.tied = nn.Linear(3, 3)
        self.tied.weight = self.first.weight

    def forward(self, x):
        return self.tied(self.second(self.first(x).reshape(-1, 3))) + x


def test_shared_and_idle_modules():
    model = Twice()
    model.idle.freeze()
    s = fc.analysis.summary(model, (5, 3))
    assert (s.params, s.trainable_params) == (12 + 16 + 3, 12 + 3)
    assert s.macs == 3 * 5 * 9
    rows = [
        (r.name, r.kind, r.output_shape, r.params, r.macs) for r in s.rows if r.kind == "Linear"
    ]
    assert rows == [
        ("first", "Linear", (5, 3), 12, 45),
        ("first", "Linear", (5, 3), 0, 45),
        ("idle", "Linear", None, 16, 0),
        ("tied", "Linear", (5, 3), 3, 45),
    ]
    assert s.rows[-1].kind == "Twice"


def test_rows_of_fused_layers_have_the_layers_names():
    s = fc.analysis.summary(SMALL["basic"](), SHAPE)
    rows = {r.name: r for r in s.rows}
    assert rows["layer1.0.conv1"].macs == 2 * 8 * 8 * 64 * 9 * 64
    assert rows["layer1.0.conv1"].output_shape == (2, 8, 8, 64)
    assert rows["layer1.0.conv1"].params == 9 * 64 * 64
    assert rows["layer1.0.bn1"].params == 128
    assert rows["fc"].params == 5 * 512 + 5


def test_it_prints_a_table_with_units():
    text = str(fc.analysis.summary(create_model("lenet5"), (1, 32, 32, 1), training=True))
    lines = text.splitlines()
    assert "LeNet5, input (1, 32, 32, 1), float32" in lines[0]
    header = next(line for line in lines if "layer" in line)
    for column in ("layer", "kind", "output shape", "params", "MACs", "FLOPs", "saved (KiB)"):
        assert column in header
    (conv,) = [line.split() for line in lines if line.split()[:1] == ["conv1"]]
    assert conv[:10] == ["conv1", "Conv2d", "1", "x", "28", "x", "28", "x", "6", "156"]
    assert conv[10:12] == ["117,600", "235,200"]
    for words in (
        "61,706",
        "416,520",
        "833,040 (2 x MACs)",
        "241.04 KiB",
        "memory: predicted peak",
        "training step",
    ):
        assert words in text, words


def test_rich_is_imported_only_to_print():
    code = (
        "import sys, fastconv as fc\n"
        "s = fc.analysis.summary(fc.models.lenet5(), (1, 32, 32, 1))\n"
        "assert 'rich' not in sys.modules\n"
        "str(s)\n"
        "assert 'rich' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
