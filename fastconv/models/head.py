"""The last layer of a network, and the loss of one that has auxiliary heads."""

from fastconv import functional as F
from fastconv import nn

AUX_WEIGHT = 0.3  # Szegedy et al. 2014, section 5


def classifier(in_features, num_classes):
    """Linear to num_classes logits; for num_classes=0 nothing: the features themselves."""
    return nn.Linear(in_features, num_classes) if num_classes else nn.Identity()


def loss_with_aux(outputs, labels, weight=AUX_WEIGHT):
    """cross_entropy(logits) + weight * (sum of the cross-entropies of the auxiliary heads).

    outputs: what the network gave: logits (N, classes), or in training with auxiliary heads a tuple
    (logits, aux, ...) of such. labels (N,) integers.
    """
    if not isinstance(outputs, tuple):
        return F.cross_entropy(outputs, labels)
    logits, *heads = outputs
    loss = F.cross_entropy(logits, labels)
    for aux in heads:
        loss = loss + weight * F.cross_entropy(aux, labels)
    return loss
