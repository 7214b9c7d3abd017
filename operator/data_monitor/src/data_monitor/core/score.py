"""How far two histograms are apart: the drift score.

The score is the Jensen-Shannon distance with base 2 (Lin, "Divergence measures based on the Shannon entropy", IEEE
Trans. Inf. Theory 37, 1991; Endres and Schindelin, "A new metric for probability distributions", 2003), from whose
square the mean of pure sampling noise is taken: for K bins, n and m samples, 8 ln 2 JSD (1/n + 1/m)^-1 is
asymptotically chi-square distributed with K - 1 degrees of freedom. It is 0 for equal histograms, 1 for disjoint ones,
and finite where bins are empty. A score of 0.2 corresponds to a population stability index (PSI) of about 0.22.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.integer] | NDArray[np.floating]
Floats = NDArray[np.float64]


def drift_score(reference: Counts, current: Counts) -> Floats:
    """The score, 0 to 1, over the last axis of two arrays of counts that broadcast; NaN where one has no samples."""
    p, q, bins, noise = _shares(reference, current)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    corrected = divergence - (bins - 1) / (8 * math.log(2)) * noise
    return np.asarray(np.sqrt(np.clip(corrected, 0.0, 1.0)))


def stability_index(reference: Counts, current: Counts) -> Floats:
    """The population stability index over the last axis, without the mean of sampling noise, at least 0.

    Half a sample is added to each bin: without it one empty bin makes the index infinite. Noise: Yurdakul and
    Naranjo, "Statistical properties of the population stability index", 2020.
    """
    p, q, bins, noise = _shares(reference, current)
    known = (reference + current) > 0
    p, q = (
        np.where(known, (counts + 0.5) / (counts.sum(-1, keepdims=True) + 0.5 * bins[..., None]), 1.0)
        for counts in (np.broadcast_to(reference, p.shape), np.broadcast_to(current, q.shape))
    )
    index = ((p - q) * np.log(p / q)).sum(-1)
    return np.asarray(np.maximum(0.0, index - (bins - 1) * noise))


def _shares(reference: Counts, current: Counts) -> tuple[Floats, Floats, Floats, Floats]:
    """Both as shares; the number of bins that either uses; 1/n + 1/m."""
    reference, current = np.broadcast_arrays(reference, current)
    m, n = reference.sum(-1), current.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = reference / m[..., None], current / n[..., None]
        noise = 1 / n + 1 / m
    bins = np.asarray(((reference + current) > 0).sum(-1), dtype=np.float64)
    return p, q, bins, noise


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    """In bits; 0 log 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p == 0, 0.0, p * np.log2(p / q))
    return np.asarray(terms.sum(-1))
