"""What is marked on the graphs: alerts as long as they fire, and what the remediator did."""

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import AnnotationQuery

from dashboards.expressions import FIRING, records
from dashboards.parts import DATASOURCE


class Annotation(AnnotationQuery, Builder[AnnotationQuery]):
    """An annotation by Prometheus, with the fields that the SDK's model leaves to data sources; its own builder."""

    def __init__(
        self, name: str, colour: str, expr: str, title: str, text: str, *, value_is_time: bool = False
    ) -> None:
        super().__init__(name=name, datasource=DATASOURCE, enable=True, icon_color=colour, expr=expr)
        self._more = {"titleFormat": title, "textFormat": text, "step": "15s", "useValueForTime": value_is_time}

    def to_json(self) -> dict[str, object]:
        """Return what the encoder writes."""
        return super().to_json() | self._more

    def build(self) -> AnnotationQuery:
        """Return itself."""
        return self


def firing() -> Annotation:
    """Mark the times in which alerts fire."""
    text = "{{severity}}: {{namespace}} {{app}}{{consumergroup}}{{model}}"
    return Annotation("Alerts", "red", FIRING, "{{alertname}}", text)


def remediations() -> Annotation:
    """Mark the moments at which remediations entered a phase."""
    text = "{{alert}} on {{target_namespace}}/{{target}} ({{remediation}}) {{reason}}"
    # While it is verified the reason changes with every step, and would be a mark each time.
    entered = f'label_replace({records()}, "reason", "", "phase", "Verifying")'
    # Grafana takes a value as time in milliseconds.
    return Annotation("Remediations", "blue", f"{entered} * 1000", "{{phase}}: {{action}}", text, value_is_time=True)
