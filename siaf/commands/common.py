"""What several commands share."""

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from siaf.errors import InputError
from siaf.model.names import DEFAULT_PROPAGATION, ENGINE_NAMES

if TYPE_CHECKING:
    from siaf.engines.base import Engine
    from siaf.session.session import Session

_E = TypeVar("_E", bound="Engine")
_MODEL_DEFAULTS = {"model": "siaf-t", "weights": None, "device": "auto", "short_side": None}
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model, --weights, --device and --short-side."""
    parser.add_argument(
        "--model",
        type=model_name,
        metavar="NAME",
        help=f"{', '.join((*sorted(DEFAULT_PROPAGATION), *ENGINE_NAMES))}, best (siaf weights best) or hf:ORG/NAME"
        " (default: siaf-t)",
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="weights file, or folder of another engine (default: the one that comes with siaf, or was fetched)",
    )
    parser.add_argument("--device", type=device_name, help='"auto" (default), "cpu", "cuda", "cuda:1", …')
    parser.add_argument(
        "--short-side",
        type=_short_side,
        metavar="PIXELS",
        help="short side of propagated frames as the network sees them (default: the model's own; for siaf-t 433,"
        " with 321 a frame takes 0.7 of the time and edges are coarser)",
    )
    parser.set_defaults(**_MODEL_DEFAULTS)


def chosen_model(arguments: argparse.Namespace) -> "Engine":
    """The model that --model, --weights, --device and --short-side say."""
    from siaf.weights import load_model

    return sized(load_model(arguments.model, device=arguments.device, weights=arguments.weights), arguments)


def chosen_options(arguments: argparse.Namespace) -> list[str]:
    """Which of --model, --weights, --device and --short-side have a value that is not their default."""
    return [name for name, default in _MODEL_DEFAULTS.items() if getattr(arguments, name) != default]


def sized(model: _E, arguments: argparse.Namespace) -> _E:
    """A model at --short-side, where that is given. InputError naming it for a size that the model cannot take."""
    if arguments.short_side is None:
        return model
    return cast(_E, model.adjusted(arguments.short_side, None, model.autocast))


def model_name(text: str) -> str:
    """What `load_model` takes as a name, of the command line."""
    known = [*sorted(DEFAULT_PROPAGATION), *ENGINE_NAMES, "best"]
    if text not in known and not text.startswith("hf:"):
        raise argparse.ArgumentTypeError(f"unknown model {text!r}; known: {', '.join(known)}, hf:ORG/NAME")
    return text


def positive(text: str) -> int:
    """A whole number above 0, of the command line."""
    return _whole(text, 1)


def _short_side(text: str) -> int:
    side = positive(text)
    if not 33 <= side <= 2161:  # as the function's setting
        raise argparse.ArgumentTypeError(f"must be 33 to 2161, not {side}")
    return side


def natural(text: str) -> int:
    """A whole number from 0 on, of the command line."""
    return _whole(text, 0)


def frame_span(text: str) -> tuple[int, int]:
    """First and last frame, "20-30", of the command line."""
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"must be A-B, as 20-30, not {text!r}")
    return int(first), int(last)


def frame_list(text: str) -> list[int]:
    """Frames, "120,300", of the command line; [] for "none"."""
    if text == "none":
        return []
    return [natural(part) for part in text.split(",")]


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, not {number}")
    return number


def seconds(text: str) -> float:
    """A time from 0 on, of the command line."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be seconds, 0 or more, not {text!r}")
    return number


def interval(text: str) -> float:
    """A time above 0, of the command line."""
    number = seconds(text)
    if not number:
        raise argparse.ArgumentTypeError("must be more than 0 seconds")
    return number


def minutes(text: str) -> float:
    """A number of minutes above 0, of the command line."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def print_result(result: dict[str, Any], lines: list[str], as_json: bool) -> None:
    """Print the result for programs, or lines for people."""
    print(json.dumps(result) if as_json else "\n".join(lines))


def device_name(name: str) -> str:
    """Check the value of --device. Raises InputError unless this machine has such a device."""
    if name == "auto":
        return name
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"must be auto, cpu, cuda or cuda:N, not {name!r}", field="--device")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        found = f"{count} GPU{'s' if count > 1 else ''}, from cuda:0" if count else "no GPU with a driver"
        raise InputError(f"{name}: this machine has {found}; --device auto takes what there is", field="--device")
    return name


def adapt_with_progress(session: "Session", title: str, check: Callable[[], None] = lambda: None) -> None:
    """As `propagate_with_progress`, of `session.adapt()`."""
    from tqdm import tqdm

    with tqdm(desc=f"{title}, adapting", unit="step", disable=not sys.stderr.isatty()) as bar:
        for done, total in session.adapt():
            bar.total = total
            bar.update(done - bar.n)
            check()


def propagate_with_progress(session: "Session", title: str, check: Callable[[], None] = lambda: None) -> None:
    """Run `session.propagate()` to its end behind a progress bar on stderr (none if stderr is not a terminal).

    `check` is called between frames and may raise.
    """
    from tqdm import tqdm

    with tqdm(total=session.pending, desc=title, unit="frame", disable=not sys.stderr.isatty()) as bar:
        for done, _ in session.propagate():
            bar.update(done - bar.n)
            check()
