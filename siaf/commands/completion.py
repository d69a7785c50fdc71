"""`siaf completion`: a script for the shell, made once, so that completing loads nothing of siaf."""

import argparse

_SHELLS = ("bash", "zsh", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "For bash: siaf completion bash > ~/.local/share/bash-completion/completions/siaf"
    parser.add_argument("shell", choices=_SHELLS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the script."""
    import shtab

    from siaf.cli import parser

    print(shtab.complete(parser(), arguments.shell))
