"""The configuration file: its schema, and errors that say which key is wrong and what is allowed."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from data_monitor.adapters import yaml_file
from data_monitor.core.vectors import Summary, Vector
from data_monitor.errors import InputError

UNITS_MS: Final = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
"""Milliseconds of the units that a field may be in."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_SECONDS: Final = 10 * 366 * 86_400.0
_MOST_PANES: Final = 10_000
_MOST_WINDOWS: Final = 100
_OURS: Final = {
    *("group.id", "auto.offset.reset", "enable.auto.commit", "enable.auto.offset.store", "enable.partition.eof")
}


def parse_duration(value: object) -> object:
    """Seconds of a text such as ``10m``. Raises ValueError."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError("a duration is a number and a unit (ms, s, m, h), such as 10m")
    milliseconds = float(found.group(1)) * _UNITS[found.group(2)] * 1000
    if not 0 < milliseconds <= _LONGEST_SECONDS * 1000 or abs(milliseconds - round(milliseconds)) > 1e-6:
        raise ValueError("a duration is a whole number of milliseconds, at least 1ms and at most ten years")
    return round(milliseconds) / 1000


def _whole(value: object) -> object:
    """Whole numbers also where they are written as 1e6."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _path(value: object) -> object:
    return Path(value) if isinstance(value, str) and value and "\0" not in value else value


def _field_path(value: object) -> object:
    if isinstance(value, str) and not all(value.split(".")):
        raise ValueError("the name of a field must not be empty, nor begin or end with a dot")
    return value


