"""The least time that a kernel can take on a GPU: bytes that must move, operations that must be
done.

    floor = max(bytes / bandwidth, flops / peak)

bytes: each operand once, whatever the caches do. flops: 2 per multiply-add; products with padding,
which no kernel needs, do not count, so that nothing can be faster than its floor. Winograd's
convolution has a floor of its own, since it needs fewer products.

python tools/kernel_model.py [--network resnet50] [--batch 32]    prints its layers
"""

import argparse
from math import prod
from typing import NamedTuple

import numpy as np

import fastconv as fc
from fastconv.backend import Pool2dProblem
from fastconv.backend.winograd import FREQUENCIES, winograd_sizes
from fastconv.bench.layers import distinct_layers
from fastconv.core import Spec, Tensor

FLOAT = 4  # bytes of a float32
INDEX = 8  # of a label
DIRECTIONS = ("fwd", "dgrad", "wgrad")


class Device(NamedTuple):
    """bandwidth: bytes/s, read + write; peak: float32 FLOP/s of its multiply-add units."""

    name: str
    bandwidth: float
    peak: float


# bandwidth: a device-to-device copy, read + write, as measured on an H200.
# peak: derived, not measured: 132 SMs x 128 lanes x 2 (a multiply-add) x 1.98 GHz, the highest
# clock that was seen there = 66.9 TFLOP/s.
H200 = Device("H200", bandwidth=4.3e12, peak=132 * 128 * 2 * 1.98e9)


class Cost(NamedTuple):
    """What a kernel cannot avoid."""

    bytes: int
    flops: int

    def floor(self, device: Device = H200) -> float:
        """Seconds."""
        return max(self.bytes / device.bandwidth, self.flops / device.peak)

    def bound_by(self, device: Device = H200) -> str:
        memory = self.bytes / device.bandwidth >= self.flops / device.peak
        return "memory" if memory else "arithmetic"


# ---- convolution


def _taps(size, window, outputs, stride, before, dilation):
    """(taps inside the input, summed over the outputs; inputs that at least one of them reads)."""
    at = stride * np.arange(outputs)[:, None] - before + dilation * np.arange(window)
    inside = at[(at >= 0) & (at < size)]
    return inside.size, np.unique(inside).size


def _axes(p):
    return (
        _taps(p.h, p.r, p.p, p.stride[0], p.pad[0], p.dilation[0]),
        _taps(p.w, p.s, p.q, p.stride[1], p.pad[2], p.dilation[1]),
    )


