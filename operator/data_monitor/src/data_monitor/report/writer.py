"""Writes the sample for the report next to what the monitor found in the same window."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_monitor.core.judge import Judge
from data_monitor.core.monitor import Evaluation
from data_monitor.report.folder import Folder, Sample, Value
from data_monitor.report.sampler import Sampler

log = logging.getLogger(__name__)

WRITE_SECONDS: Final = 30.0


class SampleWriter:
    """Takes the rows of the stream; a folder that cannot be written to never disturbs the monitor."""

    def __init__(self, folder: Folder, sampler: Sampler, model: str, judge: Judge, pane_ms: int) -> None:
        self._folder = folder
        self._sampler = sampler
        self._model = model
        self._judge = judge
        self._pane_ms = pane_ms
        self._reference = judge.reference.digest
        self._written = 0.0
        self._trouble = ""

    def add(self, numbers: NDArray[np.int64], columns: Sequence[NDArray[np.float64] | Sequence[Value]]) -> None:
        """Add a batch of rows: each one's pane, and each feature's values."""
        self._sampler.add(numbers, columns)

    def evaluated(self, evaluation: Evaluation) -> None:
        """Write the sample of a window that was judged, unless one was written just now."""
        self._sampler.advance(evaluation.window_end_ms // self._pane_ms - 1)
        found = evaluation.judgement
        if not (found and evaluation.ready and evaluation.judged_at - self._written >= WRITE_SECONDS):
            return
        columns = self._sampler.draw()
        if not any(columns.values()):
            # The judgement is one from before a restart.
            return
        self._written = evaluation.judged_at
        features = dict(found.features)
        if found.prediction is not None:
            features[self._judge.layout.features[-1].name] = found.prediction
        sample = Sample(
            model=self._model,
            evaluated_at=evaluation.judged_at,
            score=found.score,
            threshold=self._judge.rules.threshold,
            features=features,
            reference=self._reference,
            events=evaluation.samples,
            columns=columns,
            hours=list(found.hours),
        )
        try:
            self._folder.write_sample(sample)
            self._trouble = ""
        except OSError as error:
            if str(error) != self._trouble:
                log.warning("no sample for the report: %s", error)
            self._trouble = str(error)