def _topic(value: object) -> object:
    if isinstance(value, str) and (not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", value) or value in (".", "..")):
        raise ValueError("a topic's name has 1 to 249 letters, digits, dots, underscores and hyphens")
    return value


def _setting(value: object) -> object:
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("wanted a text, a number, true or false")
    return value


def _properties(value: object) -> object:
    if isinstance(value, dict) and (taken := sorted(_OURS.intersection(map(str, value)))):
        raise ValueError(f"the monitor decides itself about {', '.join(taken)}; see kafka.groupId and kafka.startAt")
    return _default(value)


def _default(value: object) -> object:
    """A key that was left empty is as if it were not there."""
    return {} if value is None else value


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""A time span in seconds, written with a unit."""
Text = Annotated[str, Strict(), Field(min_length=1)]
Address = Annotated[str, Strict()]
Whole = Annotated[int, Strict(), BeforeValidator(_whole)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Switch = Annotated[bool, Strict()]
File = Annotated[Path, Strict(), BeforeValidator(_path)]
Topic = Annotated[str, Strict(), BeforeValidator(_topic)]
FieldPath = Annotated[str, Strict(), BeforeValidator(_field_path)]
"""Names with dots between them; a dot goes into an object."""
TimeUnit = Literal["ns", "us", "ms", "s"]


class Section(BaseModel):
    """A part of the file: keys in camelCase, unknown ones refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Kafka(Section):
    """Where records come from."""

    bootstrap_servers: Text = "localhost:9092"
    topic: Topic = "predictions"
    format: Literal["json", "avro", "protobuf", "panes"] = "json"
    """``avro`` and ``protobuf`` need ``schemaRegistry``.

    ``panes``: the topic holds pane records (docs/data-monitor.md), made by Flink for example.
    """
    dead_letter_topic: Topic | None = "events-dlq"
    group_id: Text = "data-monitor"
    start_at: Literal["latest", "earliest"] = "latest"
    """Where to begin when there is no state yet."""
    properties: Annotated[dict[Text, Annotated[Any, BeforeValidator(_setting)]], BeforeValidator(_properties)] = {}
    """Further settings of librdkafka, such as security.protocol."""
    properties_file: File | None = None
    """A file of ``key=value`` lines with more of them: for secrets."""

    @model_validator(mode="after")
    def _two_topics(self) -> Kafka:
        if self.topic == self.dead_letter_topic:
            raise ValueError(f"topic and deadLetterTopic are the same: {self.topic}")
        return self


class SchemaRegistry(Section):
    """Where the schemas of Avro and Protobuf records are."""

    url: Annotated[str, Strict(), Field(pattern=r"^https?://[^\s/]+")]
    ca_file: File | None = None
    certificate_file: File | None = None
    """Of the monitor, with its key in ``keyFile`` or in the same file."""
    key_file: File | None = None


class VectorField(Section):
    """A field that holds an array of numbers, and what is judged of it."""

    length: Whole = Field(ge=1, le=100_000)
    """Elements of each array; one of another length is an error of the record."""
    summary: Literal["norm", "elements"] = "norm"


class Fields(Section):
    """Where the values are in a record; a dot goes into an object."""

    time: FieldPath | None = "ts_ms"
    """None: when the record was written, by its timestamp in the topic."""
    id: FieldPath = "event_id"
    """Of the event; read with ``groundTruth`` only."""
    time_unit: Literal["ns", "us", "ms", "s", "iso8601"] = "ms"
    """Of numbers; ``iso8601`` where the time is a text such as 2026-11-28T19:40:00Z."""
    features: Annotated[str, Strict(), BeforeValidator(lambda value: value and _field_path(value))] = "features"
    """The object that holds the features; empty: the record itself."""
    vectors: Annotated[dict[FieldPath, VectorField], BeforeValidator(_default)] = {}
    """Those of the features that are arrays of numbers, by name."""
    prediction: FieldPath | None = "score"
    inference_time: FieldPath | None = "inference_ms"
    inference_time_unit: TimeUnit = "ms"

    @property
    def all_vectors(self) -> list[Vector]:
        """The declared vectors, as the core takes them."""
        return [Vector(name, one.length, Summary(one.summary)) for name, one in self.vectors.items()]


class Window(Section):
    """The sliding window and when it is judged."""

    length: Duration = 600.0
    pane: Duration = 10.0
    evaluate_every: Duration = 15.0
    min_samples: Whole = Field(500, ge=1)
    skip_ahead: Switch = True
    """Leave out records that would have left the window already, after a long downtime."""

    @model_validator(mode="after")
    def _whole_panes(self) -> Window:
        panes = self.length / self.pane
        if panes < 1 or round(self.length * 1000) % round(self.pane * 1000):
            raise ValueError("length must be a multiple of pane")
        if panes > _MOST_PANES:
            raise ValueError(f"length is {panes:,.0f} panes, at most {_MOST_PANES:,} are kept; take longer panes")
        return self


class Score(Section):
    """How the scores of the features become the headline."""

    headline: Literal["max", "mean", "weighted", "quantile"] = "max"
    quantile: Number = Field(0.9, ge=0, le=1)
    weights: Annotated[dict[Text, Annotated[Number, Field(ge=0)]], BeforeValidator(_default)] = {}
    """By feature, for ``weighted``; a feature without one has weight 1."""
    threshold: Number = Field(0.2, gt=0, lt=1)
    """From which score on a feature counts as drifted, where the reference has learned none."""


class Lateness(Section):
    """When an event counts as late."""

    allowed: Duration = 5.0
    """How far an event may lie behind the newest of its partition."""
    idle_after: Duration = 60.0
    """A partition without records for so long holds the watermark back no more."""
    hold_back: Duration = 60.0
    """A slow partition holds the window back by no more than this."""
    jump: Duration = 60.0
    """Events further ahead of the newest of their partition move it only once most of the others follow."""
    max_ahead: Duration = 600.0
    """A time this far ahead of the clock is an error of the record, not the time."""


class DeadLetters(Section):
    """How dead letters name their error."""

    error_type_field: FieldPath = "error_type"
    error_types: list[Text] = ["malformed_json", "schema_violation", "value_out_of_range"]
    """Types that get a series of their own; the others are counted as ``other``."""


class State(Section):
    """Where panes, offsets and counters are kept over restarts."""

    store: Literal["file", "topic", "none"] = "file"
    path: File = Path("data-monitor-state/snapshot")
    topic: Topic = "data-monitor-state"
    """A compacted topic, for several replicas in one group."""
    every: Duration = 5.0


class Metrics(Section):
    """Where Prometheus scrapes."""

    address: Address = ""
    port: Whole = Field(8000, ge=0, le=65535)


class Report(Section):
    """The sample that reports are made from, and where reports are kept and served."""

    kind: Literal["summary", "evidently"] = "summary"
    """``evidently`` needs the extra ``report``."""
    directory: File
    sample_size: Whole = Field(5000, ge=100)
    every: Duration = 600.0
    """While the data drifts: between the first and the second report; later ones are further and further apart."""
    keep: Whole = Field(20, ge=1)
    """Older reports are removed."""
    address: Address = ""
    port: Whole = Field(8001, ge=0, le=65535)


class LabelFields(Section):
    """Where the values are in a label."""

    id: FieldPath = "event_id"
    """That of the prediction which it is about."""
    value: FieldPath = "label"
    """What turned out to be true."""

    @model_validator(mode="after")
    def _two_fields(self) -> LabelFields:
        if self.id == self.value:
            raise ValueError(f"id and value are the same field: {self.id}")
        return self


class GroundTruth(Section):
    """Labels that come later, which predictions are compared with."""

    topic: Topic
    format: Literal["json", "avro", "protobuf"] = "json"
    fields: Annotated[LabelFields, BeforeValidator(_default)] = LabelFields()
    wait: Duration = 3600.0
    """How long after its event time a prediction waits for its label."""
    window: Duration = 3600.0
    """Of event time, which quality is measured over."""
    capacity: Whole = Field(100_000, ge=1, le=10_000_000)
    """Predictions that wait at most, and labels."""

    @model_validator(mode="after")
    def _bounded(self) -> GroundTruth:
        if self.window < 60:
            raise ValueError("window must be at least 1m")
        if self.wait > _MOST_WINDOWS * self.window:
            raise ValueError(f"wait must be at most {_MOST_WINDOWS} times window; take a longer window")
        return self


class Config(Section):
    """The whole file."""

    model: Text = "recommender"
    """The label ``model`` of every metric."""
    reference: File
    kafka: Annotated[Kafka, BeforeValidator(_default)] = Kafka()
    schema_registry: SchemaRegistry | None = None
    fields: Annotated[Fields, BeforeValidator(_default)] = Fields()
    window: Annotated[Window, BeforeValidator(_default)] = Window()
    score: Annotated[Score, BeforeValidator(_default)] = Score()
    lateness: Annotated[Lateness, BeforeValidator(_default)] = Lateness()
    dead_letters: Annotated[DeadLetters, BeforeValidator(_default)] = DeadLetters()
    state: Annotated[State, BeforeValidator(_default)] = State()
    metrics: Annotated[Metrics, BeforeValidator(_default)] = Metrics()
    report: Report | None = None
    ground_truth: GroundTruth | None = None

    @model_validator(mode="after")
    def _together(self) -> Config:
        if self.kafka.format in ("avro", "protobuf") and not self.schema_registry:
            raise ValueError(f"schemaRegistry: missing, and kafka.format is {self.kafka.format}")
        if self.state.store == "topic" and self.state.topic in (self.kafka.topic, self.kafka.dead_letter_topic):
            raise ValueError(f"state.topic is a topic that is read: {self.state.topic}")
        if self.report and 0 != self.report.port == self.metrics.port:
            raise ValueError(f"metrics.port and report.port are the same: {self.report.port}")
        return self

    @model_validator(mode="after")
    def _joined(self) -> Config:
        truth = self.ground_truth
        if not truth:
            return self
        if truth.topic in (self.kafka.topic, self.kafka.dead_letter_topic):
            raise ValueError(f"groundTruth.topic is a topic that is read for something else: {truth.topic}")
        if truth.format != "json" and not self.schema_registry:
            raise ValueError(f"schemaRegistry: missing, and groundTruth.format is {truth.format}")
        if self.kafka.format == "panes":
            raise ValueError("groundTruth needs predictions with an id, and kafka.format panes has none")
        if self.state.store == "topic":
            raise ValueError(
                "groundTruth needs a monitor that reads all partitions: state.store file or none, not topic"
            )
        return self


def load(path: Path) -> Config:
    """Read a configuration file. Raises InputError with one line for each mistake."""
    document, mistakes = yaml_file.read(path)
    if not isinstance(document, dict):
        raise InputError(f"{path}: wanted a mapping with keys such as {', '.join(_keys(Config))}")
    found = None
    try:
        found = Config.model_validate(document)
    except ValidationError as error:
        mistakes += [_explain(one) for one in error.errors(include_url=False)]
    if mistakes or not found:
        raise InputError("\n".join(f"{path}: {mistake}" for mistake in dict.fromkeys(mistakes)))
    return found


_IN_WORDS: Final = {
    "string_type": "wanted a text; quote what looks like a number or a switch",
    "string_too_short": "must not be empty",
    "int_type": "wanted a whole number",
    "float_type": "wanted a number",
    "finite_number": "wanted a finite number",
    "bool_type": "wanted true or false",
    "list_type": "wanted a list",
    "dict_type": "wanted a mapping of names to values",
    "is_instance_of": "wanted the path of a file or folder",
    "invalid_key": "a key must be a text",
    "string_pattern_mismatch": "wanted a URL with http or https",
}


def _explain(error: Any) -> str:
    location = [str(part) for part in error["loc"] if part != "[key]"]
    key = ".".join(location) or "(whole file)"
    kind, found = error["type"], reprlib.repr(error["input"])
    if kind == "extra_forbidden":
        known = _keys(_section(location[:-1]))
        near = difflib.get_close_matches(location[-1], known, 1)
        return f"{key}: unknown key; " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}")
    if kind == "missing":
        return f"{key}: missing"
    if kind in ("model_type", "model_attributes_type"):
        return f"{key}: wanted a mapping with keys such as {', '.join(_keys(_section(location)))} (found: {found})"
    message = _IN_WORDS.get(kind) or error["msg"].removeprefix("Value error, ")
    what = f" (found: {found})" if not isinstance(error["input"], dict) else ""
    return f"{key}: {message[:1].lower() + message[1:]}{what}"


def _section(location: list[str]) -> type[BaseModel]:
    model: type[BaseModel] = Config
    for part in location:
        for field in model.model_fields.values():
            if field.alias == part:
                choices = get_args(field.annotation) or (field.annotation,)
                model = next((one for one in choices if isinstance(one, type) and issubclass(one, Section)), model)
    return model


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
