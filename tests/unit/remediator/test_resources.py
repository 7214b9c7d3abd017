"""Resources as another version may have written them: what is unknown changes nothing, what cannot be read is told."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from remediator.api.alertmanager import Alert
from remediator.api.reasons import Phase
from remediator.api.remediation import LABELS_LIMIT, TEXT_LIMIT, RemediationSpec
from remediator.core.decide import decide
from remediator.core.decision import Act, Refuse, Wait
from remediator.services.resources import alert_reference, dump, read_policy, read_remediation, read_sibling
from worlds import NOW, TARGET, policy, snapshot

MINUTE_AGO = (NOW - timedelta(minutes=1)).isoformat()
ATTEMPT = {"step": 0, "action": "Scale 2 to 4", "planned": MINUTE_AGO}


def record(**status: Any) -> dict[str, Any]:
    """A FlinkRemediation of the same target, which was begun a minute ago."""
    return {
        "metadata": {"name": "other", "namespace": "streaming", "creationTimestamp": MINUTE_AGO},
        "spec": {
            "policyRef": {"name": "p", "uid": "u"},
            "target": {"namespace": TARGET.namespace, "name": TARGET.name, "uid": TARGET.uid},
            "alert": {"name": "A", "fingerprint": "f", "startsAt": MINUTE_AGO, "labels": {}},
        },
        "status": {"phase": "Verifying", "attempts": [ATTEMPT], **status},
    }


ENDED = {"phase": "Succeeded", "times": {"finished": MINUTE_AGO}}
NEWER = {"phase": "Succeeded", "verdict": {"score": 1}, "attempts": [{**ATTEMPT, "cost": 3}]}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({}, "TargetBusy"),
        ({**NEWER, "phase": "Verifying"}, "TargetBusy"),
        ({"phase": "Rehearsing"}, "TargetBusy"),
        (ENDED, "Cooldown"),
        ({**NEWER, "times": {**ENDED["times"], "rehearsed": MINUTE_AGO}}, "Cooldown"),
        ({**ENDED, "phase": "Handed over"}, "Cooldown"),
        ({**ENDED, "timeline": [{"time": "whenever"}], "before": "unknown"}, "Cooldown"),
        ({"attempts": "several"}, "RecordUnreadable"),
        ({"attempts": [{"planned": "soon"}]}, "RecordUnreadable"),
        ({"times": {"finished": 3}, "phase": ["a"]}, "RecordUnreadable"),
    ],
)
def test_another_record_counts_whatever_version_wrote_it(status: dict[str, Any], reason: str) -> None:
    decision = decide(snapshot(siblings=(read_sibling(record(**status), TARGET),)))
    assert isinstance(decision, Wait)
    assert str(decision.reason) == reason
    assert "other" in decision.message or reason == "Cooldown"


def test_a_record_whose_spec_cannot_be_read_stands_in_the_way_of_the_target_it_is_labelled_with() -> None:
    damaged = {**record(), "spec": {"target": "ml-recommender"}}
    assert isinstance(decide(snapshot(siblings=(read_sibling(damaged, TARGET),))), Wait)
    assert isinstance(decide(snapshot(siblings=(read_sibling(damaged),))), Act)


def test_budgets_count_the_actions_of_a_newer_version() -> None:
    spent = record(
        **{**NEWER, "attempts": [ATTEMPT] * 3}, times={"finished": (NOW - timedelta(minutes=50)).isoformat()}
    )
    decision = decide(snapshot(siblings=(read_sibling(spent, TARGET),)))
    assert isinstance(decision, Refuse)
    assert decision.reason == "BudgetExhausted"


def test_unknown_fields_of_a_record_and_a_policy_are_left_out() -> None:
    newer = record(**NEWER)
    newer["spec"]["alert"]["severity"] = "critical"
    read = read_remediation(newer)
    assert read.status.phase is Phase.SUCCEEDED
    assert "verdict" not in dump(read.status)
    spec = policy().model_dump(mode="json", by_alias=True, exclude_none=True)
    newer_policy = {"spec": {**spec, "quorum": 2, "guards": {**spec["guards"], "weather": "fair"}}}
    assert read_policy(newer_policy) == policy()


def test_an_action_that_only_a_newer_version_knows_cannot_be_read() -> None:
    spec = policy().model_dump(mode="json", by_alias=True, exclude_none=True)
    with pytest.raises(ValidationError):
        read_policy({"spec": {**spec, "actions": [{"type": "Migrate"}]}})


def big_alert(count: int, length: int) -> Alert:
    labels = {f"label_{n:03}": "x" * (length - 1) + "z" for n in range(count)} | {
        "alertname": "A",
        "consumergroup": "g",
    }
    return Alert.model_validate({"status": "firing", "labels": labels, "startsAt": MINUTE_AGO, "fingerprint": "f" * 99})


def test_a_big_alert_is_recorded_with_the_labels_that_the_policy_names() -> None:
    rules = policy(match=[{"label": "label_098", "operator": "=~", "value": "x*z"}])
    reference = alert_reference(big_alert(100, 10_000), rules, "k" * 9_000)
    assert len(reference.labels) == LABELS_LIMIT
    assert {"label_098", "alertname", "consumergroup"} <= reference.labels.keys()
    assert max(map(len, reference.labels.values())) == TEXT_LIMIT
    assert "label_098" in reference.shortened
    # It is read back as it was written, and answered: whether the policy fits was decided on the whole.
    spec = {"policyRef": {"name": "p", "uid": "u"}, "target": {"namespace": "n", "name": "m"}}
    alert = reference.model_dump(mode="json", by_alias=True)
    assert RemediationSpec.model_validate({**spec, "alert": alert}).alert == reference
    assert isinstance(decide(snapshot(policy=rules, alert=reference)), Act)


def test_an_alert_that_fits_is_recorded_as_it_is() -> None:
    alert = big_alert(10, 10)
    reference = alert_reference(alert, policy())
    assert reference.labels == alert.labels
    assert reference.shortened == ()
