import torch
import torch.nn as tnn

# pool, 1x1, reduce 3x3, 3x3, reduce double, double 3x3, projection; without projection: stride 2
ROWS = {
    "3a": ("avg", 64, 64, 64, 64, 96, 32), "3b": ("avg", 64, 64, 96, 64, 96, 64),
    "3c": ("max", 0, 128, 160, 64, 96, 0), "4a": ("avg", 224, 64, 96, 96, 128, 128),
    "4b": ("avg", 192, 96, 128, 96, 128, 128), "4c": ("avg", 160, 128, 160, 128, 160, 128),
    "4d": ("avg", 96, 128, 192, 160, 192, 128), "4e": ("max", 0, 128, 192, 192, 256, 0),
    "5a": ("avg", 352, 192, 320, 160, 224, 128), "5b": ("max", 352, 192, 320, 192, 224, 128),
}  # fmt: skip
POOLS = {"avg": tnn.AvgPool2d, "max": tnn.MaxPool2d}


class BNInception(tnn.Module):
    def __init__(self, classes):
        super().__init__()
        self.add("conv1_7x7_s2", 3, 64, 7, 2)
        self.add("conv2_3x3_reduce", 64, 64, 1)
        self.add("conv2_3x3", 64, 192, 3)
        c = 192
        for name, (_, n1, reduce3, n3, reduce_double, double, projection) in ROWS.items():
            prefix = f"inception_{name}"
            stride = 1 if projection else 2
            if n1:
                self.add(f"{prefix}_1x1", c, n1, 1)
            self.add(f"{prefix}_3x3_reduce", c, reduce3, 1)
            self.add(f"{prefix}_3x3", reduce3, n3, 3, stride)
            self.add(f"{prefix}_double_3x3_reduce", c, reduce_double, 1)
            self.add(f"{prefix}_double_3x3_1", reduce_double, double, 3)
            self.add(f"{prefix}_double_3x3_2", double, double, 3, stride)
            if projection:
                self.add(f"{prefix}_pool_proj", c, projection, 1)
            c = n1 + n3 + double + (projection or c)
        self.last_linear = tnn.Linear(1024, classes)

    def add(self, name, c, k, size, stride=1):
        self.add_module(name, tnn.Conv2d(c, k, size, stride, size // 2))
        self.add_module(f"{name}_bn", tnn.BatchNorm2d(k))

    def run(self, x, *names):
        for name in names:
            x = getattr(self, f"{name}_bn")(getattr(self, name)(x)).relu()
        return x

    def forward(self, x):
        pool = tnn.MaxPool2d(3, 2, ceil_mode=True)
        x = pool(self.run(x, "conv1_7x7_s2"))
        x = pool(self.run(x, "conv2_3x3_reduce", "conv2_3x3"))
        for name, (kind, n1, *_, projection) in ROWS.items():
            p = f"inception_{name}"
            double = [f"{p}_double_3x3_{part}" for part in ("reduce", "1", "2")]
            branches = [self.run(x, f"{p}_1x1")] if n1 else []
            branches += [self.run(x, f"{p}_3x3_reduce", f"{p}_3x3"), self.run(x, *double)]
            if projection:
                pooled = POOLS[kind](3, 1, 1, ceil_mode=True)(x)
                branches.append(self.run(pooled, f"{p}_pool_proj"))
            else:
                branches.append(pool(x))
            x = torch.cat(branches, 1)
        return self.last_linear(x.mean((2, 3)))


TWINS = {"bn_inception": BNInception}
