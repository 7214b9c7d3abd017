"""The command line of ``kubectl frem``. kubectl finds the program ``kubectl-frem`` on the PATH and hands it everything
after its name.

Source: Kubernetes, "Extend kubectl with plugins".
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from remediator import __version__
from remediator.adapters import kubeconfig
from remediator.adapters.kube import POLICIES, REMEDIATIONS, Conflict, Kube, KubeError
from remediator.api.base import parse_duration
from remediator.core import doctor as doctoring
from remediator.plugin import actions, present
from remediator.plugin.table import in_colour
from remediator.services import doctor
from remediator.services.documents import BadInput
from remediator.services.resources import has_ended

BAD_INPUT: Final = 2
FAILED: Final = 1
INTERRUPTED: Final = 130
ON_REMEDIATIONS: Final = frozenset({"show", "approve", "deny", "retry", "cancel"})
ON_POLICIES: Final = frozenset({"pause", "resume"})
TELL_OF_STOPS: Final = frozenset({"list", "show", "pause", "resume"})
_TRIES = 3


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="kubectl frem", description="FlinkRemediations: what was done for whom, and what a person does about it."
    )
    top.add_argument("--version", action="version", version=__version__)
    subparsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_place(top, None)
    common = argparse.ArgumentParser(add_help=False)
    _add_place(common, argparse.SUPPRESS)  # what was given before the command stays

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return subparsers.add_parser(name, parents=[common], help=text, description=f"{text[0].upper()}{text[1:]}.")

    listing = add("list", "list FlinkRemediations, the latest last")
    _add_selection(listing)
    listing.add_argument("-o", "--output", choices=("table", "wide", "json", "yaml"), default="table")
    watching = add("watch", "print a line for each change, until interrupted")
    _add_selection(watching)
    watching.add_argument("--every", type=_duration, default=timedelta(seconds=2), metavar="TIME", help="default: 2s")
    show = add("show", "show one: what was seen, planned and done, and what came of it")
    show.add_argument("name", metavar="NAME")
    show.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text")
    approve = add("approve", "approve the plan that is asked about")
    approve.add_argument("name", metavar="NAME")
    approve.add_argument("--plan", default="", help="approve this plan only, such as the one that you have read about")
    add("deny", "deny any plan of one that has not acted").add_argument("name", metavar="NAME")
    for name, text in (
        ("retry", "let one that was refused or did not help begin anew"),
        ("cancel", "stop one that has not ended; what was patched stays"),
    ):
        command = add(name, text)
        command.add_argument("name", metavar="NAME")
        command.add_argument("reason", nargs="*", metavar="REASON", help="for those who read the record")
    pause = add("pause", "pause policies: nothing new begins, what is in flight is finished")
    pause.add_argument("name", nargs="*", metavar="POLICY", help="default: all of the namespace")
    _add_request(pause)
    resume = add("resume", "take pauses of policies back")
    resume.add_argument("name", nargs="*", metavar="POLICY", help="default: all of the namespace")
    resume.add_argument("--reason", default="", help="only those that begin with this; default: all")
    _add_request(add("stop", "stop everything: nothing new begins, whatever the policies say"))
    start = add("start", "take stops of everything back")
    start.add_argument("--reason", default="", help="only those that begin with this; default: all")
    _add_doctor(add("doctor", "say what FlinkDeployments lack to be watched and remediated, with the YAML to add"))
    return top


def _add_place(command: argparse.ArgumentParser, default: str | None) -> None:
    def add(*names: str, **options: Any) -> None:
        command.add_argument(*names, default=default, **options)

    add("-n", "--namespace", help="where the chart is installed; default: the context's namespace")
    add("--context", help="context of the kubeconfig; default: the current one")
    add("--kubeconfig", type=Path, metavar="FILE", help="file to connect by; default: the usual ones")


def _add_selection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--open", action="store_true", help="only those that have not ended")
    command.add_argument("--target", metavar="NAME", help="only those of this FlinkDeployment")


def _add_request(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reason", required=True, help="who wants it, and why")
    end = command.add_mutually_exclusive_group()
    end.add_argument(
        "--for", dest="length", type=_duration, metavar="TIME", help="end by itself after this, such as 2h"
    )
    end.add_argument("--until", type=_moment, metavar="TIME", help="end by itself then (ISO 8601, UTC without a zone)")


def _add_doctor(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", nargs="*", metavar="FLINKDEPLOYMENT", help="default: all of the namespace")
    command.add_argument("--release-namespace", help="where the chart is installed; default: --namespace")
    command.add_argument("--skip", action="append", default=[], choices=doctoring.CHECKS, help="may be repeated")
    command.add_argument("-o", "--output", choices=doctor.FORMATS, default="table")


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    subparsers = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(subparsers.choices)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 not done, 2 bad input or no cluster."""
    arguments = parser().parse_args(argv)
    try:
        return asyncio.run(_run(arguments))
    except BadInput as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    except KubeError as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # such as head, which has read enough
        sys.stderr.close()
        return 0


async def _run(arguments: argparse.Namespace) -> int:
    namespace = arguments.namespace or kubeconfig.current_namespace(arguments.kubeconfig, arguments.context)
    async with kubeconfig.connect(arguments.kubeconfig, arguments.context, actions.MANAGER) as kube:
        return await run(kube, namespace, arguments)


