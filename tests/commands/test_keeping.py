"""A run that is stopped or fails keeps what is done, and says how to go on."""

import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
from segment_runs import files, segment

from siaf.cli import main
from siaf.session.propagation import Propagator


def test_a_failure_while_writing_leaves_what_was_there_and_keeps_what_is_done(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(segment(folder)) == 0
    before = files(folder / "out")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    second = segment(folder, "--scribbles", str(folder / "round2.json"), "--label", "2=car")
    with monkeypatch.context() as disk:
        disk.setattr("siaf.output.write_report", full)
        assert main(second) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "No space left on device" in error
    after = files(folder / "out")
    assert after.pop("session.before.siaf") == before["session.siaf"]
    assert {k: v for k, v in after.items() if k != "session.siaf"} == {
        k: v for k, v in before.items() if k != "session.siaf"
    }
    assert main(go_on(error)) == 0
    assert "car" in (folder / "out" / "report.html").read_text()


def go_on(error: str) -> list[str]:
    """The command that a message ends with."""
    command = shlex.split(error.split("resume with: ")[1])
    assert command[0] == "siaf"
    return command[1:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [3, 15])
def test_a_stopped_run_goes_on_and_ends_as_one_that_was_not(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    after: int,
) -> None:
    """In the first round, and in the second."""
    rounds = segment(folder, "--scribbles", str(folder / "round2.json"))
    steps = 0
    advance = Propagator.advance

    def stopping(self: Propagator, *arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == after:
            signal.raise_signal(number)
        return advance(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Propagator, "advance", stopping)
        assert main(rounds) == 130
    assert steps == after
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert error.startswith(f"siaf: stopped; your work is kept in {folder / 'out' / 'session.siaf'}; resume with: ")
    assert sorted(files(folder / "out")) == ["session.siaf"]
    assert main(go_on(error)) == 0
    rounds[rounds.index("--out") + 1] = str(folder / "whole")
    assert main(rounds) == 0
    kept, whole = files(folder / "out"), files(folder / "whole")
    assert {k: kept[k] for k in whole if k.endswith("png")} == {k: whole[k] for k in whole if k.endswith("png")}
