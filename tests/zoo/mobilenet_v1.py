NAMES = {"mobilenet_v1": "mobilenet_v1_1.0"}
STAGES = {}
PEERS = {"mobilenet_v1": "timm:mobilenetv1_100"}


def derived(facts, keras):
    """The thinner networks: Keras' counts, and the stages of the full one with alpha."""
    full = facts["mobilenet_v1_1.0"]
    for alpha in ("0.25", "0.5", "0.75"):
        counted = keras[f"keras:MobileNet_a{alpha}_224"]
        stages = {
            name: size if name == "classifier" else [int(size[0] * float(alpha)), *size[1:]]
            for name, size in full["stages"].items()
        }
        batches = full["buffers"]["num_batches_tracked"]
        yield (
            f"mobilenet_v1_{round(100 * float(alpha)):03d}",
            full
            | {
                "params_trainable": counted["params_trainable"],
                "macs": counted["macs"],
                "stages": stages,
                "buffers": {"elements": counted["params_non_trainable"] + batches},
            },
        )
