"""A training program written for PyTorch, run as it is and with only imports and layout changed."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import fastconv as fc

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

IMPORTS = {
    "torch": """
import torch
from torch import nn, optim
from torch.nn import functional as F
""",
    "fastconv": """
import fastconv as torch
from fastconv import nn, optim
from fastconv import functional as F
""",
}

FLATTENED = {"torch": "8 * 4 * 4", "fastconv": "(4, 4, 8)"}

BUILD = """
model = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(FLATTENED, 10),
)
"""

LOOP = """
optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
schedule = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
losses = []
for epoch in range(3):
    model.train()
    for images, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    schedule.step()
model.eval()
with torch.no_grad():
    correct = sum((model(x).argmax(1) == y).sum().item() for x, y in batches)
"""


def run(name, weights=None):
    """The program's variables after it ran in float64, on 512 of scikit-learn's digits."""
    space = {}
    exec(IMPORTS[name] + BUILD.replace("FLATTENED", FLATTENED[name]), space)
    digits = load_digits()
    images = (digits.images[:512] / 16.0)[..., None]  # NHWC
    tensor = fc.tensor if name == "fastconv" else torch.tensor
    if name == "fastconv":
        fc.load_torch_state_dict(space["model"], weights)
        space["model"].astype("float64")
    else:
        images = images.transpose(0, 3, 1, 2)
        space["start"] = {k: v.clone().numpy() for k, v in space["model"].state_dict().items()}
        space["model"].double()
    space["batches"] = [
        (tensor(images[i : i + 64]), tensor(digits.target[i : i + 64])) for i in range(0, 512, 64)
    ]
    exec(LOOP, space)
    return space


@pytest.fixture(scope="module")
def both():
    torch.manual_seed(0)
    theirs = run("torch")
    return theirs, run("fastconv", theirs["start"])


def test_a_program_written_for_torch(both):
    assert len(LOOP.strip().splitlines()) == 15
    theirs, ours = both
    # float64 rounding, grown over 24 steps
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-9)
    assert ours["correct"] == theirs["correct"]
    assert ours["correct"] > 0.9 * 512
    final = fc.to_torch_state_dict(ours["model"])
    for key, value in theirs["model"].state_dict().items():
        np.testing.assert_allclose(final[key], value.numpy(), rtol=1e-8, atol=1e-10, err_msg=key)


def test_torch_loads_our_weights_with_strict(both):
    theirs, ours = both
    state = {k: torch.from_numpy(v) for k, v in fc.to_torch_state_dict(ours["model"]).items()}
    report = theirs["model"].load_state_dict(state, strict=True)
    assert not report.missing_keys
    assert not report.unexpected_keys


def test_init_is_torch_distribution():
    fc.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = fc.nn.Conv2d(16, 64, 3), torch.nn.Conv2d(16, 64, 3)
    for p, q in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        bound = abs(q.detach().numpy()).max()
        # both maxima of thousands (weight) or 64 (bias) uniform draws lie near the same bound
        assert abs(p.data).max() == pytest.approx(bound, rel=0.15)
