"""The command ``backtest``, of ``remediator`` and of ``kubectl frem``."""

import argparse
import sys
from collections.abc import Callable
from typing import TextIO

from remediator.adapters.prometheus_history import NoHistory
from remediator.services.backtest.limits import figures
from remediator.services.backtest.picture import draw
from remediator.services.backtest.present import render
from remediator.services.backtest.request import to_request
from remediator.services.backtest.run import Cluster, run
from remediator.services.documents import BadInput

EXCEEDED = 1


async def command(arguments: argparse.Namespace, cluster: Cluster, namespace: str) -> int:
    """Run it; returns the exit code. Raises BadInput and KubeError."""
    request = to_request(arguments)
    try:
        result = await run(request, cluster, namespace, progress(sys.stderr))
    except NoHistory as error:
        raise BadInput(str(error)) from None
    if request.svg is not None:
        try:
            request.svg.write_text(draw(result), encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{request.svg}: {error.strerror}") from None
    sys.stdout.write(render(result, request.output))
    found = figures(result.replay.tally, result.figure_woken)
    exceeded = [limit for limit in request.limits if limit.holds(found)]
    for limit in exceeded:
        sys.stderr.write(f"{limit} holds: {limit.figure} is {found[limit.figure]}\n")
    return EXCEEDED if exceeded else 0


def progress(stream: TextIO) -> Callable[[int, int], None]:
    """Tell how far it has come: on a terminal in place, else in a line for each tenth."""
    told = 0

    def tell(done: int, of: int) -> None:
        nonlocal told
        if stream.isatty():
            stream.write(f"\rread {done} of {of} pages" + ("\n" if done == of else ""))
        elif done * 10 // of > told:
            told = done * 10 // of
            stream.write(f"read {done} of {of} pages\n")
        stream.flush()

    return tell
