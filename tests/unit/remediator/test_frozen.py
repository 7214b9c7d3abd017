"""The policy that a remediation acts by is kept with it, whole and within bounds."""

import json
from typing import Any

import pytest
from remediator.api.base import JSON_TEXT_LIMIT
from remediator.core.frozen import freeze, in_force, thaw
from worlds import ALERT, policy

LADDER = [{"type": "Scale", "scale": {"factor": 1.5, "max": 9, "strategy": "Redeploy"}, "timeout": "3m"}] * 8


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"actions": [*LADDER[:2], {"type": "Restore", "restore": {"onlyIfFailed": True}}, {"type": "Restart"}]},
        {"guards": {"storm": None, "budget": [], "approval": {"required": True}, "maxAlertAge": "2h"}},
        {"revert": {"onIneffective": False, "after": {"quietFor": "119s", "query": "lag < 1"}}},
        {"target": {"namespace": "a", "name": "b"}, "verify": {"query": "lag < 1", "for": "0s", "timeout": "7s"}},
    ],
)
def test_what_is_kept_is_read_again(changes: dict[str, Any]) -> None:
    given = policy(**changes)
    kept = thaw(freeze(given))
    assert kept is not None
    assert kept.model_copy(update={"match": given.match}) == given
    assert kept.match[0].label in ALERT.labels


def test_it_fits_whatever_a_policy_holds() -> None:
    longest = "\x01" * 4096
    largest = policy(
        actions=LADDER,
        match=[{"label": "a" * 128, "value": "\x01" * 1024}] * 32,
        target={"namespaceLabel": "n" * 128, "name": "\x01" * 253},
        verify={"query": longest, "for": "9999d99999h999999m9999999s", "timeout": "9999d99999h999999m9999999s"},
        guards={"budget": [{"max": 1000, "per": "9999d99999h999999m9999999s"}] * 8, "pauseRequests": ["x" * 256] * 32},
        revert={"after": {"quietFor": "9999d99999h999999m9999999s", "query": longest}},
    )
    assert len(freeze(largest)) <= JSON_TEXT_LIMIT


def test_the_live_policy_pauses_and_observes_and_does_nothing_else() -> None:
    kept = thaw(freeze(policy()))
    live = policy(mode="Observe", guards={"pauseRequests": ["ada"], "cooldown": "1h"}, actions=LADDER)
    both = in_force(kept, live)
    assert both is not None
    assert kept is not None
    assert (str(both.mode), both.guards.pause_requests) == ("Observe", ("ada",))
    assert (both.actions, both.guards.cooldown) == (kept.actions, kept.guards.cooldown)
    assert in_force(None, live) == live
    assert in_force(kept, None) == kept


def test_what_a_newer_version_kept_is_read() -> None:
    text = json.dumps({**json.loads(freeze(policy())), "of": "a newer version"})
    assert thaw(text) == thaw(freeze(policy()))
    assert thaw("") is None
    for text in ("[]", "{", '{"actions": []}'):
        with pytest.raises((ValueError, TypeError)):
            thaw(text)
