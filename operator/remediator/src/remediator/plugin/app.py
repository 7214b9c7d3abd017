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
from typing import Any, Final

import httpx
import yaml

from remediator.adapters import kubeconfig, service_proxy
from remediator.adapters.flink_rest import FlinkRest
from remediator.adapters.kube import POLICIES, REMEDIATIONS, Conflict, Kube, KubeError
from remediator.plugin import actions, present
from remediator.plugin.commandline import add_place, commands, parser
from remediator.plugin.table import in_colour
from remediator.services import doctor
from remediator.services.backtest import command as backtest
from remediator.services.documents import BadInput
from remediator.services.inquiry import Explanation, Inquiry
from remediator.services.resources import has_ended

BAD_INPUT: Final = 2
FAILED: Final = 1
INTERRUPTED: Final = 130
ON_REMEDIATIONS: Final = frozenset({"show", "explain", "approve", "deny", "retry", "cancel"})
ON_POLICIES: Final = frozenset({"pause", "resume"})
TELL_OF_STOPS: Final = frozenset({"list", "watch", "show", "pause", "resume", "doctor"})
_TRIES = 3


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
    async with (
        kubeconfig.connect(arguments.kubeconfig, arguments.context, actions.MANAGER) as kube,
        httpx.AsyncClient(transport=kube.services()) as services,
    ):
        return await run(kube, namespace, arguments, FlinkRest(services, service_proxy.URL_TEMPLATE))


async def run(kube: Kube, namespace: str, arguments: argparse.Namespace, flink: FlinkRest) -> int:
    """Run a command on a cluster. Raises BadInput and KubeError."""
    if arguments.command in TELL_OF_STOPS:
        await _tell_of_stops(kube, namespace)
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
        case "explain":
            inquiry = Inquiry(kube, namespace, flink, _now)
            _write(present.explanations(await _explain(inquiry, kube, namespace, arguments.what)))
        case "backtest":

            async def cluster() -> Kube:
                return kube

            return await backtest.command(arguments, cluster, namespace)
        case "doctor":
            surroundings = await doctor.from_cluster(kube, namespace, arguments.release_namespace or namespace)
            diagnoses = doctor.examine(surroundings, arguments.name, arguments.skip)
            _write(doctor.render(diagnoses, arguments.output))
            return 1 if any(diagnosis.missing for diagnosis in diagnoses) else 0
        case _:
            for line in await _act(kube, namespace, arguments):
                _write(f"{line}\n")
    return 0


async def _explain(inquiry: Inquiry, kube: Kube, namespace: str, words: Sequence[str]) -> list[Explanation]:
    if len(words) == 1 and "=" not in words[0]:
        return [await inquiry.about_record(await actions.find(kube, REMEDIATIONS, namespace, words[0]))]
    if wrong := [word for word in words if "=" not in word]:
        raise BadInput(f"{wrong[0]!r} is no label; name one FlinkRemediation, or labels such as alertname=HighKafkaLag")
    return await inquiry.about_alert({label: value for label, _, value in (word.partition("=") for word in words)})


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
    add_place(place, None)
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


if __name__ == "__main__":
    sys.exit(main())
