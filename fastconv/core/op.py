"""THE gate: every computation passes Op.__call__, and everything known about cost is seen here.

    infer -> allocate -> forward -> save -> append a Record to the active Trace

An op is a small dataclass: its annotated attributes (stride, padding, ...) are its constructor.
One instance is used once and becomes the node of the graph that Tensor.backward walks.
"""

from dataclasses import dataclass, fields
from itertools import count
from time import perf_counter
from typing import ClassVar, dataclass_transform

from fastconv.backend import table_for
from fastconv.core.autocast import cast_inputs
from fastconv.core.graph import check_walkable, edges_of
from fastconv.core.inferred import infer_once
from fastconv.core.out import check_place
from fastconv.core.recipe import Recipe
from fastconv.core.spec import Spec
from fastconv.core.state import state
from fastconv.core.tensor import Tensor
from fastconv.core.trace import Buffer, Record, Saved, TracedBuffer, new_buffer
from fastconv.errors import GradientError, RegistryError

# next_order(): later nodes of the graph are walked first
next_order = count().__next__

# what the gate itself keeps on an op; an attribute of that name would be overwritten
_RESERVED = frozenset(
    [
        "K",
        "aux",
        "aux_buffers",
        "edges",
        "guards",
        "meta_inputs",
        "needs",
        "order",
        "outputs",
        "parameter",
        "recipes",
        "record",
        "saved",
    ]
)


