NAMES = (
    {f"shufflenet_v1_g{g}": f"shufflenet_v1_g{g}_x1.0" for g in (1, 2, 3, 4, 8)}
    | {
        f"shufflenet_v1_g3_x{scale.replace('.', '_')}": f"shufflenet_v1_g3_x{scale}_stem24"
        for scale in ("0.25", "0.5", "1.5", "2.0")
    }
    | {
        f"shufflenet_v1_g{g}_x{scale.replace('.', '_')}_megvii": (
            f"shufflenet_v1_g{g}_x{scale}_megvii"
        )
        for g in (3, 8)
        for scale in ("0.5", "1.0", "1.5", "2.0")
    }
)
STAGES = {"gap": "avgpool"}
PEERS = {}  # neither torchvision nor timm has it
