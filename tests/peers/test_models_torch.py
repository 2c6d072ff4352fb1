"""Every network that torchvision, timm or tests/peers/twins has too, with the same random weights.

Logits in eval, loss, all gradients and running statistics in training; tests/peers/parity.py says
what the bound is. The quick run takes one variant per family, make full all of them. A network
joins by PEERS of tests/zoo/FAMILY.py or TWINS of tests/peers/twins/FAMILY.py.
"""

import os

import numpy as np
import pytest
import safetensors.torch

import fastconv as fc
from fastconv.models import create_model, list_models, model_info
from fastconv.nn.torch_weights import our_names
from tests.model_facts import PEERS
from tests.parity_table import PROPERTY
from tests.peers.parity import (
    compare,
    length,
    load_state,
    perturbed,
    small_shape,
    torch_state,
)
from tests.peers.peer_networks import COMPARED, build, comparable

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.peers

CLASSES = 9
MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(autouse=True)
def _one_thread():
    """The maps are small, and torch's threads wait for each other busily: pytest-xdist has as many
    processes as there are cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# families of which no member is in torchvision or timm, or restated in tests/peers/twins; their
# tests are test_residual_torch.py and test_models_shufflenet_densenet_torch.py
UNCOMPARED = {"resnet_cifar", "shufflenet_v1"}


def cost(name):
    """What min() takes for the quick run: a peer rather than a twin, but no 100 million weights,
    each of which is copied and compared many times in these tests, at sizes far below 224 x 224."""
    info = model_info(name)
    return info.params > 1e8, name not in PEERS, info.macs + 50 * info.params


def cases(names):
    """names as parameters of a test: those of the quick run, the others for make full."""
    families = {}
    for name in sorted(set(names) & set(list_models())):
        families.setdefault(model_info(name).family, []).append(name)
    quick = {min(members, key=cost) for members in families.values()}
    return [
        pytest.param(name, marks=[] if name in quick else [pytest.mark.full])
        for members in families.values()
        for name in members
    ]


def keys_of(ours, peer):
    """{the peer's key: ours}, by the key_map that files go through."""
    return our_names(peer.state_dict(), fc.to_torch_state_dict(ours), getattr(ours, "key_map", ()))


def checked(name, record_property, **options):
    # weights and gradients, in both libraries and precisions
    needed = 75 * model_info(name).params
    if needed > MEMORY:
        pytest.skip(
            f"{name} needs about {needed >> 30} GB of memory, this machine has {MEMORY >> 30};"
            " its logits in float32 are compared by test_weights_travel_here_and_back"
        )
    rng = np.random.default_rng(7)
    fc.manual_seed(7)
    classes = min(CLASSES, model_info(name).num_classes)
    ours = create_model(name, num_classes=classes, **options)
    shape = small_shape(name, ours)
    x = rng.standard_normal(shape).astype("float32")
    labels = rng.integers(0, classes, shape[0])
    perturbed(ours, x, rng)
    peer = comparable(build(name, classes, **options))
    keys = keys_of(ours, peer)
    load_state(peer, torch_state(ours, keys))
    parity = compare(name, ours, peer, keys, x, labels)
    record_property(PROPERTY, parity._asdict())
    print(parity, shape)


@pytest.mark.usefixtures("room_for_large_networks")
@pytest.mark.parametrize("name", cases(COMPARED))
def test_same_logits_gradients_and_statistics(name, record_property):
    checked(name, record_property)


AUXILIARY = [
    name
    for name in sorted(set(PEERS) & set(list_models()))
    # timm's NASNets have none
    if "aux_heads" in model_info(name).options and PEERS[name].startswith("torchvision")
]


@pytest.mark.usefixtures("room_for_large_networks")
@pytest.mark.full
@pytest.mark.parametrize("name", AUXILIARY)
def test_the_same_with_auxiliary_heads(name, record_property):
    checked(name, record_property, aux_heads=True)


def test_every_family_is_compared():
    """Its other members differ in numbers, which tests/test_models.py compares one by one."""
    families, compared = (
        {model_info(name).family for name in names}
        for names in (list_models(), COMPARED & set(list_models()))
    )
    assert families - compared == UNCOMPARED


@pytest.mark.usefixtures("room_for_large_networks")
@pytest.mark.parametrize("name", cases(PEERS))
def test_weights_travel_here_and_back(name, tmp_path):
    """The peer's state dict -> file -> ours -> the peer's, strict; both ends give the same bits."""
    classes = min(CLASSES, model_info(name).num_classes)
    theirs = build(name, classes).eval()
    state = theirs.state_dict()
    path = tmp_path / ("w.pth" if len(name) % 2 else "w.safetensors")
    if path.suffix == ".pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, path)
    ours = create_model(name, num_classes=classes, pretrained=path)
    path.unlink()  # pytest keeps the folder
    assert not ours.load_report.unexpected and not ours.load_report.fresh
    back = build(name, classes).eval()
    arrived = fc.to_torch_state_dict(ours, like=state)
    assert list(arrived) == list(state)
    load_state(back, {k: torch.from_numpy(v) for k, v in arrived.items()})
    assert all(torch.equal(value, state[key]) for key, value in back.state_dict().items())
    h, w, c = small_shape(name, ours)[1:]
    x = torch.randn(1, c, h, w, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(back(x), theirs(x))
        del back, arrived, state
        y = theirs.double()(x.double()).numpy()
    # in float32 a deep network that nothing normalises yet is off by per cents, PyTorch's too
    with fc.no_grad():
        found = ours.eval().astype("float64")(fc.from_nchw(x.double().numpy())).numpy()
    assert length(found - y) < 1e-9 * length(y)
