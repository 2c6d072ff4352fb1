"""What a network costs, layer by layer: parameters, multiply-accumulates, memory.

Derived from meta traces alone, so a network of any size takes milliseconds and no memory. MACs and
FLOPs are different figures: FLOPs = 2 x MACs. Memory is three figures that are never mixed:
parameters, activations saved for backward, and the peak of everything that is alive at once.
"""

from collections import Counter
from dataclasses import dataclass
from io import StringIO
from itertools import groupby

from fastconv import optim
from fastconv.analysis.replay import model_dtype, replay_forward, replay_inference, replay_training
from fastconv.errors import ArgumentError
from fastconv.nn import Module, Parameter


@dataclass(frozen=True)
class Row:
    """One run of a module that computes itself; what its children do is in their rows."""

    name: str  # dotted, as in the state dict; "" is the model itself
    kind: str  # class name
    # of its last op; None if none is booked under it: idle, or fused into the layer before it
    output_shape: tuple[int, ...] | None
    params: int  # its own, shown at its first run
    macs: int
    saved_bytes: int  # kept for backward, each buffer in the row that saves it first

    @property
    def flops(self) -> int:
        """2 x macs."""
        return 2 * self.macs


@dataclass(frozen=True)
class Summary:
    """Cost of a model for one input shape; prints as a table. Sizes in bytes."""

    name: str
    input_shape: tuple[int, ...]
    dtype: str
    training: bool
    rows: tuple[Row, ...]
    params: int  # elements of all parameters, a shared one once
    trainable_params: int  # of those that require a gradient
    param_bytes: int
    buffer_bytes: int  # running statistics and fixed tables
    macs: int  # of one forward pass
    saved_bytes: int  # kept for backward by a forward pass in training mode, parameters not counted
    peak_bytes: int  # alive at once: in inference, or with training=True in a whole training step
    peak_by_kind: dict[str, int]

    @property
    def flops(self) -> int:
        """2 x macs."""
        return 2 * self.macs

    def __rich__(self):
        from rich.console import Group
        from rich.text import Text

        return Group(self._table(), Text(self._totals()))

    def __str__(self):
        from rich.console import Console

        text = StringIO()
        # as wide as it wants to be: figures broken over lines cannot be compared
        Console(file=text, width=10_000, highlight=False).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    __repr__ = __str__

    def _table(self):
        from rich import box
        from rich.table import Table

        table = Table(
            title=f"{self.name}, input {self.input_shape}, {self.dtype}",
            box=box.SIMPLE_HEAD,
            title_justify="left",
        )
        for header in ("layer", "kind"):
            table.add_column(header, overflow="fold")
        for header in ("output shape", "params", "MACs", "FLOPs", "saved (KiB)"):
            table.add_column(header, justify="right", no_wrap=True)
        for row in self.rows:
            shape = " x ".join(map(str, row.output_shape)) if row.output_shape else ""
            figures = [f"{v:,}" if v else "" for v in (row.params, row.macs, row.flops)]
            saved = f"{row.saved_bytes / 1024:,.1f}" if row.saved_bytes else ""
            table.add_row(row.name or "(model)", row.kind, shape, *figures, saved)
        return table

    def _totals(self):
        step = "training step" if self.training else "inference"
        parts = {kind: n for kind, n in sorted(self.peak_by_kind.items()) if n}
        lines = [
            ("parameters", f"{self.params:,}, trainable {self.trainable_params:,}"),
            ("MACs", f"{self.macs:,}"),
            ("FLOPs", f"{self.flops:,} (2 x MACs)"),
            ("memory: parameters", readable(self.param_bytes)),
            ("memory: saved activations", f"{readable(self.saved_bytes)} (training)"),
            ("memory: predicted peak", f"{readable(self.peak_bytes)} ({step})"),
            *((f"  of it {kind}", readable(nbytes)) for kind, nbytes in parts.items()),
        ]
        return "\n".join(f"{title:<26} {value}" for title, value in lines)


def readable(nbytes: int) -> str:
    """Bytes in the largest binary unit that leaves a figure of at least 1: "44.59 MiB"."""
    size, unit = float(nbytes), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{nbytes} bytes" if unit == "bytes" else f"{size:,.2f} {unit}"


