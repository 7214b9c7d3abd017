"""What a person does about FlinkRemediations, policies and everything at once: annotations and pause requests, as
kubectl would write them."""

from collections.abc import Sequence
from datetime import datetime

from remediator.adapters.kube import LEASES, POLICIES, REMEDIATIONS, Forbidden, Kind, Kube, Resource
from remediator.api.names import (
    APPROVAL_ANNOTATION,
    CANCEL_ANNOTATION,
    CONTROLLER_LEASE,
    RESOLVED_ANNOTATION,
    RETRY_ANNOTATION,
    STOP_ANNOTATION,
)
from remediator.api.reasons import Phase
from remediator.api.remediation import INTERVENTION_LENGTH
from remediator.core.guards.approval import APPROVED, DENIED
from remediator.core.interventions import RETRYABLE
from remediator.core.pauses import in_force, request
from remediator.services.documents import BadInput
from remediator.services.stop import requests_of

MANAGER = "kubectl-frem"
"""Field manager; the remediator takes what others than its own roles write for a person's."""


async def find(kube: Kube, kind: Kind, namespace: str, name: str) -> Resource:
    """Return an object. Raises BadInput with what there is, where it is not there."""
    found = await kube.get(kind, namespace, name)
    if found is not None:
        return found
    there = sorted(str(r["metadata"]["name"]) for r in await kube.list_all(kind, namespace))
    what = "FlinkRemediation" if kind == REMEDIATIONS else "FlinkRemediationPolicy"
    listed = f"there are {', '.join(there[:10])}{' and more' if len(there) > 10 else ''}" if there else "there are none"
    raise BadInput(f"no {what} {name} in the namespace {namespace}; {listed}")


async def approve(kube: Kube, namespace: str, name: str, plan: str = "") -> str:
    """Approve the plan that is asked about, or the one that is named; returns what was done, for people."""
    found = await find(kube, REMEDIATIONS, namespace, name)
    status = found.get("status") or {}
    asked = str(status.get("proposal") or "")
    if not asked or _phase(found).terminal:
        raise BadInput(f"{name} asks for no approval: it is {_phase(found)} ({status.get('reason', '')})")
    if plan and plan != asked:
        raise BadInput(f"{name} asks about the plan {asked} now, not {plan}: look at it again")
    await _annotate(kube, found, APPROVAL_ANNOTATION, f"{APPROVED}:{asked}")
    return f"{name}: plan {asked} approved. {status.get('message', '').partition(', waits for')[0]}".rstrip()


async def deny(kube: Kube, namespace: str, name: str, now: datetime) -> str:
    """Deny any plan of a FlinkRemediation that has not acted, however often it was denied before and tried again."""
    found = await find(kube, REMEDIATIONS, namespace, name)
    if _phase(found) not in (Phase.PENDING, Phase.AWAITING_APPROVAL):
        raise BadInput(f"{name} is {_phase(found)}: there is nothing to deny; to stop one in flight, cancel it")
    await _annotate(kube, found, APPROVAL_ANNOTATION, f"{DENIED}:{_written(now)}")
    return f"{name}: denied"


async def retry(kube: Kube, namespace: str, name: str, reason: str, now: datetime) -> str:
    """Ask that one that has ended without success begins anew."""
    found = await find(kube, REMEDIATIONS, namespace, name)
    if _phase(found) not in RETRYABLE:
        allowed = ", ".join(sorted(RETRYABLE))
        raise BadInput(f"{name} is {_phase(found)}: only what is {allowed} can be tried again")
    if RESOLVED_ANNOTATION in (found["metadata"].get("annotations") or {}):
        raise BadInput(f"{name}: its alert is resolved, there is nothing to remedy")
    await _annotate(kube, found, RETRY_ANNOTATION, _once(reason, now))
    return f"{name}: to be tried again"


async def cancel(kube: Kube, namespace: str, name: str, reason: str, now: datetime) -> str:
    """Ask that one that has not ended stops where it is."""
    found = await find(kube, REMEDIATIONS, namespace, name)
    if _phase(found).terminal:
        raise BadInput(f"{name} has ended already: it is {_phase(found)}")
    await _annotate(kube, found, CANCEL_ANNOTATION, _once(reason, now))
    return f"{name}: to be cancelled"


async def pause(kube: Kube, namespace: str, names: Sequence[str], reason: str, until: datetime | None) -> list[str]:
    """Add a pause request to policies, all of the namespace where none is named; what is in flight is finished."""
    return [
        await _set_pauses(kube, policy, [*_pauses(policy), request(reason, until)])
        for policy in await _policies(kube, namespace, names)
    ]


