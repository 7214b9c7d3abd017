"""When reports are made, how they are listed and served."""

import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from data_monitor.report import server
from data_monitor.report.folder import Folder, Sample, Summary, name_of
from data_monitor.report.schedule import Schedule

NOW = 1_764_000_000.0
HEAD = {"model": "<m>", "threshold": 0.2, "features": {"price": 0.4, "age": 0.1}, "reference": "abc", "events": 900}


def make(folder: Folder, at: float, page: str = "<html>page</html>", keep: int = 20) -> None:
    summary = Summary(**HEAD, score=0.4, evaluated_at=at, name=name_of(at), reason="drift", rows=9)
    folder.add(page, summary, keep)


def test_one_at_once_then_further_and_further_apart() -> None:
    schedule, made = Schedule(600.0), []
    for now in range(0, 10_000, 10):
        if schedule.due(float(now), drifted=True):
            schedule.begun(float(now))
            made.append(now)
    assert made == [0, 600, 1800, 4200, 9000]


def test_a_score_that_flutters_does_not_flood() -> None:
    schedule, made = Schedule(600.0), []
    for now in range(0, 3600, 10):
        if schedule.due(float(now), drifted=now % 20 == 0):
            schedule.begun(float(now))
            made.append(now)
    assert all(b - a >= 600 for a, b in pairwise(made))
    assert len(made) == 6


def test_a_restart_does_not_repeat_a_report() -> None:
    assert not Schedule(600.0, latest=NOW).due(NOW + 1, drifted=True)
    assert Schedule(600.0, latest=NOW).due(NOW + 600, drifted=True)
    assert not Schedule(600.0).due(NOW, drifted=False)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "data")


@pytest.fixture
def web(folder: Folder) -> Iterator[httpx.Client]:
    """A server on the folder."""
    reports = server.Reports(folder, Schedule(600.0), ["data-monitor", "report"])
    bound = server.http_server(reports, "127.0.0.1", 0)
    thread = threading.Thread(target=bound.serve_forever, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{bound.server_port}", trust_env=False) as client:
        yield client
    bound.shutdown()
    bound.server_close()


def test_before_the_first_report_it_says_so(web: httpx.Client) -> None:
    assert "has not written a sample yet" in web.get("/").text
    assert "None yet" in web.get("/latest", follow_redirects=True).text
    assert web.get("/healthz").text == "ok\n"


def test_reports_are_listed_and_served(web: httpx.Client, folder: Folder) -> None:
    make(folder, NOW, "<html>old</html>")
    make(folder, NOW + 60, "<html>new</html>")
    listed = web.get("/").text
    assert listed.index("16:01:00") < listed.index("16:00:00")
    assert "price 0.40, age 0.10" in listed
    assert "&lt;m&gt;" in listed  # what comes from the data is no markup
    latest = web.get("/latest", follow_redirects=True)
    assert latest.text == "<html>new</html>"
    # Scripts of a report reach nothing else.
    assert latest.headers["Content-Security-Policy"].startswith("sandbox")
    head = web.head("/latest", follow_redirects=True)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(latest.content)))


@pytest.mark.parametrize("path", ["/reports/../sample.json", "/reports/20200101T000000Z", "/reports/x", "/x"])
def test_nothing_else_is_served(web: httpx.Client, folder: Folder, path: str) -> None:
    folder.path.mkdir()
    (folder.path / "sample.json").write_text("secret")
    # A client of the standard library's kind would tidy the path up before it asks.
    request = web.build_request("GET", "http://127.0.0.1/")
    request.url = web.base_url.copy_with(raw_path=path.encode())
    assert web.send(request).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_is_read_only(web: httpx.Client, method: str) -> None:
    assert web.request(method, "/").status_code == 501


def looks(folder: Folder, code: str) -> server.Reports:
    """A server whose reports are made by this Python code."""
    return server.Reports(folder, Schedule(600.0), [sys.executable, "-c", code])


def write(folder: Folder, score: float, at: float = NOW) -> None:
    folder.write_sample(Sample(**HEAD, score=score, evaluated_at=at, columns={}))


def test_a_process_of_its_own_is_run_when_the_data_drifts(folder: Folder, tmp_path: Path) -> None:
    reports = looks(folder, f"import sys; open({str(tmp_path / 'said')!r}, 'a').write(sys.argv[1] + '\\n')")
    reports.look(NOW)
    write(folder, 0.19)
    reports.look(NOW)
    assert not (tmp_path / "said").exists()
    write(folder, 0.21)
    reports.look(NOW)
    reports.look(NOW + 5)
    assert (tmp_path / "said").read_text() == "--reason=drift\n"
    write(folder, 0.21, NOW + 590)
    reports.look(NOW + 601)
    assert (tmp_path / "said").read_text() == "--reason=drift\n" * 2


def test_a_sample_that_nobody_renews_is_not_judged(folder: Folder, tmp_path: Path) -> None:
    reports = looks(folder, f"open({str(tmp_path / 'said')!r}, 'a')")
    write(folder, 0.5, NOW)
    reports.look(NOW + 3600)
    assert not (tmp_path / "said").exists()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; print('x\\nref.json: not JSON', file=sys.stderr); sys.exit(2)", "ref.json: not JSON"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9; was its memory limit too low?"),
        ("raise SystemExit(3)", "exit code 3"),
    ],
)
def test_a_report_that_fails_is_said_where_one_looks(folder: Folder, code: str, words: str) -> None:
    reports = looks(folder, code)
    write(folder, 0.5)
    reports.look(NOW)
    assert words in reports.index()
    assert "The last report failed" in reports.index()


def test_a_damaged_sample_is_said(folder: Folder) -> None:
    folder.path.mkdir()
    (folder.path / "sample.json").write_text("{")
    reports = looks(folder, "")
    reports.look(NOW)
    assert "cannot be read" in reports.index()