@dataclass_transform(eq_default=False)
class Op:
    """Base of all ops. A subclass writes infer and forward, and what differs from the defaults of
    the rest.

    Class attributes:
    bilinear: indices of the inputs in which the op is bilinear; each that needs a gradient costs
    one more forward.
    autocast: "low" (cast to the autocast dtype), "float32", "promote" (the widest input) or "keep".
    mutates: indices of inputs that forward overwrites (running statistics).
    passes: indices of inputs whose gradient is gy itself or a view of it; all others are new
    arrays.
    packs: index of the input of which kernels read a packed copy; self.parameter is then that
    input, where the copy may be kept (core/packed.py), else None.
    remembers: infer takes longer than to look up what it said before (core/inferred.py); its
    attributes must then be hashable, and what it sets on the op never changed.
    """

    bilinear: ClassVar[tuple[int, ...]] = ()
    autocast: ClassVar[str] = "promote"
    mutates: ClassVar[tuple[int, ...]] = ()
    passes: ClassVar[tuple[int, ...]] = ()
    shares: ClassVar[tuple[int, ...]] = ()
    packs: ClassVar[int | None] = None
    remembers: ClassVar[bool] = False

    # set by the gate where there is a Trace
    aux_buffers = None
    record = None
    meta_inputs = None
    parameter = None
    recipes = ()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        dataclass(eq=False)(cls)
        cls.field_names = tuple([f.name for f in fields(cls)])
        if clash := _RESERVED.intersection(cls.field_names):
            raise RegistryError(f"{cls.__name__}: the gate uses the name {', '.join(clash)} itself")

    # ---- what a subclass says

    def infer(self, *inputs):
        """(output Specs, aux Specs) from anything with shape and dtype; misuse is found here."""
        raise NotImplementedError(f"{type(self).__name__}.infer")

    def macs(self, *inputs_and_outputs) -> int:
        """Exact multiply-accumulates of forward, padding included; other arithmetic counts 0."""
        return 0

    def saves(self, inputs, outputs, needs):
        """Which of the input and output arrays backward reads (aux is kept anyway)."""
        return ()

    def workspace(self, K, direction) -> int:
        """Bytes of scratch that "forward" or "backward" allocates through K.empty and gives
        back."""
        return 0

    def later_results(self, K) -> int:
        """By how much the peak of backward is below all results and the most scratch together:
        results that are not allocated yet while the scratch is there."""
        return 0

    def kernel(self, K):
        """Name of the algorithm that forward runs, where there is a choice."""
        return None

    def packed(self, K):
        """The packed copy of self.parameter, made now if there is none; None where kernels read
        the array itself."""
        return None

    def remakes(self) -> bool:
        """Whether remake() can make the output anew from what backward keeps anyway: then ops that
        read the output do not keep it (core/recipe.py)."""
        return False

    def remake(self):
        """The output, as a new array with the same bits, from self.saved and self.aux."""
        raise NotImplementedError(f"{type(self).__name__}.remake")

    def view(self, x, spec):
        """An output whose Spec has an alias, as a view of that input's array."""
        return x.reshape(spec.shape)

    def forward(self, K, out, aux, *inputs):
        """Write into the arrays of the tuples out and aux. K is the backend module."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, K, *gys):
        """A gradient or None per input, from self.saved, self.aux, self.needs. Never writes gys."""
        raise GradientError(f"{type(self).__name__} has no gradient")

    # ---- the gate

    def __call__(self, *inputs):
        trace = state.trace
        given = state.out
        if given is not None:
            state.out = None  # for this op only: autocast and the backend may run others
        if state.autocast is not None:
            inputs = cast_inputs(self, inputs)
        arrays = [None if x is None else x._data for x in inputs]
        grad = state.grad
        self.needs = tuple([grad and x is not None and x.requires_grad for x in inputs])
        specs, aux_specs = infer_once(self, arrays) if self.remembers else self.infer(*arrays)
        if self.packs is not None and not grad and state.packs:
            source = inputs[self.packs]
            if source._buffer.kind == "parameter":
                self.parameter = source

        if trace is None:
            meta = False
            K = table_for(arrays)
            empty = K.empty
        else:
            meta = trace.meta
            K = table_for([None if type(a) is Spec else a for a in arrays] if meta else arrays)
            empty = Spec if meta else K.empty
        if given is not None:
            (spec,) = specs
            check_place(*given, spec, arrays)
        out, buffers = [], []
        for s in specs:
            if s.alias is not None:
                out.append(Spec(s.shape, s.dtype) if meta else self.view(arrays[s.alias], s))
                buffers.append(inputs[s.alias]._buffer)
            else:
                out.append(empty(s.shape, s.dtype) if given is None else given[1])
                buffers.append(
                    Buffer("activation")
                    if trace is None
                    else TracedBuffer(trace, s.nbytes, "activation")
                )
        aux = tuple([empty(s.shape, s.dtype) for s in aux_specs]) if aux_specs else ()

        if trace is None:
            self.forward(K, out, aux, *arrays)
        else:
            aux_buffers = [TracedBuffer(trace, a.nbytes, "activation") for a in aux]
            workspace = self.workspace(K, "forward")
            seconds = self._forward_traced(trace, workspace, K, out, aux, arrays)
        for i in self.mutates:
            if inputs[i] is not None:
                inputs[i]._buffer.version += 1

        op = self if True in self.needs else None
        results = [Tensor._from_op(a, op, i, buffers[i]) for i, a in enumerate(out)]
        if op is not None:
            self._save(K, inputs, results, arrays, out, aux)
        if trace is not None:
            if op is not None:
                self.aux_buffers = aux_buffers
                self.meta_inputs = arrays if meta else None
            self._append_record(trace, K, inputs, results, aux_buffers, workspace, seconds)
        return results[0] if len(results) == 1 else tuple(results)

    def _save(self, K, inputs, results, arrays, out, aux):
        self.order = next_order()
        self.K = K
        self.aux = aux
        self.outputs = len(results)
        self.edges = edges_of(inputs, self.needs)
        self.saved = saved = self.saves(arrays, out, self.needs)
        self.guards = guards = []
        if saved:
            ids = {id(a) for a in saved}
            recipes = {}
            for x in (*inputs, *results):
                if x is None or id(x._data) not in ids:
                    continue
                if x._recipe is None:
                    guards.append((x._buffer, x._buffer.version))
                else:
                    recipes[id(x._data)] = x._recipe
            if recipes:
                self._keep_recipes(recipes)
        if self.remakes():
            results[0]._recipe = Recipe(self, results[0])

    def _keep_recipes(self, recipes):
        for recipe in recipes.values():
            recipe.users += 1
        self.recipes = tuple(recipes.values())
        self.saved = _replaced(self.saved, lambda a: recipes.get(id(a), a))

    def _forward_traced(self, trace, workspace, K, out, aux, arrays):
        if trace.on_enter is not None:
            trace.on_enter(self)
        if self.parameter is not None:
            self.packed(K)
        if workspace:
            trace.transient("workspace", workspace)
        if trace.meta:
            return None
        start = perf_counter()
        self.forward(K, out, aux, *arrays)
        return perf_counter() - start if trace.time else None

    def _append_record(self, trace, K, inputs, results, aux_buffers, workspace, seconds):
        shapes, arrays, buffers = [], [], {}
        for x in (*inputs, *results):
            if x is None:
                shapes.append(None)
                arrays.append(None)
                continue
            a = x._data
            shapes.append((a.shape, a.dtype))
            arrays.append(a)
            buffers[x._buffer] = a.nbytes
        macs = self.macs(*arrays)
        graph = True in self.needs
        saved = {}
        if graph:
            for b, _ in self.guards:
                saved[b] = Saved(b.serial, buffers[b], b.kind)
            for b in aux_buffers:
                saved[b] = Saved(b.serial, b.nbytes, b.kind)
        record = Record(
            name=type(self).__name__,
            fields={name: getattr(self, name) for name in self.field_names},
            module=trace.modules[-1] if trace.modules else None,
            inputs=tuple(shapes[: len(inputs)]),
            outputs=tuple(shapes[len(inputs) :]),
            needs=self.needs,
            macs=macs,
            backward_macs=macs and macs * sum([self.needs[i] for i in self.bilinear]),
            bytes=sum(buffers.values()),
            saved=tuple(saved.values()),
            aux_bytes=sum([b.nbytes for b in aux_buffers]),
            workspace_bytes=workspace,
            kernel=self.kernel(K),
            seconds=seconds,
        )
        trace.records.append(record)
        if graph:
            self.record = record
        if trace.on_exit is not None:
            trace.on_exit(self, record)

    # ---- the same gate on the way back

    def run_backward(self, grads):
        """(edge, (gradient, buffer, owned), passed) per input in need; frees what was saved."""
        name = type(self).__name__
        check_walkable(name, self.edges, self.guards, f"a value that {name} saved")
        trace = state.trace
        gys = [grads[i][0] if i in grads else None for i in range(self.outputs)]
        start = perf_counter()
        if self.recipes:
            self.saved = _replaced(self.saved, lambda a: a.get() if type(a) is Recipe else a)
        if self.meta_inputs is not None:
            gxs = self.meta_inputs
        else:
            gxs = self.backward(self.K, *gys)
            if trace is not None and trace.time and self.record is not None:
                self.record.backward_seconds = perf_counter() - start
        steps = []
        shared = None
        for i, (edge, gx) in enumerate(zip(self.edges, gxs, strict=True)):
            if edge is None or gx is None:
                continue
            passed = i in self.passes
            if passed:
                buffer = next(iter(grads.values()))[1]
            elif shared is not None and i in self.shares:
                buffer = shared
            else:
                buffer = new_buffer(gx.nbytes, "gradient")
                if i in self.shares:
                    shared = buffer
            steps.append((edge, (gx, buffer, False), passed or i in self.shares))
        if trace is not None:
            scratch = self.workspace(self.K, "backward") - self.later_results(self.K)
            trace.transient("workspace", max(0, scratch))
        self.saved = self.aux = self.aux_buffers = self.guards = self.edges = None
        for recipe in self.recipes:
            recipe.done()
        return steps


def _replaced(saved, f):
    """The tuple, or the NamedTuple of that type, with f of each item."""
    items = [f(a) for a in saved]
    return type(saved)(*items) if hasattr(saved, "_fields") else tuple(items)
