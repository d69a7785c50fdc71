"""Nothing is lost: a process that is killed, a disk that is full, a session that is opened again."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from studio_client import FIRST, SECOND, Page, Studio, free_port, run_studio, studio_on, until

from siaf.cli import main
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.session.session import Session
from siaf.session.state_file import dump_session, read_summary
from siaf.studio.clip import open_clip
from siaf.weights import build_model, save_weights

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["siaf.studio.server", "siaf.weights"])  # a new process is then there in a second


@contextmanager
def process(path: Path, port: int, saved_every_s: float = 20.0) -> Iterator[tuple[BaseProcess, Page]]:
    """A studio of its own; killed at the end if it still runs."""
    running = _context.Process(target=run_studio, args=(path, port, saved_every_s), daemon=True)
    running.start()
    page = Page(port, "first")

    def listens() -> bool:
        try:
            return page.ask("POST", "hold", {"tab": "first"})[0] == 200
        except OSError:
            return False

    try:
        until(listens, "the studio listens")
        yield running, page
    finally:
        running.kill()
        running.join()


def test_killed_in_the_middle_of_a_propagation_it_goes_on(folder: Path, tiny_model: Model) -> None:
    """No round that was answered is lost, and the masks are those of an undisturbed session."""
    port = free_port()
    with process(folder, port, saved_every_s=0.0) as (running, page):
        page.commit(2, 8)
        page.do("POST", "propagate", revision=page.revision)
        until(lambda: page.get("session")["propagation"]["done"] >= 3, "three frames are done")
        running.kill()
        running.join()
    with process(folder, port) as (running, page):
        session = page.get("session")
        assert (session["rounds"], session["interacted"]) == (1, {"2": [1], "8": [1]})
        assert session["propagation"]["done"] >= 2
        page.propagate()
        found = page.masks(*range(12))
        running.terminate()
        running.join(60)
        assert running.exitcode in (0, -signal.SIGTERM)
    with studio_on(_copy(folder), tiny_model) as quiet:
        page = quiet.page("x")
        page.commit(2, 8)
        page.propagate()
        assert page.masks(*range(12)) == found


def test_killed_after_every_answer_no_round_is_lost(folder: Path) -> None:
    port = free_port()
    for number in range(3):
        with process(folder, port) as (running, page):
            assert page.get("session")["rounds"] == number
            page.commit(number, strokes=(FIRST,))
            running.kill()


def test_a_round_whose_answer_was_lost_is_not_taken_twice_after_a_restart(folder: Path, tiny_model: Model) -> None:
    body = {"revision": 0, "scribbles": [{"frame": 2, "strokes": [FIRST, SECOND]}]}
    with studio_on(folder, tiny_model) as studio:
        once = studio.page("first").do("POST", "rounds", **body)
    with studio_on(folder, tiny_model) as studio:
        page = studio.page("first")
        assert page.do("POST", "rounds", **body) == once
        assert page.get("session")["rounds"] == 1


def test_what_is_done_is_saved_while_it_is_done(folder: Path, tiny_model: Model) -> None:
    clip = open_clip(folder)
    with studio_on(folder, tiny_model, clip=clip) as studio:
        page = studio.page("first")
        page.commit(2)
        assert Session.load(studio.state, tiny_model, clip.frames).interacted == [2]
        page.propagate()
        until(lambda: Session.load(studio.state, tiny_model, clip.frames).pending == 0, "it is saved")
        page.do("POST", "objects", revision=page.revision, do="name", tags=[1], label="red")
        assert Session.load(studio.state, tiny_model, clip.frames).objects[1].label == "red"
        page.do("POST", "undo", revision=page.revision)
        assert Session.load(studio.state, tiny_model, clip.frames).rounds == []
        assert page.get("session")["saved"]["path"] == str(studio.state)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["squares", "squares.siaf"]


def test_a_full_disk_is_told_and_costs_nothing(
    studio: Studio, page: Page, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.commit(2)
    kept = studio.state.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        page.commit(5, strokes=(FIRST,))
        session = page.get("session")
        assert (session["rounds"], session["saved"]["error"]) == (2, "No space left on device")
        assert page.get("progress")["saved"]["error"] == "No space left on device"
        assert studio.state.read_bytes() == kept
        page.propagate()
        assert page.get("session")["propagation"]["done"] > 0
    page.do("POST", "objects", revision=page.revision, do="name", tags=[1], label="red")
    assert page.get("session")["saved"]["error"] is None
    assert len(Session.load(studio.state, tiny_model, open_frames(studio)).rounds) == 2


def test_what_could_not_be_saved_is_tried_again(folder: Path, tiny_model: Model) -> None:
    from siaf.studio.desk import Desk

    clip = open_clip(folder)
    refused = [OSError(errno.ENOSPC, "No space left on device")] * 2
    save = clip.save

    def sometimes(session: Session) -> None:
        if refused:
            raise refused.pop()
        save(session)

    clip.save = sometimes  # type: ignore[method-assign]
    session = clip.load(tiny_model)
    desk = Desk(clip, session, saved_every_s=0.05)
    desk.change(0, lambda session: session.interact({}, {1: session.mask(1)})).result()
    assert desk.saved.error == "No space left on device"
    until(lambda: desk.saved.error is None and desk.saved.at, "it is saved")
    desk.close()
    assert clip.state.read_bytes() == dump_session(session)


def test_a_session_without_a_place_is_kept_elsewhere_at_the_end(
    folder: Path, tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(session: Session) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    clip = open_clip(folder)
    clip.save = refuse  # type: ignore[method-assign]
    with studio_on(folder, tiny_model, clip=clip) as studio:
        studio.page("first").commit(2)
    (kept,) = elsewhere.glob("siaf-*/session.siaf")
    assert f"(No space left on device); it is kept in {kept}" in caplog.text
    assert Session.load(kept, tiny_model, clip.frames).interacted == [2]


def test_ctrl_c_saves_and_ends_quietly(folder: Path, tmp_path: Path) -> None:
    """As a user runs it, with the weights that come with siaf."""
    command = [sys.executable, "-m", "siaf", "studio", str(folder), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "SIAF_TOKEN": "x y"}) as run:
        assert run.stderr is not None
        link = run.stderr.readline().split()[-1]
        assert run.stderr.readline() == f"the session is kept in {folder}.siaf; Ctrl-C ends the studio\n"
        port = int(link.split(":")[2].split("/")[0])
        assert link == f"http://127.0.0.1:{port}/?token=x%20y"
        page = Page(port, "first")
        until(lambda: _answers(page), "it listens")
        page.headers["Cookie"] = page.send("GET", "/?token=x%20y")[1]["Set-Cookie"].split(";")[0]
        page.do("POST", "hold", tab="first")
        page.commit(2, strokes=(FIRST,))
        page.do("POST", "propagate", revision=page.revision)
        run.send_signal(signal.SIGINT)
        rest = run.stderr.read()
        assert (run.wait(60), rest) == (0, "")
    assert read_summary(Path(f"{folder}.siaf").read_bytes()).rounds == 1


def _answers(page: Page) -> bool:
    try:
        return page.send("GET", "/api/session")[0] == 401
    except OSError:
        return False


def test_a_folder_that_cannot_be_written_is_told_at_once(
    folder: Path, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("filelock.FileLock.acquire", refuse)
        clip = open_clip(folder)
    assert any("cannot be kept in" in note and "--session" in note for note in clip.notes)
    with studio_on(folder, tiny_model, clip=clip) as studio:
        page = studio.page("first")
        assert page.get("session")["notes"] == list(clip.notes)
        with monkeypatch.context() as patch:
            patch.setattr("tempfile.mkstemp", refuse)
            page.commit(2)
            session = page.get("session")
            assert "cannot write to" in session["saved"]["error"]
            assert session["rounds"] == 1
        page.do("POST", "objects", revision=page.revision, do="name", tags=[1], label="red")
        assert page.get("session")["saved"]["error"] is None


def test_a_folder_that_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="^session: there is no folder .*missing"):
        open_clip(folder, tmp_path / "missing" / "x.siaf")


def test_a_clip_is_open_once(folder: Path, studio: Studio) -> None:
    with pytest.raises(InputError, match="^video: squares is open in another studio"):
        open_clip(folder)


def test_a_session_is_opened_by_its_own_name(folder: Path, tiny_model: Model, tmp_path: Path) -> None:
    with studio_on(folder, tiny_model) as studio:
        studio.page("first").commit(2)
    clip = open_clip(studio.state)
    assert (clip.name, clip.load(tiny_model).interacted) == ("squares", [2])
    clip.close()
    lonely = tmp_path / "lonely.mp4.siaf"
    lonely.write_bytes(studio.state.read_bytes())
    with pytest.raises(InputError, match=r"^video: .*lonely.mp4 is not beside it"):
        open_clip(lonely)


def test_a_session_of_another_model_or_video_is_refused_and_stays(
    folder: Path, tiny_model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.safetensors"
    model = build_model("siaf-t", device="cpu", seed=4)
    save_weights(weights, "siaf-t", model.interaction.state_dict(), model.propagation.state_dict(), {"source": "r"})
    with studio_on(folder, tiny_model) as studio:
        studio.page("first").commit(2)
    kept = studio.state.read_bytes()
    arguments = ["studio", str(folder), "--no-browser", "--port", "0", "--weights", str(weights)]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"siaf: {studio.state}: weights: the state has ")
    assert "--new" in told
    (folder / "11.png").unlink()
    assert main(arguments) == 2
    assert studio.state.read_bytes() == kept


def test_a_new_session_leaves_the_former_one(folder: Path, tiny_model: Model) -> None:
    with studio_on(folder, tiny_model) as studio:
        studio.page("first").commit(2)
    kept = studio.state.read_bytes()
    clip = open_clip(folder)
    clip.state.with_name("squares.siaf.1").write_bytes(b"older")
    assert clip.set_aside() == folder.parent.resolve() / "squares.siaf.2"
    assert (folder.parent / "squares.siaf.2").read_bytes() == kept
    assert clip.load(tiny_model).rounds == []
    clip.close()


def test_the_key_is_the_same_whenever_the_clip_is_opened(folder: Path) -> None:
    keys = []
    for path in (folder, folder, _copy(folder)):
        clip = open_clip(path)
        keys.append(clip.key)
        clip.close()
    assert keys[0] == keys[1] != keys[2]
    (folder / "5.png").write_bytes((folder / "6.png").read_bytes() + b"other")
    changed = open_clip(folder)
    assert changed.key != keys[0]
    changed.close()


def open_frames(studio: Studio) -> object:
    from siaf.frames.source import open_video

    return open_video(studio.path)


def _copy(folder: Path) -> Path:
    import shutil

    place = folder.parent / "elsewhere" / "squares"
    shutil.copytree(folder, place)
    return place
