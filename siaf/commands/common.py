"""What several subcommands share."""

import argparse
import json
import sys
from typing import Any, TypeAlias

from siaf.session import Session
from siaf.weights import MODELS

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """--model, --weights, --device."""
    parser.add_argument("--model", default="siaf-t", choices=sorted(MODELS), help="default: siaf-t")
    parser.add_argument("--weights", metavar="FILE", help="weights file; default: the one that ships with siaf")
    parser.add_argument("--device", default="auto", help='"auto" (default), "cpu", "cuda", "cuda:1", …')


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def print_result(result: dict[str, Any], lines: list[str], as_json: bool) -> None:
    """The result for machines, or lines for people."""
    print(json.dumps(result) if as_json else "\n".join(lines))


def propagate_with_progress(session: Session, title: str) -> None:
    """Run `session.propagate()` to its end behind a progress bar on stderr (none if stderr is not a terminal)."""
    from tqdm import tqdm

    with tqdm(total=session.pending, desc=title, unit="frame", disable=not sys.stderr.isatty()) as bar:
        for done, _ in session.propagate():
            bar.update(done - bar.n)
