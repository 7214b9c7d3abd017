"""The configuration file: its schema, and errors that say which key is wrong and what is allowed."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from data_monitor.errors import InputError

UNITS_MS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}
"""Milliseconds of the units that a field may be in."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(value: object) -> object:
    """Seconds of a text such as ``10m``; anything else is left to pydantic. Raises ValueError."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", value.strip())
    if not found:
        raise ValueError("a duration is a number and a unit (ms, s, m, h), such as 10m")
    return float(found.group(1)) * _UNITS[found.group(2)]


Duration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
"""A time span in seconds, written with a unit."""


class Section(BaseModel):
    """A part of the file: keys in camelCase, unknown ones refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Kafka(Section):
    """Where records come from."""

    bootstrap_servers: str = "localhost:9092"
    topic: str = "predictions"
    format: Literal["json", "panes"] = "json"
    """``panes``: the topic holds pane records (docs/data-monitor.md), made by Flink for example."""
    dead_letter_topic: str | None = "events-dlq"
    group_id: str = "data-monitor"
    start_at: Literal["latest", "earliest"] = "latest"
    """Where to begin when there is no state yet."""
    properties: dict[str, str | int | float | bool] = {}
    """Further settings of librdkafka, such as security.protocol."""
    properties_file: Path | None = None
    """A file of ``key=value`` lines with more of them: for secrets."""


class Fields(Section):
    """Where the values are in a record; a dot goes into an object."""

    time: str = "ts_ms"
    time_unit: Literal["ms", "s", "us"] = "ms"
    features: str = "features"
    """The object that holds the features; empty: the record itself."""
    prediction: str | None = "score"
    inference_time: str | None = "inference_ms"
    inference_time_unit: Literal["ms", "s", "us"] = "ms"


class Window(Section):
    """The sliding window and when it is judged."""

    length: Duration = 600.0
    pane: Duration = 10.0
    evaluate_every: Duration = 15.0
    min_samples: int = Field(500, ge=1)
    skip_ahead: bool = True
    """Leave out records that would have left the window already, after a long downtime."""

    @model_validator(mode="after")
    def _whole_panes(self) -> Window:
        panes = self.length / self.pane
        if panes < 1 or abs(panes - round(panes)) > 1e-9:
            raise ValueError("length must be a multiple of pane")
        return self


class Score(Section):
    """How the scores of the features become the headline."""

    headline: Literal["max", "mean", "weighted", "quantile"] = "max"
    quantile: float = Field(0.9, ge=0, le=1)
    weights: dict[str, Annotated[float, Field(ge=0)]] = {}
    """By feature, for ``weighted``; a feature without one has weight 1."""
    threshold: float = Field(0.2, gt=0, lt=1)
    """From which score on a feature counts as drifted, where the reference has learned none."""


class Lateness(Section):
    """When an event counts as late."""

    allowed: Duration = 5.0
    """How far an event may lie behind the newest of its partition."""
    idle_after: Duration = 60.0
    """A partition without records for so long holds the watermark back no more."""
    hold_back: Duration = 60.0
    """A slow partition holds the window back by no more than this."""
    max_ahead: Duration = 600.0
    """A time this far ahead of the clock is an error of the record, not the time."""


class DeadLetters(Section):
    """How dead letters name their error."""

    error_type_field: str = "error_type"
    error_types: list[str] = ["malformed_json", "schema_violation", "value_out_of_range"]
    """Types that get a series of their own; the others are counted as ``other``."""


class State(Section):
    """Where panes, offsets and counters are kept over restarts."""

    store: Literal["file", "topic", "none"] = "file"
    path: Path = Path("data-monitor-state/snapshot")
    topic: str = "data-monitor-state"
    """A compacted topic, for several replicas in one group."""
    every: Duration = 5.0


class Metrics(Section):
    """Where Prometheus scrapes."""

    address: str = ""
    port: int = Field(8000, ge=0, le=65535)


class Report(Section):
    """The sample that the Evidently report is made from, and where reports are kept and served."""

    directory: Path
    sample_size: int = Field(5000, ge=100)
    every: Duration = 600.0
    """While the data drifts: between the first and the second report; later ones are further and further apart."""
    keep: int = Field(20, ge=1)
    """Older reports are removed."""
    address: str = ""
    port: int = Field(8001, ge=0, le=65535)


class Config(Section):
    """The whole file."""

    model: str = Field("recommender", min_length=1)
    """The label ``model`` of every metric."""
    reference: Path
    kafka: Kafka = Kafka()
    fields: Fields = Fields()
    window: Window = Window()
    score: Score = Score()
    lateness: Lateness = Lateness()
    dead_letters: DeadLetters = DeadLetters()
    state: State = State()
    metrics: Metrics = Metrics()
    report: Report | None = None


def load(path: Path) -> Config:
    """Read a configuration file. Raises InputError with one line for each wrong key."""
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: wanted a mapping with keys such as {', '.join(_keys(Config))}")
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        lines = [f"{path}: {_explain(one)}" for one in error.errors(include_url=False)]
        raise InputError("\n".join(lines)) from error


def _explain(error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location) or "(whole file)"
    if error["type"] == "extra_forbidden":
        known = _keys(_section(location[:-1]))
        near = difflib.get_close_matches(location[-1], known, 1)
        return f"{key}: unknown key; " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}")
    if error["type"] == "missing":
        return f"{key}: missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{key}: {message[:1].lower() + message[1:]} (found: {str(error['input'])[:80]!r})"


def _section(location: list[str]) -> type[BaseModel]:
    model: type[BaseModel] = Config
    for part in location:
        for field in model.model_fields.values():
            if field.alias == part:
                choices = getattr(field.annotation, "__args__", (field.annotation,))
                model = next((one for one in choices if isinstance(one, type) and issubclass(one, Section)), model)
    return model


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
