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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "required: KIND (propagation, interactive, "),
        (["bench", "rounds", "--device", "cuda:99"], "--device: cuda:99: this machine has"),
        (["demo", "--short-side", "20"], "argument --short-side: must be 33 to 2161, not 20"),
        (["bench", "rounds", "--repeat", "0"], "argument --repeat: must be at least 1"),
        (["train", "propagation", "--data", "x"], "required: --out"),
        (["demo", "clip.mp4"], "siaf demo takes no clip.mp4; see siaf demo --help"),
        (["serve", "--port", "99999"], "a port is a number from 0 to 65535, not '99999'"),
        (["bench", "codecs", "--random", "--out", __file__], "--out: cannot make"),
        (["evaluate", "composites", "x", "--seed", "-1"], "argument --seed: must be at least 0, not -1"),
        (["train", "check", "--data", "/nope"], "--data: /nope is no folder"),
        (
            ["train", "propagation", "--data", "/nope", "--out", "o", "--start", "x"],
            "--data: /nope is no folder",
        ),
        (
            ["train", "interaction", "--data", "/", "--out", "o", "--start", "x", "--workers", "-1"],
            "argument --workers: must be at least 0, not -1",
        ),
        (
            ["pseudo-label", "p", "--encoder", "e", "--decoder", "d", "--out", "o", "--threads", "0"],
            "argument --threads: must be at least 1, not 0",
        ),
        (["cvat", "watch", "--task", "1", "--poll", "0"], "argument --poll: must be more than 0 seconds"),
        (["cvat", "watch", "--task", "1", "--poll", "-3"], "argument --poll: must be seconds, 0 or more, not '-3'"),
        (["cvat", "sync", "--job", "1", "--wait", "nan"], "argument --wait: must be seconds, 0 or more, not 'nan'"),
        (["cvat", "sync", "--job", "0"], "argument --job: must be at least 1, not 0"),
        (["cvat", "bulk", "--jobs", "x"], "argument --jobs: must be a whole number, not 'x'"),
        (["serve", "--host", "no.such.host.invalid"], "--host: cannot listen on no.such.host.invalid"),
        (["weights", "fetch", "siaf-x"], "unknown weights 'siaf-x'; known: "),
    ],
)
def test_a_wrong_call_is_one_line_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    try:
        code: object = main(arguments)
    except SystemExit as exit_:
        code = exit_.code
    error = capsys.readouterr().err
    assert code == 2
    assert len(error.splitlines()) == 1
    assert message in error
