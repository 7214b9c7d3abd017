"""FlinkRemediations as a person reads them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from remediator.adapters.kube import Resource
from remediator.api.base import format_duration
from remediator.api.diagnosis import Diagnosis
from remediator.api.remediation import Measurement, RemediationStatus
from remediator.plugin.table import age, phase
from remediator.services.columns import table
from remediator.services.inquiry import Explanation
from remediator.services.resources import Remediation, read_remediation

_COLUMNS = ("NAME", "ALERT", "TARGET", "ACTION", "PHASE", "REASON", "AGE")


def listing(resources: Sequence[Resource], now: datetime, wide: bool = False, colour: bool = False) -> str:
    """Return a table of FlinkRemediations, the latest last."""
    ordered = sorted(resources, key=lambda r: (str(r["metadata"].get("creationTimestamp")), r["metadata"]["name"]))
    head = [*_COLUMNS, *(("FINDING", "MESSAGE") if wide else ())]
    return table([head, *(_row(resource, now, wide, colour) for resource in ordered)])


def _row(resource: Resource, now: datetime, wide: bool, colour: bool) -> list[str]:
    # What a newer version has written is still shown, as far as it is text.
    metadata, spec, status = resource["metadata"], resource.get("spec") or {}, resource.get("status") or {}
    row = [
        str(metadata["name"]),
        str((spec.get("alert") or {}).get("name", "")),
        str((spec.get("target") or {}).get("name", "")),
        str(status.get("action", "")),
        phase(str(status.get("phase", "Pending")), colour),
        str(status.get("reason", "")),
        age(datetime.fromisoformat(metadata["creationTimestamp"]), now),
    ]
    return [*row, str((status.get("diagnosis") or {}).get("main", "")), str(status.get("message", ""))] if wide else row


def change(resource: Resource, now: datetime, colour: bool = False) -> str:
    """Return a line about what a FlinkRemediation has just become."""
    spec, status = resource.get("spec") or {}, resource.get("status") or {}
    what = f"{(spec.get('alert') or {}).get('name', '')} on {(spec.get('target') or {}).get('name', '')}"
    reached = phase(str(status.get("phase", "Pending")), colour)
    told = f"{reached} {status.get('reason', '')}".strip()
    return (
        f"{now:%H:%M:%S}  {resource['metadata']['name']}  {what}: {told}. {status.get('message', '')}".rstrip() + "\n"
    )


def page(resource: Resource, now: datetime, colour: bool = False) -> str:
    """Return everything about a FlinkRemediation that a person wants to know."""
    try:
        remediation = read_remediation(resource)
    except ValidationError:
        return listing([resource], now, wide=True, colour=colour)
    status = remediation.status
    parts = [_head(remediation, colour), _facts(remediation, now), _attempts(status), _effect(status)]
    parts += [_diagnosis(status.diagnosis), _timeline(status, colour), _hint(remediation)]
    return "\n".join(part for part in parts if part)


def _head(remediation: Remediation, colour: bool) -> str:
    spec, status = remediation.spec, remediation.status
    reason = f" ({status.reason})" if status.reason else ""
    what = f"{spec.alert.name} on {spec.target.namespace}/{spec.target.name}"
    message = f"  {status.message}\n" if status.message else ""
    return f"{what}: {phase(str(status.phase), colour)}{reason}\n{message}"


def _facts(remediation: Remediation, now: datetime) -> str:
    spec, status, plan = remediation.spec, remediation.status, remediation.status.plan
    firing = "resolved" if remediation.resolved else f"firing for {age(spec.alert.starts_at, now)}"
    rows = [
        ("Record", f"{remediation.namespace}/{remediation.name}, {age(remediation.created, now)} old"),
        ("Alert", f"since {_moment(spec.alert.starts_at)}, {firing}"),
        ("Policy", spec.policy_ref.name),
    ]
    if plan is not None:
        rows.append(("Plan", f"{status.action} ({plan.method}), {plan.id}"))
        rows += [("Sized", plan.sizing)] if plan.sizing else []
        rows += [("Left alone", ", ".join(plan.left_alone))] if plan.left_alone else []
        rows += [("Warning", warning) for warning in plan.warnings]
    rows += [
        (str(i.kind), f"{i.value} by {i.manager or 'an unknown field manager'} at {_moment(i.time)}")
        for i in status.interventions
    ]
    if remediation.silenced:
        rows.append(("Silenced", remediation.silenced))
    return table(rows)


def _attempts(status: RemediationStatus) -> str:
    if len(status.attempts) < 2:
        return ""
    rows = [("STEP", "ACTION", "BEGUN", "CAME OF IT")]
    rows += [(str(a.step + 1), a.action, _moment(a.planned), a.reason or "in flight") for a in status.attempts]
    return table(rows)


def _effect(status: RemediationStatus) -> str:
    before, after = status.before, status.after
    if before is None and after is None:
        return ""
    names = (("parallelism", "parallelism"), ("checkpoint", "checkpoint"), ("query", "query_value"))
    rows = [("", "BEFORE", "AFTER")]
    rows += [(name, _value(before, field), _value(after, field)) for name, field in names]
    return table([row for row in rows if row[1:] != ("-", "-")])


def _value(measured: Measurement | None, field: str) -> str:
    value = getattr(measured, field, None)
    return "-" if value is None else f"{value:,g}"


def _diagnosis(seen: Diagnosis | None) -> str:
    if seen is None:
        return ""
    rows: list[tuple[str, ...]] = [
        ("VERTEX", "SUBTASKS", "BUSY", "BUSIEST", "BACKPRESSURED", "IDLE", "IN/S", "OUT/S", "EVENT TIME LAG")
    ]
    rows += [
        (
            f"{v.name}{' *' if v.name == seen.bottleneck else ''}",
            str(v.parallelism),
            *(_percent(share) for share in (v.busy, v.busiest, v.back_pressured, v.idle)),
            *(_number(rate) for rate in (v.records_in, v.records_out)),
            f"{v.watermark_lag:,.1f}s" if v.watermark_lag is not None else "-",
        )
        for v in seen.vertices
    ]
    found = [(f"{finding.type}", finding.message) for finding in seen.findings]
    notes = [
        ("CPU", _cpu(seen)) if seen.cpu_used is not None else None,
        ("Kafka", _kafka(seen)) if seen.backlog is not None else None,
        ("Garbage", f"{seen.garbage:.0%} of the time") if seen.garbage is not None else None,
        ("Checkpoint", f"{seen.checkpoint_seconds:,.1f}s") if seen.checkpoint_seconds is not None else None,
        ("Last failure", seen.exception) if seen.exception else None,
        ("Not read", "; ".join(seen.missing)) if seen.missing else None,
    ]
    noted = [note for note in notes if note is not None]
    star = "  * the bottleneck\n" if seen.bottleneck else ""
    title = f"Seen at {_moment(seen.time)}{'' if found else ': nothing was found'}\n"
    return title + table([*found, *noted], "  ") + (table(rows, "  ") + star if seen.vertices else "")


def _cpu(seen: Diagnosis) -> str:
    limit = f" of {seen.cpu_limit:.2f}" if seen.cpu_limit is not None else ""
    return f"{_number(seen.cpu_used, 2)}{limit} cores"


def _kafka(seen: Diagnosis) -> str:
    rates = [(seen.input_rate, "in"), (seen.consumed_rate, "out")]
    told = [f"{_number(rate)}/s {way}" for rate, way in rates if rate is not None]
    return ", ".join([f"{_number(seen.backlog)} messages wait in {seen.partitions or 0} partitions", *told])


def _timeline(status: RemediationStatus, colour: bool) -> str:
    if not status.timeline:
        return ""
    begin = status.timeline[0].time
    rows = [
        (
            _moment(entry.time) if entry.time == begin else f"+{format_duration(entry.time - begin)}",
            phase(str(entry.phase), colour),
            entry.reason,
            entry.message,
        )
        for entry in status.timeline
    ]
    return "Timeline\n" + table(rows, "  ")


def _hint(remediation: Remediation) -> str:
    if remediation.status.phase.terminal or not remediation.status.proposal:
        return ""
    place = f"kubectl frem -n {remediation.namespace}"
    return f"Answer with: {place} approve {remediation.name}, or {place} deny {remediation.name}\n"


def explanations(found: Sequence[Explanation]) -> str:
    """Return what would be decided, a block for each policy and target."""
    return "\n".join(
        table(
            [
                ("Policy", one.policy),
                ("Target", f"{one.target.namespace}/{one.target.name}{'' if one.target.uid else ' (not found)'}"),
                ("Record", one.record or "none yet"),
                ("Decision", f"{one.decision or 'none'} ({one.reason})"),
                ("Why", one.message),
            ]
        )
        for one in found
    )


def names(resources: Iterable[Resource]) -> list[str]:
    """Return names, sorted, for completion."""
    return sorted(str(resource["metadata"]["name"]) for resource in resources)


def plain(resources: Sequence[Resource]) -> dict[str, Any]:
    """Return resources as kubectl's List, without the bookkeeping of their managers."""
    return {"apiVersion": "v1", "kind": "List", "items": [bare(resource) for resource in resources]}


def bare(resource: Resource) -> Resource:
    """Return a resource without ``managedFields``, as kubectl prints it."""
    metadata = {key: value for key, value in resource["metadata"].items() if key != "managedFields"}
    return {**resource, "metadata": metadata}


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _percent(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.0%}"


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
