"""Floor 5: the networks, one file per family.

Every module here is imported, so that its @register entries are known and a new network is one
file; each entry is also a function of this package: fc.models.resnet50(num_classes=10).
"""

from importlib import import_module
from pkgutil import iter_modules

from fastconv.models.features import feature_extractor
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import REGISTRY, ModelEntry, create_model, list_models, model_info
from fastconv.models.torch_file import load_torch_file

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

globals().update({_name: _entry.build for _name, _entry in REGISTRY.items()})

__all__ = [
    "Accuracy",
    "Architecture",
    "ModelEntry",
    "Preprocessing",
    "create_model",
    "feature_extractor",
    "list_models",
    "load_torch_file",
    "model_info",
    *REGISTRY,
]
