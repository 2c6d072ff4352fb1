"""Modules that hold modules under the names "0", "1", ..."""

from fastconv.errors import ArgumentError
from fastconv.nn.module import Module

__all__ = ["ModuleList", "Sequential"]


class _Numbered(Module):
    def __init__(self, modules):
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module):
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise ArgumentError(
                f"{type(self).__name__}: entry {len(self)} must be an nn.Module, got {module!r}"
            )
        setattr(self, str(len(self)), module)
        return self

    def _list(self):
        return [module for _, module in self._own(Module)]

    def __len__(self):
        return len(self._own(Module))

    def __iter__(self):
        return iter(self._list())

    def __getitem__(self, index):
        found = self._list()[index]
        return type(self)._of(found) if isinstance(index, slice) else found

    def __setitem__(self, index, module):
        setattr(self, self._own(Module)[index][0], module)


class Sequential(_Numbered):
    """Runs its modules one after the other: Sequential(a, b, c)."""

    def __init__(self, *modules):
        super().__init__(modules)

    @classmethod
    def _of(cls, modules):
        return Sequential(*modules)

    def forward(self, x):
        for module in self:
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules that parameters() finds: ModuleList([a, b, c]). Runs nothing itself."""

    def __init__(self, modules=()):
        super().__init__(modules)

    @classmethod
    def _of(cls, modules):
        return ModuleList(modules)
