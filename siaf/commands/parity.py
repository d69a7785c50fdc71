"""`siaf weights parity`: compare our propagation networks with the official AOT and DeAOT code."""

import argparse
import json
from pathlib import Path
from typing import Any

from siaf.commands.common import Subparsers, add_json_argument, print_result
from siaf.errors import InputError, SiafError
from siaf.files import atomic_write

TOLERANCE = 1e-4


def add_parser(actions: Subparsers) -> None:
    """Register the command under `siaf weights`."""
    parser = actions.add_parser("parity", help="compare our propagation with the official AOT and DeAOT code")
    parser.add_argument(
        "--official", type=Path, required=True, metavar="CHECKOUT", help="folder of github.com/yoxu515/aot-benchmark"
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        metavar="NAME",
        help="variants to compare (default: all that the official code can run)",
    )
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write statistics of the official answers, for tests"
    )
    add_json_argument(parser)
    parser.set_defaults(run=run_parity)


def run_parity(arguments: argparse.Namespace) -> None:
    """Walk one clip with both; fail if any logit differs by more than TOLERANCE."""
    from siaf.evaluation.official import checkout_digest, official_code, resizing_differences
    from siaf.evaluation.parity import VARIANTS

    unknown = [name for name in arguments.variants or () if name not in VARIANTS]
    if unknown:
        raise InputError(f"unknown: {', '.join(unknown)}; known: {', '.join(VARIANTS)}", field="variants")
    results: dict[str, dict[str, float]] = {}
    record: dict[str, Any] = {}
    with official_code(arguments.official):
        resizing = resizing_differences()
        for variant in arguments.variants or VARIANTS:
            results[variant], record[variant] = _compare(variant)
            if not arguments.json:
                shown = ", ".join(f"{key} {value:.2g}" for key, value in results[variant].items())
                print(f"{variant:14} {shown}", flush=True)
        source = checkout_digest(arguments.official)
    if arguments.record:
        with atomic_write(arguments.record) as file:
            file.write(json.dumps({"official": source, "variants": record}, separators=(",", ":")).encode() + b"\n")
    failed = [name for name, found in results.items() if not found["logits"] <= TOLERANCE]
    lines = [f"input sizes: {'the same' if not resizing else '; '.join(resizing)}", f"official code {source}"]
    print_result({"official": source, "resizing": resizing, "variants": results}, lines, arguments.json)
    if failed or resizing:
        raise SiafError(f"differs from the official code: {', '.join(failed) or 'input sizes'}")


def _compare(variant: str) -> tuple[dict[str, float], dict[str, Any]]:
    from siaf.evaluation.official import Official
    from siaf.evaluation.parity import Ours, difference, digest, make_clip, summary, walk
    from siaf.model.config import PROPAGATION

    clip = make_clip(align_corners=PROPAGATION[variant].align_corners)
    ours, theirs = Ours(variant), Official(variant)
    state = ours.net.state_dict()
    theirs.load(state)
    answers = walk(theirs, clip)
    record = {
        "clip": digest([clip.images, clip.labels]),
        "weights": digest(state[name] for name in sorted(state)),
        "frames": summary(answers),
    }
    return difference(walk(ours, clip), answers), record
