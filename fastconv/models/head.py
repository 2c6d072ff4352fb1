"""The last layer of a network."""

from fastconv import nn


def classifier(in_features, num_classes):
    """Linear to num_classes logits; for num_classes=0 nothing: the features themselves."""
    return nn.Linear(in_features, num_classes) if num_classes else nn.Identity()
