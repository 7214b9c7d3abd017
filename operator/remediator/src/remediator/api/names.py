"""Names that other parts of a cluster see: API groups, labels and annotations."""

from typing import Final

GROUP: Final = "remediation.streaming-monitoring.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

ENABLED_LABEL: Final = f"{GROUP}/enabled"
"""Label of a FlinkDeployment that may be remediated, with the value "true"."""

CONSUMER_GROUPS_ANNOTATION: Final = "streaming-monitoring.dev/consumer-groups"
"""Annotation of a FlinkDeployment: its Kafka consumer groups, comma separated."""

PLAN_ANNOTATION: Final = f"{GROUP}/plan"
"""Annotation of a FlinkDeployment: id of the last plan applied, written by the same patch."""

RESOLVED_ANNOTATION: Final = f"{GROUP}/resolved-at"
"""Annotation of a FlinkRemediation: when Alertmanager said that its alert is resolved."""

SILENCED_ANNOTATION: Final = f"{GROUP}/silenced"
"""Annotation of a FlinkRemediation: what keeps its alert from being notified, such as a silence, for people."""

RETRY_ANNOTATION: Final = f"{GROUP}/retry"
"""Annotation of a FlinkRemediation that has ended: try again, set by a person; the value is the reason."""

CANCEL_ANNOTATION: Final = f"{GROUP}/cancel"
"""Annotation of a FlinkRemediation that has not ended: stop, set by a person; the value is the reason."""

APPROVAL_ANNOTATION: Final = f"{GROUP}/approval"
"""Annotation of a FlinkRemediation: approved:PLAN or denied, set by a person."""

STOP_ANNOTATION: Final = f"{GROUP}/stop"
"""Annotation of the controllers' Lease: nothing new begins, set by a person; each line is a request to pause."""

CONTROLLER_LEASE: Final = "streaming-monitoring-remediator-controller"
"""Lease by which one of the controllers acts; each of them reads it every two seconds."""

TARGET_LABEL: Final = f"{GROUP}/target"
"""Label of a FlinkRemediation: hash of its target, so that siblings are found by a selector."""

INCIDENT_LABEL: Final = f"{GROUP}/incident"
"""Label of a FlinkRemediation: hash of policy, target and alert fingerprint. Its records answer one incident after the
other."""

ENDED_LABEL: Final = f"{GROUP}/ended"
"""Label of a FlinkRemediation on which nobody works any more: the controller watches those without it."""

RESOLVED_LABEL: Final = f"{GROUP}/resolved"
"""Label of a FlinkRemediation whose alert is resolved: resync reads those without it."""

POLICY_LABEL: Final = f"{GROUP}/policy"
"""Label of a FlinkRemediation: name of its policy."""

FIELD_MANAGER: Final = "streaming-monitoring-remediator"
