"""The losses over all pairs of a batch.

Each takes the pictures and texts of one process. It compares its own rows with those of all processes and returns their
share of the loss: the shares add up to the loss of the whole batch. A run with one process has all of it.

Scores are made a block of rows at a time, so that memory grows with the size of the batch and not with its square.
"""

import torch
from torch import Tensor
from torch.nn import functional

from training.loop.blockwise import blockwise
from training.loop.ranks import ALONE, Ranks


def contrastive_loss(
    images: Tensor,
    texts: Tensor,
    image_concepts: Tensor,
    text_concepts: Tensor,
    logit_scale: Tensor,
    ranks: Ranks = ALONE,
) -> Tensor:
    """CLIP's symmetric cross-entropy (Radford et al. 2021), with every pair of the same concept a positive.

    `images` (B, D) and `texts` (M, D) are unit vectors; `image_concepts` (B,) and `text_concepts` (M,) say what belongs
    together: each picture has a text, each text a picture, or several. The target of a row is shared evenly among its
    positives (the L_out of Khosla et al. 2020); with one text a picture and all concepts different it is CLIP's loss.
    Returns a scalar.
    """
    all_images, all_texts = ranks.gather(images), ranks.gather(texts)
    all_image_concepts, all_text_concepts = ranks.gather(image_concepts), ranks.gather(text_concepts)

    def cross_entropy(
        rows: Tensor, concepts: Tensor, columns: Tensor, column_concepts: Tensor, scale: Tensor
    ) -> Tensor:
        log_probability = functional.log_softmax(scale * rows @ columns.T, dim=1)  # (block, columns)
        positive = concepts[:, None] == column_concepts
        return -((log_probability * positive).sum(dim=1) / positive.sum(dim=1)).sum()

    of_images = blockwise(cross_entropy, images, image_concepts, all_texts, all_text_concepts, logit_scale)
    of_texts = blockwise(cross_entropy, texts, text_concepts, all_images, all_image_concepts, logit_scale)
    return (of_images / len(all_images) + of_texts / len(all_texts)) / 2


def sigmoid_loss(
    images: Tensor,
    texts: Tensor,
    image_concepts: Tensor,
    text_concepts: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor,
    ranks: Ranks = ALONE,
) -> Tensor:
    """SigLIP's loss (Zhai et al. 2023): of each pair by itself, whether it matches; the sum over the number of texts.

    The arguments are those of `contrastive_loss` and a bias; every pair of the same concept matches. With one text a
    picture and all concepts different it is SigLIP's loss. Returns a scalar.
    """
    all_texts, all_text_concepts = ranks.gather(texts), ranks.gather(text_concepts)

    def cross_entropy(
        rows: Tensor, concepts: Tensor, columns: Tensor, column_concepts: Tensor, scale: Tensor, bias: Tensor
    ) -> Tensor:
        logits = scale * rows @ columns.T + bias  # (block, columns)
        match = concepts[:, None] == column_concepts
        return -functional.logsigmoid(torch.where(match, logits, -logits)).sum()

    total = blockwise(cross_entropy, images, image_concepts, all_texts, all_text_concepts, logit_scale, logit_bias)
    return total / len(all_texts)


def style_loss(images: Tensor, concepts: Tensor, temperature: float = 0.1, ranks: Ranks = ALONE) -> Tensor:
    """Supervised contrastive loss between pictures (Khosla et al. 2020): styles of one concept attract each other.

    Unit vectors (B, D), concepts (B,) → scalar; a picture alone in its concept has no term.
    """
    all_images, all_concepts = ranks.gather(images), ranks.gather(concepts)
    numbers = torch.arange(len(all_images), device=images.device)
    own = numbers[ranks.index * len(images) :][: len(images)]

    def cross_entropy(rows: Tensor, rows_own: Tensor, columns: Tensor, column_concepts: Tensor) -> Tensor:
        itself = rows_own[:, None] == numbers
        logits = (rows @ columns.T / temperature).masked_fill(itself, float("-inf"))  # (block, columns)
        positive = (column_concepts[rows_own][:, None] == column_concepts) & ~itself
        log_probability = functional.log_softmax(logits, dim=1).masked_fill(~positive, 0.0)
        return -(log_probability.sum(dim=1) / positive.sum(dim=1).clamp(min=1)).sum()

    _, concept, pictures = all_concepts.unique(return_inverse=True, return_counts=True)
    in_company: Tensor = (pictures[concept] > 1).sum().clamp(min=1)
    return blockwise(cross_entropy, images, own, all_images, all_concepts) / in_company
