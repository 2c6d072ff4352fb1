NAMES = (
    {f"resnet{d}_cifar": f"resnet{d}_cifar10_optionA" for d in (20, 32, 44, 56, 110, 1202)}
    | {f"resnet{d}_cifar_b": f"resnet{d}_cifar10_optionB" for d in (20, 32, 44, 56, 110)}
    | {f"plain{d}_cifar": f"plain{d}_cifar10" for d in (20, 32, 44, 56, 110)}
)
STAGES = {"gap": "avgpool"} | {f"conv{i + 1}_x": f"layer{i}" for i in (1, 2, 3)}
