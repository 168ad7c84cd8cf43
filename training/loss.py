"""The contrastive loss over all pairs of a batch."""

import torch
from torch import Tensor
from torch.nn import functional


def contrastive_loss(image_vectors: Tensor, text_vectors: Tensor, concepts: Tensor, logit_scale: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy (Radford et al. 2021), with every row of the same concept a positive.

    `image_vectors` and `text_vectors` are unit vectors (B, D) of the same B pictures and captions, `concepts` (B,) are
    theirs. The target of a row is shared evenly among its positives (the L_out of Khosla et al. 2020); with all
    concepts different it is CLIP's loss. Returns a scalar.
    """
    logits = logit_scale * image_vectors @ text_vectors.T  # (B, B)
    return (_multi_positive(logits, concepts) + _multi_positive(logits.T, concepts)) / 2


def style_loss(image_vectors: Tensor, concepts: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss between pictures (Khosla et al. 2020): styles of one concept attract each other.

    Unit vectors (B, D), concepts (B,) → scalar; a picture alone in its concept has no term.
    """
    logits = image_vectors @ image_vectors.T / temperature
    itself = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.float().masked_fill(itself, float("-inf"))
    positive = (concepts[:, None] == concepts) & ~itself
    log_probability = functional.log_softmax(logits, dim=1).masked_fill(~positive, 0.0)
    count = positive.sum(dim=1)
    return -(log_probability.sum(dim=1) / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


def _multi_positive(logits: Tensor, concepts: Tensor) -> Tensor:
    target = (concepts[:, None] == concepts).float()
    target = target / target.sum(dim=1, keepdim=True)
    return functional.cross_entropy(logits.float(), target)
