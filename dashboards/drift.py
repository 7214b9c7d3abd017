"""*Data drift*: which features moved away from what the model was trained on, whether the score can be trusted, and how
good the model is, where that is known later."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import alerts, annotations
from dashboards.expressions import EVALUATION_AGE, LATE, MODEL, WINDOW_EVENTS
from dashboards.parts import Panel, Query, Steps, add_row, board, graph, listing, number, variable

FEATURE = f'{MODEL}, feature=~"$feature"'
_SCORE = f"max by (cluster, namespace, model, feature) (data_drift_feature_score{{{FEATURE}}})"
_NAME = "{{namespace}}/{{model}}"


def build() -> builders.Dashboard:
    """Return the dashboard."""
    dashboard = board(
        "streaming-data-drift",
        "Data drift",
        "What the data monitor says of the model's input, by feature. A score is 0 where the window is like the "
        "reference and 1 where they have nothing in common; above 0.2 is commonly held to be significant.",
        ["namespace", "model"],
    ).with_variable(variable("feature", "Feature", f"data_drift_feature_score{{{MODEL}}}", "A feature of the model."))
    dashboard = dashboard.annotation(annotations.firing())
    add_row(dashboard, "", _now())
    add_row(dashboard, "By feature and segment", _features())
    add_row(dashboard, "Can the score be trusted?", _trust())
    add_row(dashboard, "How good is the model? With ground truth only", _quality())
    return dashboard


def _now() -> list[Panel]:
    drift = Steps.above(alerts.limit("MLModelPredictionDrift"))
    return [
        number(
            "Drift score",
            "The highest score of any feature: what MLModelPredictionDrift looks at.",
            "percentunit",
            Query(f"max(data_drift_score{{{MODEL}}})", "score"),
            steps=drift,
            runbook="MLModelPredictionDrift",
            span=4,
        ),
        number(
            "Features that drifted",
            "Features whose score is above their threshold.",
            "none",
            Query(f"max(data_drift_features_drifted{{{MODEL}}})", "features"),
            steps=Steps.above(1),
            span=4,
        ),
        number(
            "Prediction drift",
            "The same score of what the model answers. It may move without the input, and the other way round.",
            "percentunit",
            Query(f"max(prediction_drift_score{{{MODEL}}})", "score"),
            steps=drift,
            span=4,
        ),
        number(
            "Window ready",
            "1 while the window holds enough events for a score; below that the last score stands still.",
            "none",
            Query(f"min(data_drift_window_ready{{{MODEL}}})", "ready"),
            steps=Steps.below(1),
            span=4,
        ),
        number(
            "Last evaluation",
            "How long ago the data was last judged.",
            "s",
            Query(f"time() - min(data_drift_last_evaluation_timestamp_seconds{{{MODEL}}} > 0)", "age"),
            steps=Steps.above(alerts.limit("DataMonitorStale")),
            runbook="DataMonitorStale",
            span=4,
        ),
        number(
            "Events in the window",
            "How many events the score is about.",
            "short",
            Query(f"max({WINDOW_EVENTS})", "events"),
            span=4,
        ),
    ]


def _features() -> list[Panel]:
    return [
        graph(
            "Score by feature",
            "Bias-corrected Jensen-Shannon distance (base 2) between window and reference. A feature that jumps is "
            "often a broken field; one that creeps is a change in behaviour.",
            "percentunit",
            Query(_SCORE, "{{feature}}"),
            alert="MLModelPredictionDrift",
            span=16,
            top=1,
        ),
        listing(
            "Furthest off now",
            "The ten features with the highest score.",
            f"topk(10, {_SCORE})",
            {"feature": "Feature", "model": "Model", "Value": "Score"},
            span=8,
            empty="No scores.",
            overrides=[("Score", {"unit": "percentunit", "decimals": 1})],
        ),
        graph(
            "Missing values by feature",
            "Share of the events in which a feature is missing or no number. They have a bin of their own, "
            "so a field that is suddenly empty counts as drift.",
            "percentunit",
            Query(
                f"max by (cluster, namespace, model, feature) (data_drift_feature_missing_ratio{{{FEATURE}}})",
                "{{feature}}",
            ),
            span=6,
        ),
        graph(
            "Population stability index by feature",
            "The same comparison on the scale that many know: above 0.1 is worth a look, above 0.25 is a shift.",
            "none",
            Query(f"max by (cluster, namespace, model, feature) (data_drift_feature_psi{{{FEATURE}}})", "{{feature}}"),
            span=6,
            bottom=None,
        ),
        graph(
            "Score by segment",
            "Headline score of each value of the label that the data monitor is told to tell apart, if any.",
            "percentunit",
            Query(f"max by (cluster, namespace, model, segment) (data_drift_segment_score{{{MODEL}}})", "{{segment}}"),
            limit=alerts.limit("MLModelPredictionDrift"),
            span=6,
            top=1,
        ),
        graph(
            "Prediction drift",
            "Score of the model's answers against those of the reference.",
            "percentunit",
            Query(f"max by (cluster, namespace, model) (prediction_drift_score{{{MODEL}}})", _NAME),
            limit=alerts.limit("MLModelPredictionDrift"),
            span=6,
            top=1,
        ),
    ]


def _trust() -> list[Panel]:
    return [
        graph(
            "Events in the window",
            "With few events a score is noise. None is published below the minimum.",
            "short",
            Query(WINDOW_EVENTS, _NAME),
            span=6,
        ),
        graph(
            "Age of the last evaluation",
            "How long ago the data was last judged. A monitor that stands still shows yesterday's score.",
            "s",
            Query(EVALUATION_AGE, _NAME),
            alert="DataMonitorStale",
            span=6,
        ),
        graph(
            "Records not read yet",
            "How far the data monitor itself is behind its topics.",
            "short",
            Query(f"sum by (cluster, namespace, model) (data_monitor_lag_records{{{MODEL}}})", _NAME),
            span=6,
        ),
        graph(
            "Late data",
            "Share of the window's events that came later than allowed. What is late beyond the window is in none.",
            "percent",
            Query(LATE, _NAME),
            alert="LateDataRateHigh",
            span=6,
        ),
    ]


def _largest(metric: str) -> str:
    return f"max by (cluster, namespace, model) ({metric}{{{MODEL}}})"


def _quality() -> list[Panel]:
    return [
        graph(
            "Accuracy",
            "Share of right predictions among those of the window whose ground truth has come, where a category or a "
            "boolean is predicted.",
            "percentunit",
            Query(_largest("prediction_accuracy"), _NAME),
            alert="MLModelQualityLow",
            span=6,
            top=1,
        ),
        graph(
            "Error",
            "How far predicted numbers are from the ground truth, in their unit. A bias as large as the mean: all are "
            "off in one direction. A root mean square many times the mean: few are far off.",
            "short",
            Query(_largest("prediction_mean_absolute_error"), f"{_NAME} mean"),
            Query(_largest("prediction_root_mean_squared_error"), f"{_NAME} root mean square"),
            Query(_largest("prediction_bias"), f"{_NAME} bias"),
            runbook="MLModelErrorHigh",
            span=6,
            bottom=None,
        ),
        graph(
            "Predictions with their label",
            "Share of the window's predictions that were joined with their ground truth. A share that changes makes "
            "accuracy and error tell of other cases than before.",
            "percentunit",
            Query(_largest("ground_truth_joined_ratio"), _NAME),
            span=6,
            top=1,
        ),
        graph(
            "Joined and dropped",
            "Predictions per second that were joined with their label, and predictions and labels that were not. wait: "
            "the other one is late or never comes; invalid: no id, or a value of another type.",
            "cps",
            Query(
                f"sum by (cluster, namespace, model) (rate(ground_truth_joined_total{{{MODEL}}}[$__rate_interval]))",
                f"{_NAME} joined",
            ),
            Query(
                "sum by (cluster, namespace, model, what, reason) "
                f"(rate(ground_truth_dropped_total{{{MODEL}}}[$__rate_interval]))",
                f"{_NAME} {{{{what}}}}: {{{{reason}}}}",
            ),
            span=6,
        ),
    ]
