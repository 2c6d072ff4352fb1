NAMES = {"nin_d2l": "nin_d2l_gray10"}
# a mlpconv block is a Sequential: convolution, ReLU, 1x1, ReLU, 1x1, ReLU
_IMAGENET = {
    f"{'conv' if j == 0 else 'cccp'}{i if j == 0 else 2 * i - 2 + j}": f"block{i}.{2 * j}"
    for i in (1, 2, 3, 4)
    for j in (0, 1, 2)
}
STAGES = _IMAGENET
# what the published tables call the last pooling is the mean over whole maps
STAGES_OF = {name: {"pool3": "gap"} for name in ("nin_cifar10", "nin_cifar100")} | {
    "nin_imagenet": {"pool4": "gap"}
}
GLOBAL_POOL = {"nin_cifar10": 8, "nin_cifar100": 8}
