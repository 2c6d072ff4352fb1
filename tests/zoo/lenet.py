NAMES = {"lenet5": "lenet5_modern_32", "lenet5_28": "lenet5_modern_28pad2"}
STAGES = {s: s.lower() for s in ("C1", "S2", "C3", "S4", "C5", "F6", "RBF")}
