"""The peak that analysis.summary predicts from shapes alone, beside what the allocator counts."""

import gc

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend.select import NATIVE_BUILT
from fastconv.models import list_models, model_info

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built", allow_module_level=True)

from fastconv.backend.cpu import reset_peak_memory

# of the measured peak; what is left are size classes of the allocator and scratch inside kernels
ALLOWED = 0.01
FAMILIES = sorted({model_info(name).family for name in list_models()})


def momentum_sgd(parameters):
    return fc.optim.SGD(parameters, lr=0.01, momentum=0.9)


def peak_above(before, run):
    """Bytes alive at once during a second run, over those before everything."""
    run()
    reset_peak_memory()
    run()
    return fc.memory_stats()["peak_bytes"] - before


def measure(name, shape):
    """{training: (predicted, measured)} of a network."""
    with fc.Trace(meta=True):
        meta = fc.models.create_model(name)
    predicted = {
        training: fc.analysis.summary(meta, shape, training, momentum_sgd).peak_bytes
        for training in (False, True)
    }
    gc.collect()  # what other tests left must not be freed meanwhile
    before = fc.memory_stats()["live_bytes"]
    with fc.nn.init.skipped():
        model = fc.models.create_model(name)
    for p in model.parameters():
        p.copy_(np.zeros(p.shape, p.dtype))  # what lies in fresh memory may be NaN, and slow
    x = fc.tensor(np.zeros(shape, "float32"))
    labels = fc.tensor(np.zeros(shape[0], "int64"))
    model.eval()

    def inference():
        with fc.no_grad():
            model(x)

    found = {False: (predicted[False], peak_above(before, inference))}
    model.train()
    optimizer = momentum_sgd(list(model.parameters()))

    def step():
        optimizer.zero_grad()
        y = model(x)
        loss = (
            model.loss(y, labels)
            if isinstance(y, tuple)
            else fc.functional.cross_entropy(y, labels)
        )
        loss.backward()
        optimizer.step()

    found[True] = predicted[True], peak_above(before, step)
    return found


def check(name, shape):
    for training, (predicted, measured) in measure(name, shape).items():
        off = measured / predicted - 1
        assert abs(off) < ALLOWED, f"{name}, training={training}: measured {100 * off:+.2f} %"


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "mobilenet_v2", "shufflenet_v2_x1_0"])
def test_the_peak_is_the_predicted_one(name):
    check(name, (2, 96, 96, 3))


@pytest.mark.full
@pytest.mark.parametrize("family", FAMILIES)
def test_the_peak_of_a_network_of_every_family(family):
    """The one with the fewest parameters, on pictures of its own size."""
    name = min(list_models(family=family), key=lambda n: model_info(n).params)
    check(name, (2, *model_info(name).input_shape))
