"""What the documents say about policies and guards is what the code does."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from remediator.api.policy import PolicySpec
from remediator.core.decide import decide
from remediator.core.decision import Cancel, Refuse, Wait
from remediator.core.guards import CHAIN
from remediator.core.patch import pointer
from unit.remediator.test_guards import CASES
from unit.remediator.test_properties import MAY_CHANGE
from worlds import snapshot

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "remediation-policy.md").read_text()
ARCHITECTURE = (DOCS / "architecture.md").read_text()
REASONS = [reason for guard in CHAIN for reason in guard.reasons]
VERBS = {Wait: "waits", Refuse: "refuses", Cancel: "cancels"}
SECTIONS = dict(
    zip(*[iter(re.split(r"^### (\w+)\n", PAGE.split("## Reasons")[1], flags=re.MULTILINE)[1:])] * 2, strict=True)
)
BLOCKS: list[Any] = [
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
]
POLICIES = [block for block in BLOCKS if block.get("kind") == "FlinkRemediationPolicy"]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy["metadata"]["name"])
def test_the_example_is_a_policy(policy: dict[str, Any]) -> None:
    PolicySpec.model_validate(policy["spec"], extra="forbid")


def test_the_guards_defaults_are_told() -> None:
    (guarded,) = (block["spec"] for block in POLICIES if block["metadata"]["name"] == "guarded")
    told, default = PolicySpec.model_validate(guarded), PolicySpec.model_validate({**guarded, "guards": {}})
    assert (told.guards, told.history_limit, told.ttl) == (default.guards, default.history_limit, default.ttl)


def test_every_reason_of_the_chain_has_its_section_in_the_chains_order() -> None:
    assert list(SECTIONS) == [str(reason) for reason in REASONS]


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_is_told_with_what_it_leads_to_and_a_real_message(reason: str) -> None:
    decisions = [decide(snapshot(**changes)) for case, _, changes in CASES if case == reason]
    verbs, section = {VERBS[type(decision)] for decision in decisions}, SECTIONS[reason]
    (told,) = re.findall(r"^\*([\w ]+)\.\*", section, re.MULTILINE)
    assert set(told.lower().split(" or ")) == verbs
    (messages,) = re.findall(r"```\n(.*?)\n```", section, re.DOTALL)
    assert set(messages.splitlines()) <= {decision.message for decision in decisions}
    assert len(messages.splitlines()) == len(verbs)


def test_git_ops_tools_are_told_to_ignore_all_that_is_patched() -> None:
    argo, flux = (block["spec"] for block in BLOCKS if "kind" not in block)
    (ignored,) = argo["ignoreDifferences"]
    (ignore,) = flux["driftDetection"]["ignore"]
    patched = {pointer(*path) for path in MAY_CHANGE} - {"/metadata/generation", "/metadata/annotations"}
    assert set(ignored["jsonPointers"]) == set(ignore["paths"]) == patched


def test_the_architecture_lists_the_guards_in_their_order() -> None:
    rows = re.findall(r"^\| ([\w, ]+) \| .* \| (\w[\w ]*) \|$", ARCHITECTURE.split("## Guards")[1], re.MULTILINE)
    assert [name for names, _ in rows for name in names.split(", ")] == [str(reason) for reason in REASONS]
