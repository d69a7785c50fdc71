"""The `siaf` command."""

import argparse
import sys
from collections.abc import Sequence

from siaf.commands import bench, demo, evaluate, pseudo_label, segment, serve, train, weights
from siaf.cvat import cli as cvat
from siaf.errors import InputError, SiafError

_COMMANDS = (demo, segment, serve, evaluate, bench, train, pseudo_label, weights, cvat)


def parser() -> argparse.ArgumentParser:
    """All subcommands; each module of `siaf.commands` adds its own and sets `run`."""
    root = argparse.ArgumentParser(prog="siaf", description="Segment objects through a video from a few scribbles.")
    subparsers = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(subparsers)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Exit code 0, 2 (bad input: one line on stderr names it) or 1 (failure)."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except InputError as error:
        return _fail(str(error), 2)
    except SiafError as error:
        return _fail(str(error), 1)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        return _fail(f"{error.strerror or error}{place}", 1)
    except KeyboardInterrupt:
        return _fail("stopped", 130)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"siaf: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
