NAMES = {}
STAGES = {}
PEERS = {f"efficientnet_v2_{size}": f"torchvision:efficientnet_v2_{size}" for size in "sml"}
