"""How ``kubectl frem`` writes, takes its words, and completes them."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remediator.core.pauses import LENGTH, ends, in_force, request
from remediator.plugin import app, present
from remediator.plugin.table import age, in_colour, phase
from remediator.services.columns import table
from worlds import NOW


def record(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "high-kafka-lag-1", "namespace": "streaming", "creationTimestamp": "2026-03-01T02:54:00Z"},
        "spec": {
            "policyRef": {"name": "lag", "uid": "u"},
            "target": {"namespace": "streaming", "name": "ml-recommender", "uid": "t"},
            "alert": {"name": "HighKafkaLag", "fingerprint": "f", "startsAt": "2026-03-01T02:49:00Z", "labels": {}},
        },
        "status": status,
    }


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0s"),
        (119, "119s"),
        (125, "2m5s"),
        (600, "10m"),
        (7200, "2h"),
        (9000, "2h30m"),
        (90_000, "25h"),
        (1e6, "11d"),
    ],
)
def test_ages_read_as_kubectls(seconds: float, told: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == told


def test_colours_do_not_move_columns() -> None:
    plain = [("a", "Failed", "x"), ("b", "Succeeded", "y")]
    coloured = [(a, phase(p, True), x) for a, p, x in plain]
    text = table(coloured)
    assert "\x1b[31mFailed\x1b[0m" in text
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[0m"):
        text = text.replace(code, "")
    assert text == table(plain)


def test_colours_are_for_terminals_whose_reader_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert in_colour(Terminal())
    assert not in_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not in_colour(Terminal())


def test_a_record_of_a_newer_version_is_shown_as_far_as_it_can_be_read() -> None:
    newer = record(phase="Thinking", reason="Unheard", timeline="not a list", message="on it")
    for text in (present.page(newer, NOW), present.listing([newer], NOW, wide=True)):
        assert "Thinking" in text
        assert "on it" in text


def test_a_new_record_has_a_page() -> None:
    text = present.page(record(), NOW)
    assert text.startswith("HighKafkaLag on streaming/ml-recommender: Pending")
    assert "firing for 11m" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pause", "p"], "--reason"),
        (["stop"], "--reason"),
        (["stop", "--reason", "r", "--for", "1h", "--until", "2099-01-01"], "not allowed with"),
        (["pause", "--reason", "r", "--for", "soon"], "not a duration"),
        (["pause", "--reason", "r", "--until", "2020-01-01"], "is over"),
        (["pause", "--reason", "r", "--until", "noon"], "not a time"),
        (["show"], "NAME"),
        (["open"], "invalid choice"),
    ],
)
def test_wrong_words_are_told_and_nothing_is_done(words: list[str], told: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as exit_:
        app.main(words)
    assert exit_.value.code == 2
    assert told in capsys.readouterr().err


def test_the_namespace_may_stand_before_the_command_and_after_it() -> None:
    for words in (["-n", "a", "list"], ["list", "-n", "a"], ["-n", "b", "list", "--namespace", "a"]):
        assert app.parser().parse_args(words).namespace == "a"


def test_where_there_is_no_cluster_it_says_so_without_a_traceback(tmp_path: Path, capsys: Any) -> None:
    assert app.main(["list", "--kubeconfig", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'none'}: no such file\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["s"], ["show", "start", "stop"]),
        (["-n", "streaming", "pa"], ["pause"]),
        (["-n", "streaming", "pause", "--u"], ["--until"]),
        (["pause", "--r"], ["--reason"]),
        (["list", ""], []),
        (["nonsense", "x"], []),
    ],
)
def test_completion_ends_with_a_directive_and_never_fails(words: list[str], expected: list[str], capsys: Any) -> None:
    assert app.complete(words) == 0
    *found, directive = capsys.readouterr().out.splitlines()
    assert (found, directive) == (expected, ":4")


def test_every_command_is_completed_and_has_help(capsys: Any) -> None:
    app.complete([""])
    commands = capsys.readouterr().out.split()[:-1]
    assert set(commands) >= app.ON_REMEDIATIONS | app.ON_POLICIES | {"list", "watch", "doctor"}
    for command in commands:
        with pytest.raises(SystemExit):
            app.main([command, "--help"])
        assert "--namespace" in capsys.readouterr().out


def test_documents_are_json_and_yaml_of_the_same() -> None:
    document = present.plain([record(phase="Failed")])
    assert json.loads(app._document(document, "json")) == document
    assert "kind: List" in app._document(document, "yaml")


def test_a_request_that_cannot_be_read_to_its_end_never_ends() -> None:
    assert ends("migration") is None
    assert ends("store until noon") is None
    assert ends("store until 2026-03-01T05:00:00") is None, "without a zone"
    assert in_force(("migration", "store until noon"), NOW) == ("migration", "store until noon")
    assert in_force(("a until 2026-03-01T03:00:00Z", "b until 2026-03-01T03:00:01+00:00"), NOW) == (
        "b until 2026-03-01T03:00:01+00:00",
    )


@given(st.text(min_size=1), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_request_holds_until_its_end_whatever_its_reason(reason: str, until: datetime) -> None:
    text, end = request(reason, until), until.replace(microsecond=0)
    assert len(text) <= LENGTH
    assert ends(text) == end
    assert in_force((text,), end - timedelta(seconds=1)) == (text,)
    assert in_force((text,), end) == ()
