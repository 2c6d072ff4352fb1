"""Floor 4: optimizers as PyTorch computes them, and learning-rate schedules."""
