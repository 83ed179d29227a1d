"""Losses of the suite as pure functions of vectors; each gives one number, and none knows of models or batches.

Vectors are of unit length, pictures and texts in the same order. Constants are the caller's, from its paper.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F


def contrastive(
    images: Float[Tensor, "B D"],
    texts: Float[Tensor, "B D"],
    scale: float | Tensor,
    negatives: Float[Tensor, "N D"] | None = None,
    smoothing: float = 0.0,
    same: Bool[Tensor, "B B"] | None = None,
) -> Float[Tensor, ""]:
    """Give CLIP's loss: each picture finds its text among all, and each text its picture.

    Args:
        images: unit vectors.
        texts: unit vectors; row i belongs to picture i.
        scale: what cosines are multiplied by.
        negatives: more texts that no picture has; columns for pictures only (DeGLA).
        smoothing: share of the target spread over all columns (Long-CLIP: 0.1).
        same: pairs that are right as well, such as equal captions; targets are spread over them evenly.
    """
    logits = scale * images @ texts.T
    wanted = torch.eye(len(images), device=images.device) if same is None else same.to(images)
    across, down = wanted / wanted.sum(dim=1, keepdim=True), wanted.T / wanted.T.sum(dim=1, keepdim=True)
    if negatives is None:
        rows = F.cross_entropy(logits, across, label_smoothing=smoothing)
    else:
        wide = torch.cat([logits, scale * images @ negatives.T], dim=1)
        rows = F.cross_entropy(wide, F.pad(across, (0, len(negatives))), label_smoothing=smoothing)
    return (rows + F.cross_entropy(logits.T, down, label_smoothing=smoothing)) / 2


def classify(
    vectors: Float[Tensor, "B D"],
    classes: Float[Tensor, "C D"],
    labels: Int64[Tensor, " B"],
    scale: float | Tensor,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Give the cross-entropy of the right class, cosines times scale as logits (CoOp, MaPLe, CLIP-SVD)."""
    return F.cross_entropy(scale * vectors @ classes.T, labels, label_smoothing=smoothing)


def hard_negative(
    images: Float[Tensor, "B D"],
    texts: Float[Tensor, "B D"],
    negatives: Float[Tensor, "B K D"],
    scale: float | Tensor,
) -> Float[Tensor, ""]:
    """Let each picture choose its text among its own negatives (HQ-CLIP, DeGLA); log(1 + K) where all tie."""
    right = (images * texts).sum(dim=-1, keepdim=True)
    wrong = torch.einsum("bd,bkd->bk", images, negatives)
    logits = scale * torch.cat([right, wrong], dim=1)
    return F.cross_entropy(logits, torch.zeros(len(images), dtype=torch.long, device=images.device))


def supervised_contrastive(
    vectors: Float[Tensor, "B D"], labels: Int64[Tensor, " B"], temperature: float
) -> Float[Tensor, ""]:
    """Draw vectors of one entity together (SupCon, as CLIPPINGS trains); entities seen once pull nothing.

    Minus the mean, over a vector's other views, of their log-probability among all other vectors; averaged over the
    vectors that have another view.
    """
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    logs = F.log_softmax((vectors @ vectors.T / temperature).masked_fill(itself, -torch.inf), dim=1)
    views = (labels[:, None] == labels) & ~itself
    counts = views.sum(dim=1)
    each = -logs.masked_fill(~views, 0.0).sum(dim=1)
    if not bool(counts.any()):
        return vectors.sum() * 0
    return (each[counts > 0] / counts[counts > 0]).mean()


def relation(
    student: Float[Tensor, "B C"], teacher: Float[Tensor, "B C"], gate: Bool[Tensor, " B"] | None = None
) -> Float[Tensor, ""]:
    """Give KL(softmax(teacher) || softmax(student)) of rows of scaled similarities (Mod-X, CLIP-Refine, VR-LwF).

    Args:
        student: logits; gradients flow here alone.
        teacher: logits of what is kept.
        gate: rows to keep; others give nothing.
    """
    wanted = F.softmax(teacher.detach(), dim=1)
    each = (wanted * (F.log_softmax(teacher.detach(), dim=1) - F.log_softmax(student, dim=1))).sum(dim=1)
    return (each if gate is None else each * gate.to(each)).mean()


def agreement(student: Float[Tensor, "B D"], teacher: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Give the mean of 1 - cosine to vectors that are kept or to be reached."""
    return 1 - F.cosine_similarity(student, teacher, dim=-1).mean()


def structure(student: Float[Tensor, "B D"], teacher: Float[Tensor, "B E"]) -> Float[Tensor, ""]:
    """Compare distances between all pairs (ProCLIP); widths may differ, and a turn of either changes nothing."""
    return F.smooth_l1_loss(torch.pdist(student), torch.pdist(teacher).detach())


def primary_component(vectors: Float[Tensor, "B D"], rank: int) -> Float[Tensor, "B D"]:
    """Keep what a batch's vectors show along their first axes (Long-CLIP); not normalised again.

    Args:
        vectors: a batch.
        rank: axes kept; the batch itself where it has no more.
    """
    mean = vectors.mean(dim=0, keepdim=True)
    if rank >= min(vectors.shape):
        return vectors
    left, values, right = torch.linalg.svd(vectors - mean, full_matrices=False)
    return (left[:, :rank] * values[:rank]) @ right[:rank] + mean


def tags(logits: Float[Tensor, "B T"], wanted: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Give the cross-entropy of tags, the target spread evenly over a picture's own; pictures without any give 0."""
    counts = wanted.sum(dim=1, keepdim=True)
    share = wanted.to(logits) / counts.clamp_min(1)
    return -(share * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
