"""The command itself: help for every subcommand, and the exit codes that scripts rely on."""

import subprocess
import sys

import pytest

from siaf.cli import main, parser


@pytest.mark.parametrize("command", ["demo", "segment", "serve", "evaluate", "train", "weights", "cvat"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parser().parse_args([command, "--help"])
    assert exit_.value.code == 0
    assert f"siaf {command}" in capsys.readouterr().out


def test_an_unknown_command_exits_with_2() -> None:
    done = subprocess.run([sys.executable, "-m", "siaf", "fly"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "fly" in done.stderr


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("siaf.commands.weights.run_list", interrupted)
    assert main(["weights", "list"]) == 130
    assert capsys.readouterr().err == "siaf: stopped\n"
