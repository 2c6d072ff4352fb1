NAMES = {}
STAGES = {}
PEERS = {
    f"mnasnet{alpha}": f"torchvision:mnasnet{alpha}" for alpha in ("0_5", "0_75", "1_0", "1_3")
} | {"mnasnet_a1": "timm:semnasnet_100"}
