"""Floor 3: one file per op, with its formula, infer, MACs, forward and backward together.

Every module here is imported, so that its @function entries are published and a new op touches no
list; operators.py then gives Tensor its operators and methods.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
