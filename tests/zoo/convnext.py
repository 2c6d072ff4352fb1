NAMES = {}
STAGES = {}
PEERS = {f"convnext_{s}": f"torchvision:convnext_{s}" for s in ("tiny", "small", "base", "large")}
