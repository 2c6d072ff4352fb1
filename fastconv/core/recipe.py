"""Values that are made again from what is kept anyway, instead of being kept themselves.

Batch normalisation keeps its input z for backward. Its result y = act(z * scale + shift) is one
pass over z, so the convolution that reads y need not keep it: if y is not alive any more when
backward comes to that convolution, it is made again, by the kernel that made it first, with the
same bits. Bulo et al. 2018, "In-Place Activated BatchNorm for Memory-Optimized Training of DNNs",
saves the same memory by inverting y instead.
"""

from weakref import ref

from fastconv.core.spec import Spec
from fastconv.core.trace import new_buffer


class Recipe:
    """Of one output of an op. `users` is how many ops will read it in backward: the last one frees
    what was made."""

    __slots__ = ("_made", "_op", "_tensor", "_version", "users")

    def __init__(self, op, tensor):
        self._op = op
        self._tensor = ref(tensor)
        self._version = tensor._buffer.version
        self._made = None
        self.users = 0

    def get(self):
        """The array: the first one if it is still there, unchanged."""
        if self._made is not None:
            return self._made[0]
        tensor = self._tensor()
        if tensor is not None and tensor._buffer.version == self._version:
            return tensor._data
        if self._op.meta_inputs is not None:
            array = Spec(*self._op.record.outputs[0])
        else:
            array = self._op.remake()
        self._made = array, new_buffer(array.nbytes, "activation")
        return array

    def done(self):
        """One user less."""
        self.users -= 1
        if self.users == 0:
            self._made = self._op = None
