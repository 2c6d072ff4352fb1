import torch.nn as tnn

LAYERS = ((3, 96, 7, 2, 1), (96, 256, 5, 2, 0), (256, 384, 3, 1, 1), (384, 384, 3, 1, 1))


class ZFNet(tnn.Module):
    def __init__(self, classes):
        super().__init__()
        for i, layer in enumerate((*LAYERS, (384, 256, 3, 1, 1)), 1):
            self.add_module(f"conv{i}", tnn.Conv2d(*layer))
        self.fc6 = tnn.Linear(9216, 4096)
        self.fc7 = tnn.Linear(4096, 4096)
        self.fc8 = tnn.Linear(4096, classes)

    def forward(self, x):
        pool = tnn.MaxPool2d(3, 2, ceil_mode=True)
        norm = tnn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        x = norm(pool(self.conv1(x).relu()))
        x = norm(pool(self.conv2(x).relu()))
        x = self.conv4(self.conv3(x).relu()).relu()
        x = pool(self.conv5(x).relu()).flatten(1)
        return self.fc8(self.fc7(self.fc6(x).relu()).relu())


TWINS = {"zfnet": ZFNet}
