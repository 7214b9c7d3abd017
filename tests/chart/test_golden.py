"""A change of what the chart renders, or of what an account may do, has to be looked at and committed."""

import copy

import golden
import pytest
from chart.conftest import SCENARIOS, Render


@pytest.fixture(scope="module")
def changes(rendered: Render) -> dict[str, str]:
    """Unified differences by file."""
    return dict(golden.differences(golden.wanted(lambda name: rendered(name).objects)))


def test_renderings_are_those_that_were_reviewed(changes: dict[str, str]) -> None:
    assert "".join(text for name, text in changes.items() if name != "rights.txt") == "", "look, then: make golden"


def test_no_account_may_do_more_than_was_reviewed(changes: dict[str, str]) -> None:
    assert changes.get("rights.txt", "") == "", "look, then: make golden"


def test_a_new_verb_shows(rendered: Render) -> None:
    result = copy.deepcopy(rendered("pipeline-values.yaml"))
    before = set(golden.rights(result.objects))
    rules = result.one("Role", "streaming-monitoring-remediator-receiver")["rules"]
    rules.append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]})
    (added,) = set(golden.rights(result.objects)) - before
    assert added == "streaming-monitoring-remediator-receiver | release | secrets | get"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_wildcards(rendered: Render, scenario: str) -> None:
    assert [line for line in golden.rights(rendered(scenario).objects) if "*" in line] == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_token_is_only_where_it_is_used(rendered: Render, scenario: str) -> None:
    """A pod has the token of an account with rights, or none."""
    objects = rendered(scenario).objects
    accounts = {line.split(" ")[0] for line in golden.rights(objects)}
    for o in objects:
        if o["kind"] in ("Deployment", "StatefulSet", "Job"):
            pod = o["spec"]["template"]["spec"]
            if pod.get("automountServiceAccountToken", True):
                assert pod["serviceAccountName"] in accounts, o["metadata"]["name"]
            else:
                assert "serviceAccountName" not in pod, o["metadata"]["name"]
