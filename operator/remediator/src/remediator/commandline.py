"""Options of the commands that people run: ``remediator explain``, ``doctor`` and ``backtest``."""

import argparse
from pathlib import Path
from typing import TypeAlias

from remediator.core import doctor as doctoring
from remediator.services.backtest import request
from remediator.services.words import moment

REQUIRED_FILES = ("policy", "alert", "target")
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_explain(commands: Commands) -> None:
    """Add ``explain``."""
    explain = commands.add_parser(
        "explain",
        help="say what would be decided, from files and without a cluster",
        description="Print, as YAML, what the controller would decide about an alert.",
        epilog="Exit code: 0 act, 3 wait, 4 refuse or cancel, 2 bad input.",
    )
    files = {
        "policy": "FlinkRemediationPolicy (YAML)",
        "alert": "one alert of Alertmanager's webhook, or of amtool alert query -o json (JSON)",
        "target": "FlinkDeployment, with its status (YAML, as of kubectl get -o yaml)",
        "job": "JobManager REST, /jobs/ID (JSON); without it the vertices are not known",
        "checkpoints": "JobManager REST, /jobs/ID/checkpoints (JSON); without it the job counts as one that takes none",
        "history": "other FlinkRemediations (YAML, as of kubectl get frem -o yaml); without it there are none",
    }
    for name, text in files.items():
        explain.add_argument(f"--{name}", type=Path, metavar="FILE", required=name in REQUIRED_FILES, help=text)
    explain.add_argument("--now", type=moment, metavar="TIME", help="moment to decide at (ISO 8601); default: now")


def add_doctor(commands: Commands) -> None:
    """Add ``doctor``."""
    doctor = commands.add_parser(
        "doctor",
        help="say what FlinkDeployments lack to be watched and remediated",
        description="Say for each FlinkDeployment what it lacks to be watched and remediated, with the YAML to add.",
        epilog="Exit code: 0 nothing is missing, 1 something is, 2 bad input or no cluster.",
    )
    doctor.add_argument("name", nargs="*", metavar="NAME", help="FlinkDeployments to look at; default: all")
    doctor.add_argument("-n", "--namespace", help="where they are; default: the namespace of the kubeconfig's context")
    doctor.add_argument("--release-namespace", help="where the chart is installed; default: --namespace")
    doctor.add_argument("--kubeconfig", type=Path, metavar="FILE", help="file to connect by; default: the usual ones")
    doctor.add_argument(
        "-f",
        "--file",
        type=Path,
        action="append",
        metavar="FILE",
        help="read FlinkDeployments, PodMonitors and policies from a file, without a cluster; may be repeated; "
        "-: standard input",
    )
    doctor.add_argument(
        "--skip", action="append", default=[], choices=doctoring.CHECKS, help="check to leave out; may be repeated"
    )
    doctor.add_argument("-o", "--output", choices=("table", "yaml", "json"), default="table", help="default: table")


def add_backtest(commands: Commands) -> None:
    """Add ``backtest``."""
    backtest = commands.add_parser(
        "backtest",
        help="replay policies against past alerts",
        description=request.DESCRIPTION,
        epilog=request.EPILOG,
    )
    request.add_options(backtest)
    backtest.add_argument(
        "-n", "--namespace", help="where the chart is installed; default: the namespace of the kubeconfig's context"
    )
    backtest.add_argument("--kubeconfig", type=Path, metavar="FILE", help="file to connect by; default: the usual ones")