async def run(kube: Kube, namespace: str, arguments: argparse.Namespace) -> int:
    """Run a command on a cluster. Raises BadInput and KubeError."""
    match arguments.command:
        case "list":
            found = await _selected(kube, namespace, arguments)
            if arguments.output in ("json", "yaml"):
                _write(_document(present.plain(found), arguments.output))
            elif not found:
                sys.stderr.write(f"no FlinkRemediation in the namespace {namespace}\n")
            else:
                _write(present.listing(found, _now(), arguments.output == "wide", in_colour(sys.stdout)))
        case "watch":
            await _watch(kube, namespace, arguments)
        case "show":
            one = await actions.find(kube, REMEDIATIONS, namespace, arguments.name)
            text = arguments.output == "text"
            page = present.page(one, _now(), in_colour(sys.stdout)) if text else ""
            _write(page or _document(present.bare(one), arguments.output))
        case "doctor":
            surroundings = await doctor.from_cluster(kube, namespace, arguments.release_namespace or namespace)
            diagnoses = doctor.examine(surroundings, arguments.name, arguments.skip)
            _write(doctor.render(diagnoses, arguments.output))
            return 1 if any(diagnosis.missing for diagnosis in diagnoses) else 0
        case _:
            for line in await _act(kube, namespace, arguments):
                _write(f"{line}\n")
    if arguments.command in TELL_OF_STOPS:
        await _tell_of_stops(kube, namespace)
    return 0


async def _tell_of_stops(kube: Kube, namespace: str) -> None:
    if stops := await actions.stopped(kube, namespace, _now()):
        sys.stderr.write(f"Everything is stopped: {', '.join(stops)}. To go on: kubectl frem -n {namespace} start\n")


async def _act(kube: Kube, namespace: str, arguments: argparse.Namespace) -> list[str]:
    name, now = getattr(arguments, "name", ""), _now()
    length, until = getattr(arguments, "length", None), getattr(arguments, "until", None)
    end = now + length if length else until
    act: dict[str, Callable[[], Awaitable[str | list[str]]]] = {
        "approve": lambda: actions.approve(kube, namespace, name, arguments.plan),
        "deny": lambda: actions.deny(kube, namespace, name, now),
        "retry": lambda: actions.retry(kube, namespace, name, " ".join(arguments.reason), now),
        "cancel": lambda: actions.cancel(kube, namespace, name, " ".join(arguments.reason), now),
        "pause": lambda: actions.pause(kube, namespace, name, arguments.reason, end),
        "resume": lambda: actions.resume(kube, namespace, name, arguments.reason, now),
        "stop": lambda: actions.stop(kube, namespace, arguments.reason, end, now),
        "start": lambda: actions.start(kube, namespace, arguments.reason, now),
    }
    for attempt in range(_TRIES):
        try:
            done = await act[arguments.command]()
            return [done] if isinstance(done, str) else done
        except Conflict:  # the controller has written meanwhile: what is there now is looked at
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


async def _selected(kube: Kube, namespace: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    def wanted(resource: dict[str, Any]) -> bool:
        target = ((resource.get("spec") or {}).get("target") or {}).get("name")
        ended = has_ended(resource["metadata"], resource.get("status") or {})
        return not (arguments.open and ended) and arguments.target in (None, target)

    return [resource for resource in await kube.list_all(REMEDIATIONS, namespace) if wanted(resource)]


async def _watch(kube: Kube, namespace: str, arguments: argparse.Namespace) -> None:
    shown: dict[str, tuple[str, str]] = {}
    first = True
    while True:
        found = await _selected(kube, namespace, arguments)
        for resource in found:
            status, name = resource.get("status") or {}, str(resource["metadata"]["name"])
            seen = (str(status.get("phase", "Pending")), str(status.get("reason", "")))
            quiet = first and has_ended(resource["metadata"], status)  # what is over is history, which list shows
            if shown.get(name) != seen and not quiet:
                _write(present.change(resource, _now(), in_colour(sys.stdout)))
            shown[name] = seen
        sys.stdout.flush()
        first = False
        await _rest(arguments.every)


def _document(document: Any, form: str) -> str:
    if form == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))


def complete(argv: Sequence[str] | None = None) -> int:
    """Print what may follow, a line each, and a directive: no file names. kubectl calls ``kubectl_complete-frem`` with
    all words, the last of them begun.

    Source: Kubernetes, "Extend kubectl with plugins", shell completion; cobra's ShellCompDirectiveNoFileComp is 4.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    begun, before = (words[-1], words[:-1]) if words else ("", [])
    try:
        candidates = asyncio.run(_candidates(before, begun))
    except (KubeError, BadInput, SystemExit, OSError):
        candidates = []
    _write("".join(f"{word}\n" for word in candidates if word.startswith(begun)) + ":4\n")
    return 0


async def _candidates(before: Sequence[str], begun: str) -> list[str]:
    known = commands()
    command = next((word for word in before if word in known), None)
    if command is None:
        return sorted(known)
    if begun.startswith("-"):
        return sorted(option for action in known[command]._actions for option in action.option_strings)
    if command not in ON_REMEDIATIONS | ON_POLICIES:
        return []
    place = argparse.ArgumentParser(add_help=False)
    _add_place(place, None)
    where, _ = place.parse_known_args(list(before))
    namespace = where.namespace or kubeconfig.current_namespace(where.kubeconfig, where.context)
    async with kubeconfig.connect(where.kubeconfig, where.context, actions.MANAGER) as kube:
        return present.names(await kube.list_all(REMEDIATIONS if command in ON_REMEDIATIONS else POLICIES, namespace))


def _write(text: str) -> None:
    sys.stdout.write(text)


async def _rest(length: timedelta) -> None:
    await asyncio.sleep(length.total_seconds())


def _now() -> datetime:
    return datetime.now(UTC)


def _duration(text: str) -> timedelta:
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not length:
        raise argparse.ArgumentTypeError("must be longer than 0s")
    return length


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a time such as 2026-03-01T03:00:00Z: {text!r}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= _now():
        raise argparse.ArgumentTypeError(f"{text} is over")
    return moment


if __name__ == "__main__":
    sys.exit(main())
