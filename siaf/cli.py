"""The `siaf` command."""

import argparse
import io
import sys
from collections.abc import Sequence
from typing import NoReturn

from siaf.commands import bench, demo, evaluate, pseudo_label, segment, serve, train, weights
from siaf.cvat import cli as cvat
from siaf.errors import InputError, SiafError

_COMMANDS = (demo, segment, serve, evaluate, bench, train, pseudo_label, weights, cvat)


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        for action in self._actions:
            if isinstance(action.choices, dict) and message.endswith(f"required: {action.metavar}"):
                message += f" ({', '.join(action.choices)})"
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands. Each module of `siaf.commands` adds its own and sets `run`."""
    root = _Parser(prog="siaf", description="Segment objects through a video from a few scribbles.")
    subparsers = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(subparsers)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns 0, 2 for bad input (one line on stderr names it) or 1 for a failure."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold bytes that are no text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        arguments, unknown = parser().parse_known_args(argv)
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
