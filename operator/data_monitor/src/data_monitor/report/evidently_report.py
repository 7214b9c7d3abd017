"""The drift report by Evidently, with the monitor's own score as its statistic.

Evidently's own statistics take other bins for every window, leave missing values out, and change with the number of
rows, so that the report would contradict the alert. The only module that imports Evidently and pandas: a second of CPU
or five, and 300 MB of memory.
"""

from __future__ import annotations

import os

# Before the import: a report is nobody's business but its readers'.
os.environ.setdefault("DO_NOT_TRACK", "1")

import json
import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_monitor.core.bins import Feature, Numeric
from data_monitor.core.learn import column_for
from data_monitor.core.reference import Reference
from data_monitor.core.score import drift_score
from data_monitor.core.values import category_of
from data_monitor.report.drift_report import DriftReport, Rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from evidently import DataDefinition, Dataset, Report
    from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
    from evidently.legacy.core import ColumnType
    from evidently.metrics import MissingValueCount
    from evidently.presets import DataDriftPreset

METHOD: Final = "Jensen-Shannon distance over reference bins, base 2, bias corrected"
_PRESENT, _MISSING = "present", "missing"


def make(reference: Reference, expected: Rows, current: Rows, thresholds: Mapping[str, float]) -> DriftReport:
    """Compare rows with a reference.

    Scores compare all rows of ``current`` with the counts of the reference; ``expected``, rows of the reference, only
    show what it looked like. Both hold each feature's values by name, missing ones as None.
    """
    statistic = _Statistic(reference, current)
    numeric, shown = [], {}
    for feature in reference.features:
        pair = (column_for(feature, expected[feature.name]), column_for(feature, current[feature.name]))
        # Evidently refuses a column without a single value; then it is shown whether there are any.
        empty = any(not _present(values).any() for values in pair)
        shown[feature.name] = tuple(_series(feature, values, empty) for values in pair)
        if empty:
            statistic.known[feature.name] = _counts(feature, pair[1])
        elif isinstance(feature, Numeric):
            numeric.append(feature.name)
    definition = DataDefinition(
        numerical_columns=numeric, categorical_columns=[name for name in shown if name not in numeric]
    )
    datasets = [
        Dataset.from_pandas(
            pd.DataFrame({name: pair[side] for name, pair in shown.items()}), data_definition=definition
        )
        for side in (0, 1)
    ]
    test = StatTest(METHOD, METHOD, [ColumnType.Numerical, ColumnType.Categorical], default_threshold=0.2)
    register_stattest(test, statistic)
    metrics: list[Any] = [
        DataDriftPreset(
            columns=list(shown),
            method=METHOD,
            per_column_threshold=dict(thresholds),
            # One drifted feature is drift: the headline is the highest score.
            drift_share=1 / len(shown),
        )
    ]
    metrics += [MissingValueCount(column=name) for name, pair in shown.items() if any(one.isna().any() for one in pair)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snapshot = Report(metrics, include_tests=True).run(datasets[1], datasets[0])
        document = json.loads(snapshot.json())
        scores = {
            metric["config"]["column"]: float(metric["value"])
            for metric in document["metrics"]
            if metric["config"]["type"].endswith(":ValueDrift")
        }
        return DriftReport(snapshot.get_html_str(as_iframe=False), document, scores)


class _Statistic:
    """Evidently's question for one column, answered with the monitor's score."""

    def __init__(self, reference: Reference, current: Rows) -> None:
        self.known: dict[str, NDArray[np.int64]] = {}
        """Counts of columns that Evidently gets in another form."""
        self._features = {feature.name: feature for feature in reference.features}
        self._expected = {
            feature.name: reference.counts[part]
            for feature, part in zip(reference.features, reference.layout.slices, strict=True)
        }
        self._rows = {name: len(values) for name, values in current.items()}

    def __call__(self, reference: Any, current: Any, kind: Any, threshold: float) -> tuple[float, bool]:
        del reference, kind
        name = str(current.name)
        feature = self._features[name]
        if name in self.known:
            found = self.known[name]
        else:
            found = _counts(feature, column_for(feature, current.tolist()))
            # Evidently has taken them out before it asks.
            found[feature.missing] += self._rows[name] - len(current)
        score = float(drift_score(feature.expected(self._expected[name], found), found))
        return score, score > threshold


def _counts(feature: Feature, values: Any) -> NDArray[np.int64]:
    return np.bincount(feature.encode(values), minlength=feature.size).astype(np.int64)


def _present(values: Any) -> NDArray[np.bool_]:
    return np.asarray(pd.notna(pd.Series(values, dtype=object)), dtype=bool)


def _series(feature: Feature, values: Any, empty: bool) -> pd.Series:
    if empty:
        return pd.Series(np.where(_present(values), _PRESENT, _MISSING), name=feature.name, dtype=object)
    if isinstance(feature, Numeric):
        return pd.Series(values, name=feature.name, dtype=float)
    return pd.Series(
        [None if value in feature.missing_values else category_of(value, feature.type) for value in values],
        name=feature.name,
        dtype=object,
    )
