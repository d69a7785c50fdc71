"""`siaf doctor`: what this installation is, what is wrong with it, and what to do."""

import argparse
import os
from dataclasses import asdict

from siaf.commands.common import add_json_argument, print_result
from siaf.errors import SiafError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "--host", default=os.environ.get("CVAT_HOST"), help="also check this CVAT (default: CVAT_HOST, if it is set)"
    )
    parser.add_argument(
        "--url", action="append", default=[], help="also check siaf's function at this address; repeat it for replicas"
    )
    add_json_argument(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print a line for every check. Raises SiafError if one found a problem."""
    from siaf.commands import checkups

    findings = [*checkups.installation(), *checkups.weights()]
    if arguments.host:
        findings.append(checkups.cvat(arguments.host, os.environ.get("CVAT_ACCESS_TOKEN")))
    findings += [checkups.function(url, os.environ.get("SIAF_TOKEN")) for url in arguments.url]
    problems = sum(not finding.ok for finding in findings)
    lines = [f"{'ok' if f.ok else 'PROBLEM':8} {f.what}: {f.found}{f'; {f.cure}' if f.cure else ''}" for f in findings]
    if not arguments.host:
        lines.append("         CVAT was not asked: set CVAT_HOST and CVAT_ACCESS_TOKEN")
    if not arguments.url:
        lines.append("         no function was asked: name one with --url")
    result = {"ok": not problems, "checks": [asdict(finding) for finding in findings]}
    print_result(result, lines, arguments.json)
    if problems:
        raise SiafError(f"{problems} of {len(findings)} checks found a problem")
