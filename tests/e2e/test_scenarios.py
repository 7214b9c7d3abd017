"""The demo's scenarios, for real: the alert fires for its cause, the remediation comes, and the job recovers."""

from collections.abc import Callable
from typing import Any

import pytest

from demo.scenarios import SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_incident_is_healed_as_promised(
    scenario: str, result: Callable[[str], dict[str, Any]], played: Callable[[str], Any]
) -> None:
    found = result(scenario)
    assert found["failures"] == []
    assert found["remediation"]["spec"]["alert"]["name"] == SCENARIOS[scenario].alert
    assert found["remediation"]["status"]["before"]["parallelism"] == 2
    assert (played(scenario) / "incident.svg").read_text().startswith("<?xml")
