"""Pictures that are known to be bad, and how many of them a threshold finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from stackclip.benchmarks.evaluation import Evaluation
from stackclip.inspection.calibrating import Calibration
from stackclip.methods import Inspector
from stackclip.ops.words import counted, few_of
from stackclip.types import Sample

__all__ = ["tell_bad"]


def tell_bad(found: Calibration, inspector: Inspector, said: Evaluation, bad: Sequence[Sample]) -> str:
    """What bad pictures cost, in words: AUROC against the good ones, and which of them the threshold misses."""
    from sklearn.metrics import roc_auc_score

    if said.error:
        return f"the bad pictures could not be scored: {said.error}"
    scores = torch.cat(said.scores) if said.scores and found.scores is not None else None
    peaks = torch.cat(said.peaks) if said.peaks else None
    judged = found.judge(inspector, scores, peaks)
    own, area = peaks if scores is None else scores, ""
    if judged.threshold is not None and own is not None:
        every = np.concatenate([found.values, own.double().numpy()])
        value = roc_auc_score([0] * found.count + [1] * len(bad), every)
        area = f"AUROC of good and bad ones {100 * value:.1f}; "
    missed = [sample.id for sample, anomalous in zip(bad, judged.anomalous, strict=True) if not anomalous]
    names = f", missed {few_of(missed)}" if missed else ""
    return f"{area}{int(judged.anomalous.sum())} of {counted(len(bad), 'bad picture')} found{names}"
