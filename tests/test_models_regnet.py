"""What the generic tests of the zoo do not see of RegNet: the rule behind the widths."""

import numpy as np
import pytest

from fastconv import nn
from fastconv.models.regnet import Block, Design, RegNet, X, Y


def test_stages_of_the_papers_figures():
    """Radosavovic et al. 2020, figures 15 and 16: the blocks and widths printed there."""
    assert X["200mf"].stages() == [(24, 1), (56, 1), (152, 4), (368, 7)]
    assert X["4gf"].stages() == [(80, 2), (240, 5), (560, 14), (1360, 2)]
    assert X["32gf"].stages() == [(336, 2), (672, 7), (1344, 13), (2520, 1)]
    assert Y["4gf"].stages() == [(128, 2), (192, 6), (512, 12), (1088, 2)]
    assert Y["32gf"].stages() == [(232, 2), (696, 5), (1392, 12), (3712, 1)]


def test_torchvision_rounds_some_widths_up():
    """392 is 24.5 * 16: the even multiple in the paper's code. 192 is nearest to 3 * 56 = 168,
    which is less than nine tenths of it. The 4gf networks are not torchvision's."""
    changed = {}
    for kind, designs in (("X", X), ("Y", Y)):
        for name, design in designs.items():
            pairs = zip(design.stages(), design.stages(upwards=True), strict=True)
            if wider := [(a, b) for (a, _), (b, _) in pairs if a != b]:
                changed[f"{kind} {name}"] = wider
    assert changed == {
        "X 400mf": [(384, 400)],
        "X 4gf": [(80, 120)],
        "Y 800mf": [(128, 144), (768, 784)],
        "Y 8gf": [(168, 224)],
        "Y 4gf": [(192, 256)],
    }


def test_a_slope_of_nothing_gives_one_stage():
    assert Design(5, 48, 0, 2.0, 16).stages() == [(48, 5)]


@pytest.mark.parametrize(("width", "groups"), [(24, 1), (48, 2), (72, 3)])
def test_groups_and_squeeze_of_a_block(width, groups):
    block = Block(40, width, 2, 24, squeeze=True)
    assert block.f.b[0].groups == groups
    assert block.f.se.fc1.out_channels == 10  # a quarter of what enters the block
    assert list(dict(block.f.named_children())) == ["a", "b", "se", "c"]
    plain = Block(width, width, 1, 24, squeeze=False)
    assert plain.proj is None
    assert not any(isinstance(m, nn.SqueezeExcitation) for m in plain.modules())


def test_starts_as_torchvisions():
    """The fan-out of a grouped convolution counts all of its filters."""
    model = RegNet(Design(6, 16, 24, 2.0, 8), False, num_classes=50)
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            w = m.weight.numpy()
            k, r, s, _ = w.shape
            assert abs(np.mean(w**2) * k * r * s / 2 - 1) < 5 * np.sqrt(2 / w.size)
    w = model.fc.weight.numpy()
    assert abs(w.std() / 0.01 - 1) < 5 / np.sqrt(2 * w.size)
    assert not model.fc.bias.numpy().any()