def conv2d(p, direction: str) -> Cost:
    """Of a Conv2dProblem. fwd and wgrad read only those pixels of x that a window reaches; dgrad
    writes all of gx."""
    (rows, read_h), (columns, read_w) = _axes(p)
    image = prod(p.x_shape) if direction == "dgrad" else p.n * read_h * read_w * p.c
    elements = image + prod(p.w_shape) + prod(p.y_shape)
    return Cost(FLOAT * elements, 2 * p.n * p.k * (p.c // p.groups) * rows * columns)


def winograd(p, direction: str) -> Cost:
    """The same by F(4x4, 3x3), "fwd" or "dgrad": 36 products per tile of 4x4 outputs, all whole.
    The transformed weights (36 values for 9) are written and read beside what conv2d() counts. The
    transforms are not counted: their products depend on how they are written down."""
    tiles, depth, columns = winograd_sizes(p, direction)
    transformed = FLOAT * FREQUENCIES * depth * columns
    return Cost(
        conv2d(p, direction).bytes + 2 * transformed, 2 * FREQUENCIES * tiles * depth * columns
    )


def linear(m: int, n: int, k: int) -> Cost:
    """(m, k) @ (k, n), or any gradient of it."""
    return Cost(FLOAT * (m * k + k * n + m * n), 2 * m * n * k)


# ---- pooling, of a Pool2dProblem


def _pool_elements(p):
    return p.n * p.h * p.w * p.c, p.n * p.p * p.q * p.c


def _argmax(p):
    return 1 if p.r * p.s <= 256 else 4


def max_pool2d_fwd(p, argmax: bool = True) -> Cost:
    x, y = _pool_elements(p)
    return Cost(FLOAT * (x + y) + argmax * _argmax(p) * y, p.r * p.s * y)


def max_pool2d_bwd(p) -> Cost:
    x, y = _pool_elements(p)
    return Cost(FLOAT * (x + y) + _argmax(p) * y, y)


def avg_pool2d(p) -> Cost:
    """Forward, and backward as well."""
    x, y = _pool_elements(p)
    return Cost(FLOAT * (x + y), p.r * p.s * y)


def adaptive_avg_pool2d(x_shape, y_shape) -> Cost:
    """Forward, and backward as well."""
    x, y = prod(x_shape), prod(y_shape)
    return Cost(FLOAT * (x + y), max(x, y))


# ---- batch norm, of `elements` in c channels


def channel_stats(elements: int, c: int) -> Cost:
    """Sum and sum of squares per channel, float64."""
    return Cost(FLOAT * elements + 2 * 8 * c, 3 * elements)


def batch_norm_apply(elements: int, c: int, residual: bool = False) -> Cost:
    """x, residual -> y, with mean, rstd, gamma, beta; one multiply-add and the activation."""
    return Cost(FLOAT * ((2 + residual) * elements + 4 * c), (3 + residual) * elements)


def batch_norm_bwd(elements: int, c: int, residual: bool = False, saved: bool = True) -> Cost:
    """gy, x, y -> gx, gresidual; saved: y is read, for the activation. gx waits for sums over all
    of gy and x, so arrays that no cache holds are read twice: that is not counted here."""
    arrays = 3 + saved + residual
    return Cost(FLOAT * (arrays * elements + 5 * c), 8 * elements)


# ---- element-wise, losses, optimizer steps


def activation_fwd(elements: int) -> Cost:
    return Cost(FLOAT * 2 * elements, elements)


def activation_bwd(elements: int) -> Cost:
    """gy and the saved array -> gx."""
    return Cost(FLOAT * 3 * elements, elements)


def add(elements: int) -> Cost:
    return Cost(FLOAT * 3 * elements, 2 * elements)


def cross_entropy_fwd(rows: int, classes: int) -> Cost:
    """Logits and labels -> the logarithm of each row's sum, one loss."""
    return Cost(FLOAT * (rows * classes + rows + 1) + INDEX * rows, 4 * rows * classes)


def cross_entropy_bwd(rows: int, classes: int) -> Cost:
    read = rows * classes + rows + 1
    return Cost(FLOAT * (read + rows * classes) + INDEX * rows, 4 * rows * classes)


def sgd_step(elements: int, momentum: bool = True) -> Cost:
    """Parameter, gradient, momentum read; parameter, momentum written."""
    return Cost(FLOAT * (5 if momentum else 3) * elements, (6 if momentum else 4) * elements)


def adam_step(elements: int) -> Cost:
    """Parameter, gradient, both moments read; parameter and moments written."""
    return Cost(FLOAT * 7 * elements, 15 * elements)


# ---- the layers of a network


class Row(NamedTuple):
    """A kernel that a training step runs `uses` times."""

    kernel: str
    shape: str
    uses: int
    cost: Cost


def network_rows(name: str, batch: int) -> list[Row]:
    """Every distinct kernel of one training step, convolutions first."""
    rows = [
        Row(f"conv2d {direction}", conv_label(p), uses.total(), conv2d(p, direction))
        for p, uses in distinct_layers([name], batch).items()
        for direction in DIRECTIONS
    ]
    with fc.Trace(meta=True) as trace:
        model = fc.models.create_model(name).train()
        shape = fc.models.model_info(name).input_shape
        y = model(Tensor(Spec((batch, *shape), np.dtype("float32"))))
    counts: dict[tuple, int] = {}
    for record in trace.records:
        for kernel, label, cost in _beside_convolution(record):
            counts[kernel, label, cost] = counts.get((kernel, label, cost), 0) + 1
    rows += [Row(kernel, label, uses, cost) for (kernel, label, cost), uses in counts.items()]
    parameters = sum(p.size for p in model.parameters())
    return [
        *rows,
        Row("cross_entropy fwd", _shape(y.shape), 1, cross_entropy_fwd(*y.shape)),
        Row("cross_entropy bwd", _shape(y.shape), 1, cross_entropy_bwd(*y.shape)),
        Row("sgd_step", f"{parameters:,}", 1, sgd_step(parameters)),
        Row("adam_step", f"{parameters:,}", 1, adam_step(parameters)),
    ]


def _beside_convolution(record):
    """(kernel, label, Cost) of what one traced op runs beside its convolution."""
    (y, _), x = record.outputs[0], record.inputs[0][0]
    size, label = prod(y), _shape(y)
    if record.name == "ConvBnAct":
        residual = record.inputs[-1] is not None
        label += " + residual" if residual else ""
        saved = record.fields["act"].name != "identity"
        yield "batch_norm apply", label, batch_norm_apply(size, y[-1], residual)
        yield "batch_norm bwd", label, batch_norm_bwd(size, y[-1], residual, saved)
    elif record.name == "MaxPool2d":
        p = _pool_problem(x, y, record.fields)
        yield "max_pool2d fwd", _shape(x), max_pool2d_fwd(p)
        yield "max_pool2d bwd", _shape(x), max_pool2d_bwd(p)
    elif record.name == "AdaptiveAvgPool2d":
        yield "adaptive_avg fwd", _shape(x), adaptive_avg_pool2d(x, y)
        yield "adaptive_avg bwd", _shape(x), adaptive_avg_pool2d(x, y)
    elif record.name == "Activate":
        yield "activation fwd", label, activation_fwd(size)
        yield "activation bwd", label, activation_bwd(size)
    elif record.name == "Linear":
        m, k = prod(x[:-1]), x[-1]
        cost = linear(m, y[-1], k)
        for direction in DIRECTIONS:
            yield f"linear {direction}", f"{m} x {k} -> {y[-1]}", cost


def _pool_problem(x, y, fields):
    window = (*fields["window"], *y[1:3], fields["stride"], fields["padding"], fields["dilation"])
    return Pool2dProblem(*x, *window)


def _shape(shape):
    return "x".join(map(str, shape))


def conv_label(p) -> str:
    """ "32x56x56x64 -> 64, 3x3", and what is not 1."""
    more = f" /{p.stride[0]}" if p.stride != (1, 1) else ""
    more += f" d{p.dilation[0]}" if p.dilation != (1, 1) else ""
    more += f" g{p.groups}" if p.groups > 1 else ""
    return f"{_shape(p.x_shape)} -> {p.k}, {p.r}x{p.s}{more}"


def table(rows, device=H200) -> str:
    lines = [
        f"{'kernel':18} {'shape':44} {'uses':>4} {'MB':>8} {'GFLOP':>8} {'floor us':>9}  bound by"
    ]
    for row in rows:
        size, flops = row.cost.bytes / 1e6, row.cost.flops / 1e9
        time = 1e6 * row.cost.floor(device)
        lines.append(
            f"{row.kernel:18} {row.shape:44} {row.uses:4} {size:8.2f} {flops:8.2f} {time:9.2f}  "
            + row.cost.bound_by(device)
        )
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--batch", type=int, default=32)
    chosen = parser.parse_args(arguments)
    rows = network_rows(chosen.network, chosen.batch)
    print(table(rows))
    convolutions = sum(r.uses * r.cost.floor() for r in rows if r.kernel.startswith("conv2d"))
    print(
        f"{chosen.network}, batch {chosen.batch}, on an {H200.name} ({H200.bandwidth / 1e12:.1f}"
        f" TB/s measured, {H200.peak / 1e12:.1f} TFLOP/s float32 derived): convolutions of a"
        f" training step at least {1e3 * convolutions:.2f} ms"
    )


if __name__ == "__main__":
    main()
