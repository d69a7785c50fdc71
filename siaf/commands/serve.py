"""`siaf serve`: run the Nuclio function's handler behind a plain HTTP server."""

import argparse

from siaf.errors import SiafError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=_port, default=8080, help="port to listen on (default: 8080); 0 picks a free one"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Serve until stopped."""
    try:
        from function.serve import serve
    except ImportError as error:
        raise SiafError(f"the server's packages are missing ({error}); pip install 'siaf-cvat[serve]'") from None
    serve(arguments.host, arguments.port)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)
