NAMES = {
    "resnet50": "resnet50_v1.5",
    "resnet101": "resnet101_v1.5",
    "resnet152": "resnet152_v1.5",
    "resnet18_a": "resnet18_optionA",
    "resnet18_c": "resnet18_optionC",
    "resnet34_a": "resnet34_optionA",
    "resnet34_c": "resnet34_optionC",
}
STAGES = {"gap": "avgpool"} | {f"conv{i + 1}_x": f"layer{i}" for i in (1, 2, 3, 4)}
PEERS = {f"resnet{depth}": f"torchvision:resnet{depth}" for depth in (18, 34, 50, 101, 152)}
