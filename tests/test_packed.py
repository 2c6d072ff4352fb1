"""Packed copies of weights: kept between inferences, never behind the weights."""

import gc

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend.select import NATIVE_BUILT

if not NATIVE_BUILT:
    pytest.skip("only the native kernels pack weights", allow_module_level=True)


pytestmark = pytest.mark.usefixtures("ieee")  # one algorithm, whether w was packed or not


@pytest.fixture(params=[1, 20], ids=["dense", "depthwise"])
def conv(request):
    fc.manual_seed(0)
    groups = request.param
    return fc.nn.Conv2d(20, 40 if groups == 1 else 20, 3, padding=1, groups=groups)


@pytest.fixture
def x():
    return fc.tensor(np.random.default_rng(0).standard_normal((2, 9, 8, 20), np.float32))


def infer(conv, x):
    with fc.no_grad():
        return conv(x).numpy()


def is_kept(conv):
    assert (conv.weight._buffer.packed is not None) is not conv.weight.data.flags.writeable
    return conv.weight._buffer.packed is not None


def test_inference_keeps_the_copy_and_training_does_not(conv, x):
    expected = conv(x).numpy()
    assert not is_kept(conv)
    assert np.array_equal(infer(conv, x), expected)
    assert is_kept(conv)
    kept = conv.weight._buffer.packed.values
    assert np.array_equal(infer(conv, x), expected)
    assert conv.weight._buffer.packed.values is kept
    with pytest.raises(ValueError, match="read-only"):
        conv.weight.data[...] = 0


def overwrite(conv):
    conv.weight.copy_(conv.weight.data * 2)


def assign_part(conv):
    conv.weight[3:5] = fc.tensor(np.ones((2, *conv.weight.shape[1:]), np.float32))


def step(conv):
    conv.weight.grad = fc.tensor(np.ones(conv.weight.shape, np.float32))
    fc.optim.SGD([conv.weight], lr=0.5).step()


def load(conv):
    conv.load_state_dict({k: v * 3 for k, v in conv.state_dict().items()})


@pytest.mark.parametrize("write", [overwrite, assign_part, step])
def test_what_is_written_is_what_runs(conv, x, write):
    before = infer(conv, x)
    with fc.no_grad():
        write(conv)
    assert not is_kept(conv)
    after = infer(conv, x)
    assert is_kept(conv) and not np.array_equal(after, before)
    fresh = fc.functional.conv2d(
        x.data, conv.weight.data, conv.bias.data, padding=1, groups=conv.groups
    )
    assert np.array_equal(after, fresh)


def test_loading_a_state_dict_drops_the_copy(conv, x):
    before = infer(conv, x)
    state = conv.state_dict()
    other = fc.nn.Conv2d(20, conv.out_channels, 3, padding=1, groups=conv.groups)
    infer(other, x)
    other.load_state_dict(state)
    assert not is_kept(other)
    assert np.array_equal(infer(other, x), before)


def test_train_unlocks(conv, x):
    infer(conv, x)
    conv.eval()
    assert is_kept(conv)
    conv.train()
    assert not is_kept(conv)
    conv.weight.data[...] = 0
    assert np.array_equal(infer(conv, x), np.broadcast_to(conv.bias.data, conv(x).shape))


def test_arrays_and_other_backends_are_left_alone(conv, x):
    w = conv.weight.data.copy()
    with fc.no_grad():
        fc.functional.conv2d(x.data, w, padding=1, groups=conv.groups)
    assert w.flags.writeable
    with fc.use_backend("reference"):
        infer(conv, x)
    assert not is_kept(conv)


def test_algorithms_do_not_share_a_copy_of_another_layout(x):
    fc.manual_seed(0)
    conv = fc.nn.Conv2d(20, 40, 3, padding=1, groups=2)
    expected = infer(conv, x)
    with fc.use_algorithm("im2col"):
        assert np.allclose(infer(conv, x), expected, atol=1e-5)
    assert np.array_equal(infer(conv, x), expected)


def live():
    gc.collect()
    return fc.memory_stats()["live_bytes"]


def test_the_copy_is_counted(conv, x):
    infer(conv, x)
    conv.train()
    before = live()
    with fc.Trace() as trace:
        infer(conv, x)
    values = conv.weight._buffer.packed.values
    assert values.nbytes >= conv.weight.nbytes
    assert trace.peak_by_kind["packed"] == values.nbytes
    assert live() - before >= values.nbytes
    del values
    conv.train()
    assert live() == before
