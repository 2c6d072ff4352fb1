NAMES = {}
STAGES = {}
PEERS = {name: f"torchvision:{name}" for name in ("squeezenet1_0", "squeezenet1_1")}
