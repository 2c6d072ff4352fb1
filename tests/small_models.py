"""Small networks in the registry for a test: real classes of the zoo, few channels."""

from contextlib import contextmanager

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.models.registry import ALIASES, REGISTRY, register
from fastconv.models.resnet import RESNET, BasicBlock
from fastconv.models.vgg import VGG


class SmallResNet(nn.Module):
    """Stem, one block, head, and an auxiliary head on demand: keys as torchvision's."""

    def __init__(self, num_classes, in_channels, aux_heads):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 8, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 16, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.aux = nn.Linear(8, num_classes) if aux_heads else None
        self.fc = nn.Linear(16, num_classes) if num_classes else nn.Identity()

    def forward(self, x):
        x = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        return self.fc(self.flatten(self.avgpool(self.layer1(x))))


@contextmanager
def registered():
    """small_resnet (alias little_resnet_10) and small_vgg_bn, for the length of a block."""
    before = dict(REGISTRY), dict(ALIASES)

    @register(
        RESNET,
        params=0,
        macs=0,
        source="a test",
        weights="timm/small_resnet.tv_in1k",
        aliases=("little_resnet_10",),
    )
    def small_resnet(num_classes=12, in_channels=3, aux_heads=False):
        return SmallResNet(num_classes, in_channels, aux_heads)

    @register(RESNET, params=0, macs=0, source="a test")
    def small_vgg_bn(num_classes=12, in_channels=3):
        return VGG(((4,), (8,)), True, num_classes, in_channels, map_size=3, hidden=16)

    try:
        yield
    finally:
        for table, content in zip((REGISTRY, ALIASES), before):
            table.clear()
            table.update(content)


def randomised(model, seed=0):
    """model, its running statistics too away from where they start."""
    rng = np.random.default_rng(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(rng.standard_normal(module.num_features, "float32"))
            module.running_var.copy_(rng.random(module.num_features, "float32") + 0.5)
    return model


def logits(model, channels=3):
    """In eval, of fixed images."""
    x = np.random.default_rng(1).standard_normal((2, 12, 12, channels)).astype("float32")
    with fc.no_grad():
        return model.eval()(fc.tensor(x)).numpy()
