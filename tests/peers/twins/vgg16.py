import torch.nn as tnn

BLOCKS = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)


class VGG16(tnn.Module):
    """C: the third convolution of a block is 1x1. Else batch norm and one linear layer."""

    def __init__(self, classes, column_c):
        super().__init__()
        layers, c = [], 3
        for block in BLOCKS:
            for i, k in enumerate(block):
                size = 1 if column_c and i == 2 else 3
                layers.append(tnn.Conv2d(c, k, size, padding=size // 2))
                layers += [tnn.ReLU()] if column_c else [tnn.BatchNorm2d(k), tnn.ReLU()]
                c = k
            layers.append(tnn.MaxPool2d(2))
        self.features = tnn.Sequential(*layers)
        self.avgpool = tnn.AdaptiveAvgPool2d(7 if column_c else 1)
        self.classifier = tnn.Linear(512, classes)
        if column_c:
            self.classifier = tnn.Sequential(
                tnn.Linear(25088, 4096), tnn.ReLU(), tnn.Identity(),
                tnn.Linear(4096, 4096), tnn.ReLU(), tnn.Identity(), tnn.Linear(4096, classes),
            )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


TWINS = {
    "vgg16_c": lambda classes: VGG16(classes, True),
    "vgg16_bn_cifar": lambda classes: VGG16(classes, False),
}
