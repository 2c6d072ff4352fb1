import torch
import torch.nn as tnn

# input, 1x1, reduce 3x3, 3x3, reduce 5x5, 5x5, pool projection
ROWS = {
    "3a": (192, 64, 96, 128, 16, 32, 32), "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64), "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64), "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128), "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}  # fmt: skip


def conv(c, k, size):
    return tnn.Sequential(tnn.Conv2d(c, k, size, padding=size // 2), tnn.ReLU())


class Module(tnn.Module):
    def __init__(self, c, n1, reduce3, n3, reduce5, n5, projection):
        super().__init__()
        self.branch1 = conv(c, n1, 1)
        self.branch3 = tnn.Sequential(conv(c, reduce3, 1), conv(reduce3, n3, 3))
        self.branch5 = tnn.Sequential(conv(c, reduce5, 1), conv(reduce5, n5, 5))
        self.pool = tnn.Sequential(tnn.MaxPool2d(3, 1, 1), conv(c, projection, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch3(x), self.branch5(x), self.pool(x)], 1)


class GoogLeNet2014(tnn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = tnn.Conv2d(3, 64, 7, 2, 3)
        self.conv2_reduce = tnn.Conv2d(64, 64, 1)
        self.conv2 = tnn.Conv2d(64, 192, 3, padding=1)
        for name, row in ROWS.items():
            self.add_module(f"inception_{name}", Module(*row))
        self.fc = tnn.Linear(1024, classes)

    def forward(self, x):
        pool = tnn.MaxPool2d(3, 2, ceil_mode=True)
        norm = tnn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        x = norm(pool(self.conv1(x).relu()))
        x = pool(norm(self.conv2(self.conv2_reduce(x).relu()).relu()))
        x = pool(self.inception_3b(self.inception_3a(x)))
        for name in ("4a", "4b", "4c", "4d", "4e"):
            x = getattr(self, f"inception_{name}")(x)
        x = self.inception_5b(self.inception_5a(pool(x)))
        return self.fc(x.mean((2, 3)))


TWINS = {"googlenet_2014": GoogLeNet2014}
