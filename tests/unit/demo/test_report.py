"""The picture and the timeline of an incident."""

import csv
import io
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from demo import report
from demo.incident import Incident, Sample

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def seen(time, lag=10.0, parallelism=2, rate=400, alert="inactive", remediation=""):
    return Sample(time, lag, parallelism, rate, alert, remediation)


def at(seconds):
    return START + timedelta(seconds=seconds)


@pytest.fixture
def incident():
    samples = [seen(at(t)) for t in range(0, 20, 2)]
    samples += [seen(at(t), 300.0 * (t - 18), 2, 800, "firing" if t > 28 else "pending") for t in range(20, 40, 2)]
    samples += [seen(at(t), None, None, 800, "firing", "Executing") for t in range(40, 50, 2)]
    samples += [seen(at(t), 6000 - 100.0 * (t - 50), 4, 800, "inactive", "Succeeded") for t in range(50, 100, 2)]
    marks = [(at(50), "the job runs at 4"), (at(20), "800 events/s: <too> much & more")]
    return Incident(START, "HighKafkaLag", samples, marks)


def picture(incident, **options):
    return report.draw(incident, **{"limit": 1000, "title": "An incident", **options})


def texts(svg):
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_says_what_happened(incident):
    found = texts(picture(incident))
    assert "An incident" in found
    assert "1.  20 s  800 events/s: <too> much & more" in found
    assert "2.  50 s  the job runs at 4" in found
    assert {"consumer lag", "threshold 1000", "alert pending", "alert firing", "parallelism"} <= set(found)


def test_the_same_incident_is_the_same_file(incident):
    assert picture(incident) == picture(incident)


def test_a_question_without_answer_is_a_gap(incident):
    _, values = report._series(incident, "lag")
    missing = [value != value for value in values]
    assert missing == [sample.lag is None for sample in incident.samples]
    assert sum(missing) == 5


def test_the_alert_is_shaded_only_while_it_was_seen(incident):
    firing = list(report._spans(incident, "firing"))
    assert (firing[0][0], firing[-1][1]) == (30.0, 50.0)


@pytest.mark.parametrize("samples", [[], [seen(at(0))], [seen(at(0), None, None), seen(at(2), None, None)]])
def test_little_to_draw(samples):
    assert picture(Incident(START, "HighKafkaLag", samples)).rstrip().endswith("</svg>")


def test_dollars_are_no_formulas_and_long_notes_are_cut(incident):
    incident.marks = [(at(1), "costs $5 or $6"), (at(2), "x" * 500)]
    found = texts(picture(incident))
    assert "1.  1 s  costs $5 or $6" in found
    assert max(len(text) for text in found) < 140


def test_the_timeline_is_in_order_and_whole(incident):
    incident.marks.append((at(90.25), "x" * 300))
    assert report.timeline(incident).splitlines() == [
        "  1     20.0 s  800 events/s: <too> much & more",
        "  2     50.0 s  the job runs at 4",
        "  3     90.2 s  " + "x" * 300,
    ]


def test_the_table_has_every_sample(incident):
    rows = list(csv.DictReader(io.StringIO(report.table(incident))))
    assert len(rows) == len(incident.samples)
    assert (rows[0]["seconds"], rows[0]["lag"], rows[0]["rate"]) == ("0.0", "10.0", "400")
    assert (rows[21]["lag"], rows[21]["parallelism"], rows[21]["remediation"]) == ("", "", "Executing")


def test_save(incident, tmp_path):
    written = report.save(incident, tmp_path / "build" / "demo", limit=1000, title="An incident")
    assert [path.name for path in written] == ["incident.svg", "timeline.txt", "samples.csv"]
    assert all(path.stat().st_size for path in written)
