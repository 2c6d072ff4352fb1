NAMES = {}
STAGES = {}
PEERS = {
    f"mnasnet{alpha}": f"torchvision:mnasnet{alpha}" for alpha in ("0_5", "0_75", "1_0", "1_3")
} | {"mnasnet_a1": "timm:semnasnet_100"}


def from_timm(key):
    """timm's names of squeeze-and-excitation's two convolutions are its own."""
    return key.replace("se.conv_reduce", "se.fc1").replace("se.conv_expand", "se.fc2")
