"""The incidents that the demo plays: how each is brought about, and what the remediator promises about it."""

from collections.abc import Callable
from dataclasses import dataclass

from demo.incident import Incident, Promise
from demo.pipeline import Pipeline


@dataclass(frozen=True)
class Scenario:
    """An incident; its values lie in ``values-NAME.yaml``."""

    name: str
    title: str
    alert: str
    healthy_rate: int
    """Events per second that the job carries without effort."""
    provoke: Callable[[Pipeline, Incident], None]
    promise: Promise


def _overload(pipeline: Pipeline, incident: Incident) -> None:
    pipeline.set_rate(800)
    incident.mark_now("800 events/s: more than parallelism 2 can carry")


def _hang(pipeline: Pipeline, incident: Incident) -> None:
    pipeline.hang()
    incident.mark_now("the feature store's connections hang: no checkpoint passes them any more")


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="scale",
            title="load from 400 to 800 events/s",
            alert="HighKafkaLag",
            healthy_rate=400,
            provoke=_overload,
            promise=Promise(action="Scale 2 to 4", parallelism=4),
        ),
        Scenario(
            name="restore",
            title="hanging feature lookups, checkpoints fail",
            alert="FlinkCheckpointFailures",
            healthy_rate=100,
            provoke=_hang,
            promise=Promise(
                action="Restore", parallelism=2, from_checkpoint=True, consequences=frozenset({"HighKafkaLag"})
            ),
        ),
    )
}
