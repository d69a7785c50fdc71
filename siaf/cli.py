"""The `siaf` command."""

import argparse
import io
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from siaf.errors import InputError, SiafError

_COMMANDS = {
    "demo": ("siaf.commands.demo", "segment the clip that comes with siaf, in two rounds"),
    "studio": ("siaf.commands.studio", "draw, propagate and correct in a browser, on a video or pictures"),
    "segment": ("siaf.commands.segment", "segment objects through a video, from scribbles or masks"),
    "export": ("siaf.commands.export", "write a saved session's masks as DAVIS, COCO, CVAT XML, a video, mattes, …"),
    "serve": ("siaf.commands.serve", "serve the function over HTTP; reads its settings from SIAF_… variables"),
    "cvat": ("siaf.cvat.cli", "run rounds on CVAT jobs"),
    "weights": ("siaf.commands.weights", "list, fetch, import, check and pack weights"),
    "doctor": ("siaf.commands.doctor", "check this installation, and say what to do about what is wrong"),
    "evaluate": ("siaf.commands.evaluate", "measure a model on a DAVIS folder"),
    "bench": ("siaf.commands.bench", "measure speed and memory on this machine"),
    "train": ("siaf.commands.train", "train the interaction or the propagation network, or the segmenter"),
    "pseudo-label": (
        "siaf.commands.pseudo_label",
        "label photos for training with a SAM-like teacher in ONNX (needs onnxruntime)",
    ),
    "completion": ("siaf.commands.completion", "print a script that completes siaf's commands in your shell"),
}
"""Name → module and what it does. Only the module of the command that is called is loaded: most load torch."""


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        for action in self._actions:
            if isinstance(action.choices, dict) and message.endswith(f"required: {action.metavar}"):
                message += f" ({', '.join(action.choices)})"
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


class _Version(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from siaf.version import siaf_version

        print(f"siaf {siaf_version()}")
        parser.exit()


def parser(called: Sequence[str] = tuple(_COMMANDS)) -> argparse.ArgumentParser:
    """The parser. Only the commands in `called` know their arguments; a module's `add_arguments` sets `run`."""
    root = _Parser(prog="siaf", description="Segment objects through a video from a few scribbles.")
    root.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, text) in _COMMANDS.items():
        command = subparsers.add_parser(name, help=text)
        if name in called:
            import_module(module).add_arguments(command)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns 0, 2 for bad input (one line on stderr names it) or 1 for a failure."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold bytes that are no text
        sys.stdout.reconfigure(errors="backslashreplace")
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments, unknown = parser(argv[:1]).parse_known_args(argv)
        if unknown:
            name = f"siaf {arguments.command}"
            return _fail(f"{name} takes no {' '.join(unknown)}; see {name} --help", 2)
        arguments.run(arguments)
    except InputError as error:
        return _fail(str(error), 2)
    except SiafError as error:
        return _fail(str(error), 1)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        return _fail(f"{error.strerror or error}{place}", 1)
    except KeyboardInterrupt as stopped:
        return _fail(str(stopped) or "stopped", 130)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"siaf: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
