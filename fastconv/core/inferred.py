"""What infer said, remembered: a network calls the same ops on the same shapes over and over.

infer looks at nothing but the op's attributes, at which inputs need a gradient, and at shapes and
dtypes; so these are the key. What it set on the op is remembered with its result.
"""

_found = {}
_LIMIT = 10_000  # a program that never sees a shape twice must not grow


def infer_once(op, arrays):
    """op.infer(*arrays), or what it said and set on the op when all was the same."""
    own = vars(op)
    key = type(op), *own.values(), *[None if a is None else (a.shape, a.dtype) for a in arrays]
    found = _found.get(key)
    if found is None:
        before = set(own)
        specs = op.infer(*arrays)
        if len(_found) >= _LIMIT:
            _found.clear()
        _found[key] = specs, {name: v for name, v in own.items() if name not in before}
        return specs
    specs, attributes = found
    own.update(attributes)
    return specs
