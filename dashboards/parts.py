"""The parts that dashboards are made of, in one style: panels, variables, links."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import common, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards import alerts
from dashboards.expressions import NAMESPACE

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "streaming-monitoring"

Panel = timeseries.Panel | stat.Panel | table.Panel
P = TypeVar("P", timeseries.Panel, stat.Panel)


@dataclass(frozen=True)
class Query:
    """A PromQL expression, and how its series are called."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Steps:
    """Colours of a value, from the lowest up: where each begins, None for the first."""

    steps: tuple[tuple[float | None, str], ...]

    @classmethod
    def above(cls, limit: float) -> "Steps":
        """Red above a limit."""
        return cls(((None, "green"), (limit, "red")))

    @classmethod
    def below(cls, limit: float) -> "Steps":
        """Red below a limit."""
        return cls(((None, "red"), (limit, "green")))

    def build(self) -> builders.ThresholdsConfig:
        """Return them as the SDK wants them."""
        steps = [models.Threshold(value=value, color=colour) for value, colour in self.steps]
        return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


PLAIN = Steps(((None, "blue"),))


def graph(
    title: str,
    about: str,
    unit: str,
    *queries: Query,
    alert: str = "",
    runbook: str | Sequence[str] = (),
    limit: float | None = None,
    span: int = 8,
    top: float | None = None,
    bottom: float | None = 0,
) -> timeseries.Panel:
    """Draw series over time. An alert brings a line at its threshold and a link to its runbook; alerts that judge
    something else than what is drawn are named as runbook, and bring only the link."""
    panel = timeseries.Panel().title(title).description(about).datasource(DATASOURCE).unit(unit).span(span).height(8)
    panel = panel.line_width(1).fill_opacity(8).show_points(VisibilityMode.NEVER).no_value("no data")
    panel = panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    panel = panel.legend(
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    if bottom is not None:
        panel = panel.min(bottom)
    if top is not None:
        panel = panel.max(top)
    line = alerts.limit(alert) if alert else limit
    if line is not None:
        panel = panel.thresholds(Steps(((None, "transparent"), (line, "red"))).build())
        panel = panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    named = [alert] if alert else []
    named += [runbook] if isinstance(runbook, str) else runbook
    if named:
        panel = panel.links([runbook_link(name) for name in named])
    return _with_queries(panel, queries)


def number(
    title: str,
    about: str,
    unit: str,
    query: Query,
    *,
    steps: Steps = PLAIN,
    runbook: str = "",
    span: int = 3,
    instant: bool = False,
) -> stat.Panel:
    """Show a value of now, coloured by steps, with its course behind it."""
    panel = stat.Panel().title(title).description(about).datasource(DATASOURCE).unit(unit).span(span).height(4)
    panel = panel.thresholds(steps.build()).no_value("no data").color_mode(BigValueColorMode.VALUE)
    panel = panel.graph_mode(BigValueGraphMode.NONE if instant else BigValueGraphMode.AREA)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if runbook:
        panel = panel.links([runbook_link(runbook)])
    return _with_queries(panel, [query], instant)


def listing(
    title: str,
    about: str,
    expr: str,
    columns: dict[str, str],
    *,
    span: int = 24,
    height: int = 8,
    empty: str = "none",
    latest_first: str = "",
    overrides: Sequence[tuple[str, dict[str, Any]]] = (),
) -> table.Panel:
    """List the series of an expression; columns are the labels that are shown, in order, with their headings. With the
    heading of a time, its latest comes first."""
    panel = table.Panel().title(title).description(about).datasource(DATASOURCE).span(span).height(height)
    panel = panel.unit("none").no_value(empty).filterable(True)
    target = Dataquery().expr(expr).instant().format(PromQueryFormat.TABLE).datasource(DATASOURCE).ref_id("A")
    fields = models.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": list(columns)}})
    order = models.DataTransformerConfig(
        id_val="organize",
        options={"indexByName": {name: place for place, name in enumerate(columns)}, "renameByName": columns},
    )
    panel = panel.with_target(target).with_transformation(fields).with_transformation(order)
    if latest_first:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(latest_first).desc(True)])
    for name, properties in overrides:
        panel = panel.override_by_name(
            name, [models.DynamicConfigValue(id_val=key, value=value) for key, value in properties.items()]
        )
    return panel


def _with_queries(panel: P, queries: Iterable[Query], instant: bool = False) -> P:
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        target = Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter).datasource(DATASOURCE)
        panel = panel.with_target(target.instant() if instant else target.range())
    return panel


def add_row(dashboard: builders.Dashboard, title: str, panels: Iterable[Panel]) -> None:
    """Add panels below a row's title; without a title, just the panels."""
    if title:
        dashboard.with_row(builders.Row(title))
    for panel in panels:
        dashboard.with_panel(panel)


def runbook_link(alert: str) -> builders.DashboardLink:
    """Link a panel to the runbook of the alert that watches it."""
    return (
        builders.DashboardLink(f"Runbook of {alert}")
        .type(models.DashboardLinkType.LINK)
        .url(alerts.runbook(alert))
        .target_blank(True)
    )


def variable(name: str, label: str, metric: str, about: str, everything: str = ".+") -> builders.QueryVariable:
    """Let the user choose values of a label; all by default, which is the given regular expression."""
    chosen = models.VariableOption(text=["All"], value=["$__all"])
    return (
        builders.QueryVariable(name)
        .label(label)
        .description(about)
        .datasource(DATASOURCE)
        .query(f"label_values({metric}, {name})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(everything)
        .current(chosen)
    )


VARIABLES = {
    "cluster": variable(
        "cluster",
        "Cluster",
        'up{job=~"flink|kafka|data-monitor|remediator"}',
        "Label of Prometheus servers that hold several Kubernetes clusters; most have none.",
        ".*",
    ),
    "namespace": variable(
        "namespace",
        "Namespace",
        'up{job=~"flink|kafka|data-monitor|remediator", cluster=~"$cluster"}',
        "Where Kafka, the Flink jobs, the data monitor and the remediator run.",
    ),
    "app": variable(
        "app",
        "Flink job",
        f"flink_jobmanager_numRegisteredTaskManagers{{{NAMESPACE}}}",
        "Name of the FlinkDeployment.",
    ),
    "consumergroup": variable(
        "consumergroup",
        "Consumer group",
        f"kafka_consumergroup_lag{{{NAMESPACE}}}",
        "The group that a job commits its offsets for.",
    ),
    "model": variable("model", "Model", f"data_drift_score{{{NAMESPACE}}}", "The model whose input is watched."),
}


def board(uid: str, title: str, about: str, variables: Iterable[str]) -> builders.Dashboard:
    """Begin a dashboard: variables, links between the dashboards and to the runbooks."""
    dashboard = (
        builders.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags([TAG])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .timezone("browser")
        .refresh("30s")
        .with_variable(
            builders.DatasourceVariable("datasource").label("Data Source").type("prometheus").description("Prometheus.")
        )
        .link(
            builders.DashboardLink("Streaming dashboards")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .link(
            builders.DashboardLink("Runbooks")
            .type(models.DashboardLinkType.LINK)
            .url(alerts.runbooks())
            .icon("doc")
            .target_blank(True)
        )
    )
    for name in ("cluster", *variables):
        dashboard = dashboard.with_variable(VARIABLES[name])
    return dashboard
