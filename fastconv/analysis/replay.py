"""A model run without its arrays: forward passes and whole training steps in meta mode.

The model may hold real arrays or be a meta model; either way its tensors, gradients, modes and the
random state are afterwards what they were.
"""

from contextlib import contextmanager

from fastconv import functional as F
from fastconv.core import (
    Spec,
    Tensor,
    Trace,
    as_dtype,
    is_float,
    no_grad,
    random_state,
    set_random_state,
)
from fastconv.core.trace import new_buffer


@contextmanager
def without_arrays(model, training):
    """A meta Trace in which model, in that mode, has shapes only, and its tensors are counted."""
    tensors = [(x, "parameter") for x in model.parameters()]
    tensors += [(x, "state") for x in model.buffers()]
    kept = [(x, x._data, x._buffer, x.grad) for x, _ in tensors]
    modes = [(module, module.training) for module in model.modules()]
    random = random_state()
    try:
        with Trace(meta=True) as trace:
            for x, kind in tensors:
                x._data = Spec(x.shape, x.dtype)
                x._buffer = new_buffer(x.nbytes, kind)
                x.grad = None
            model.train(training)
            yield trace
    finally:
        for x, array, buffer, grad in kept:
            x._data, x._buffer, x.grad = array, buffer, grad
        for module, mode in modes:
            module.training = mode
        set_random_state(random)


def model_dtype(model):
    """dtype of the first parameter; float32 for a model without any."""
    dtypes = (p.dtype for p in model.parameters() if is_float(p.dtype))
    return next(dtypes, as_dtype("float32"))


def replay_inference(model, input_shape) -> Trace:
    """Trace of a second forward pass in eval mode under no_grad: the first packs the weights, which
    stay packed."""
    with without_arrays(model, training=False) as trace, no_grad():
        x = Tensor(Spec(input_shape, model_dtype(model)))
        model(x)
        trace.records.clear()
        trace.reset_peak()
        model(x)
    return trace


def replay_forward(model, input_shape) -> Trace:
    """Trace of one forward pass in training mode: what it saves is what a training step keeps."""
    with without_arrays(model, training=True) as trace:
        model(Tensor(Spec(input_shape, model_dtype(model))))
    return trace


def replay_training(model, input_shape, make_optimizer) -> Trace:
    """Trace of two training steps: the first makes the optimizer's state, the second has the peak.

    Logits (N, classes) get a cross-entropy with integer labels, a tuple of logits and auxiliary
    heads the model's own loss; any other output is summed.
    """
    with without_arrays(model, training=True) as trace:
        optimizer = make_optimizer(list(model.parameters()))
        for _ in range(2):
            _step(model, input_shape, optimizer)
    return trace


def _step(model, input_shape, optimizer):
    # as a training loop does, it holds images, labels and outputs until the step is done
    x = Tensor(Spec(input_shape, model_dtype(model)))
    labels = Tensor(Spec(input_shape[:1], as_dtype("int64")))
    optimizer.zero_grad()
    y = model(x)
    if isinstance(y, tuple):
        loss = model.loss(y, labels)
    else:
        loss = F.cross_entropy(y, labels) if y.ndim == 2 else y.sum()
    loss.backward()
    optimizer.step()
