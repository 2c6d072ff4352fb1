"""timm's networks fit ours key by key, by its names of the layers: on the meta device, no values.

Epsilons, padding and strides do not show here; test_models_torch.py compares the numbers.
"""

from functools import cache

import numpy as np
import pytest

import fastconv as fc
from fastconv.models import list_models, model_info
from fastconv.models.pretrained import fitted
from tests.model_facts import PEERS
from tests.peers.peer_networks import timm

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.peers

PREFIX = "timm/"
# what pretrained=True loads
WEIGHTS = [
    (name, model_info(name).weights.removeprefix(PREFIX))
    for name in list_models()
    if (model_info(name).weights or "").startswith(PREFIX)
]
# and what else timm has, under an alias or the name of the peer that a network is compared with
KNOWN = set(timm.list_models()) - {theirs.partition(".")[0] for _, theirs in WEIGHTS}
NAMES = [
    (name, theirs)
    for name in list_models()
    for theirs in sorted({PEERS.get(name, "").rpartition(":")[2], *model_info(name).aliases})
    if theirs in KNOWN
]


@cache
def timms_arrays(theirs):
    """The state dict of timm's network: arrays of its shapes that take no memory."""
    with torch.device("meta"):
        state = timm.create_model(theirs, pretrained=False).state_dict()
    return {key: np.broadcast_to(np.float32(0), tuple(t.shape)) for key, t in state.items()}


def fit_of(name, theirs, **options):
    entry = model_info(name)
    with fc.Trace(meta=True):
        model = entry.build(**options)
    arrays = fc.nn.StateDict(timms_arrays(theirs), layout=None)
    return fitted(model, entry, options, theirs, arrays)


@pytest.mark.parametrize(("name", "theirs"), [*WEIGHTS, *NAMES])
def test_every_key_and_shape_is_ours(name, theirs):
    fit = fit_of(name, theirs)
    assert fit.misfits() == []
    assert (fit.unused, fit.fresh, fit.warnings) == ([], [], [])


@pytest.mark.parametrize(("name", "theirs"), WEIGHTS)
def test_without_the_head_only_that_is_left_over(name, theirs):
    fit = fit_of(name, theirs, num_classes=0)
    assert fit.misfits() == []
    assert fit.unused and fit.warnings == []