async def resume(kube: Kube, namespace: str, names: Sequence[str], reason: str, now: datetime) -> list[str]:
    """Take pause requests back: those that begin with the reason, all without one; those that have ended go, too."""
    done = []
    for policy in await _policies(kube, namespace, names):
        kept = [text for text in in_force(_pauses(policy), now) if reason and not text.startswith(reason)]
        done.append(await _set_pauses(kube, policy, kept))
    return done


async def stop(kube: Kube, namespace: str, reason: str, until: datetime | None, now: datetime) -> str:
    """Stop everything: nothing new begins, whatever the policies say; what is in flight is finished."""
    lease = await _lease(kube, namespace)
    # A line is a request.
    wanted = request(" ".join(reason.split()), until)
    return await _set_stops(kube, lease, [*in_force(requests_of(lease), now), wanted])


async def start(kube: Kube, namespace: str, reason: str, now: datetime) -> str:
    """Take stops back: those that begin with the reason, all without one; those that have ended go, too."""
    lease = await _lease(kube, namespace)
    kept = [text for text in in_force(requests_of(lease), now) if reason and not text.startswith(reason)]
    return await _set_stops(kube, lease, kept)


async def stopped(kube: Kube, namespace: str, now: datetime) -> tuple[str, ...]:
    """Return the stops in force; none for whoever may not read the Lease."""
    try:
        return in_force(requests_of(await kube.get(LEASES, namespace, CONTROLLER_LEASE)), now)
    except Forbidden:
        return ()


async def _lease(kube: Kube, namespace: str) -> Resource:
    found = await kube.get(LEASES, namespace, CONTROLLER_LEASE)
    if found is None:
        raise BadInput(f"no Lease {CONTROLLER_LEASE} in the namespace {namespace}: no controller has run there")
    return found


async def _set_stops(kube: Kube, lease: Resource, requests: Sequence[str]) -> str:
    wanted = list(dict.fromkeys(requests))
    metadata = {**_version(lease), "annotations": {STOP_ANNOTATION: "\n".join(wanted) or None}}
    await kube.merge_patch(LEASES, lease["metadata"]["namespace"], CONTROLLER_LEASE, {"metadata": metadata})
    return f"stopped: {', '.join(wanted)}" if wanted else "not stopped"


async def _policies(kube: Kube, namespace: str, names: Sequence[str]) -> list[Resource]:
    if names:
        return [await find(kube, POLICIES, namespace, name) for name in names]
    found = await kube.list_all(POLICIES, namespace)
    if not found:
        raise BadInput(f"no FlinkRemediationPolicy in the namespace {namespace}")
    return found


def _pauses(policy: Resource) -> list[str]:
    return [str(text) for text in ((policy.get("spec") or {}).get("guards") or {}).get("pauseRequests") or ()]


async def _set_pauses(kube: Kube, policy: Resource, requests: Sequence[str]) -> str:
    metadata, wanted = policy["metadata"], list(dict.fromkeys(requests))
    if wanted != _pauses(policy):
        change = {"metadata": _version(policy), "spec": {"guards": {"pauseRequests": wanted}}}
        await kube.merge_patch(POLICIES, metadata["namespace"], metadata["name"], change)
    return f"{metadata['name']}: paused: {', '.join(wanted)}" if wanted else f"{metadata['name']}: not paused"


async def _annotate(kube: Kube, resource: Resource, annotation: str, value: str) -> None:
    metadata = resource["metadata"]
    change = {"metadata": {**_version(resource), "annotations": {annotation: value}}}
    await kube.merge_patch(REMEDIATIONS, metadata["namespace"], metadata["name"], change)


def _version(resource: Resource) -> dict[str, str]:
    # What was looked at is what is decided on.
    return {"resourceVersion": str(resource["metadata"]["resourceVersion"])}


def _once(reason: str, now: datetime) -> str:
    """Each value counts once: with the moment it is another each time."""
    moment = f"({_written(now)})"
    return f"{reason[: INTERVENTION_LENGTH - len(moment) - 1]} {moment}".strip()


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _phase(resource: Resource) -> Phase:
    try:
        return Phase((resource.get("status") or {}).get("phase") or Phase.PENDING)
    except ValueError:
        raise BadInput(
            f"{resource['metadata']['name']} was written by a newer version, which knows what to do"
        ) from None