def momentum_sgd(parameters):
    """The optimizer whose state a predicted training peak contains unless another is given."""
    return optim.SGD(parameters, lr=0.1, momentum=0.9)


def summary(model, input_shape, training=False, optimizer=momentum_sgd) -> Summary:
    """Cost of model for inputs of input_shape: batch first, (N, H, W, C) for images.

    model: real or made inside a meta Trace; it is left as it was. training: peak_bytes is that of a
    training step with optimizer(parameters), in the steady state, instead of inference.
    Raises ArgumentError, and ShapeError where the model does not take that shape (NCHW is named).
    """
    if not isinstance(model, Module):
        raise ArgumentError(f"summary: model must be an nn.Module, got {type(model).__name__}")
    shape = _checked_shape(input_shape)
    parameters = list(model.parameters())
    # networks may have branches for training only: MACs and shapes are those of the mode asked for
    forward = replay_forward(model, shape)
    inference = replay_inference(model, shape)
    peak = replay_training(model, shape, optimizer) if training else inference
    computed = forward if training else inference
    return Summary(
        name=type(model).__name__,
        input_shape=shape,
        dtype=str(model_dtype(model)),
        training=training,
        rows=_rows(model, _runs(computed.records), _runs(forward.records)),
        params=sum(p.size for p in parameters),
        trainable_params=sum(p.size for p in parameters if p.requires_grad),
        param_bytes=sum(p.nbytes for p in parameters),
        buffer_bytes=sum(b.nbytes for b in model.buffers()),
        macs=computed.macs,
        saved_bytes=forward.saved_bytes,
        peak_bytes=peak.peak_bytes,
        peak_by_kind=peak.peak_by_kind,
    )


def _checked_shape(input_shape):
    fits = isinstance(input_shape, tuple | list) and len(input_shape) > 0
    if not fits or not all(isinstance(n, int) and n >= 0 for n in input_shape):
        raise ArgumentError(
            f"summary: input_shape must be ints such as (1, 224, 224, 3), got {input_shape!r}"
        )
    return tuple(input_shape)


def _rows(model, computed, training):
    """Rows in the order in which a training pass runs.

    training, computed: runs of a training pass, and of the mode whose MACs and shapes are shown.
    """
    names = {module: name for name, module in model.named_modules()}
    own = _own_params(model)
    saved = _saved_by_run(training)
    rows = []
    for run in _with_idle(training, own, names):
        module = run[0]
        shown = computed.get(run, [])
        records = shown or training.get(run, [])
        rows.append(
            Row(
                name=names.get(module, ""),
                kind=type(module).__name__,
                output_shape=records[-1].outputs[0][0] if records else None,
                params=own.pop(module, 0),  # only the first run of a module shows them
                macs=sum(r.macs for r in shown),
                saved_bytes=saved.get(run, 0),
            )
        )
    return tuple(rows)


def _with_idle(runs, own, order):
    """The runs; a module with parameters but no run comes behind its predecessor in order."""
    last = {run[0]: run for run in runs}
    before, behind = None, {None: []}
    for module in order:
        if module in last:
            before = last[module]
        elif own[module]:
            behind.setdefault(before, []).append((module, 0))
    placed = behind[None]
    for run in runs:
        placed += [run, *behind.get(run, ())]
    return placed


def _runs(records):
    """(module, how often it ran before) -> its records in one go."""
    runs, counts = {}, Counter()
    for module, group in groupby(records, key=lambda r: r.module):
        runs[module, counts[module]] = list(group)
        counts[module] += 1
    return runs


def _saved_by_run(runs):
    """Bytes kept for backward, each buffer in the run that saves it first."""
    seen, saved = set(), {}
    for run, records in runs.items():
        new = {s.serial: s.nbytes for r in records for s in r.saved if s.kind != "parameter"}
        saved[run] = sum(nbytes for serial, nbytes in new.items() if serial not in seen)
        seen |= new.keys()
    return saved


def _own_params(model):
    """Elements of the parameters that each module holds itself; a shared one is the first's."""
    seen, own = set(), {}
    for module in model.modules():
        own[module] = 0
        for p in (v for v in vars(module).values() if isinstance(v, Parameter)):
            if id(p) not in seen:
                seen.add(id(p))
                own[module] += p.size
    return own
