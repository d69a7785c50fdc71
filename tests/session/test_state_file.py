"""The state file: a session comes back as it was, and a file that does not fit is refused by name."""

import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save

from siaf import Scribble, Session
from siaf.errors import InputError, StateError
from siaf.model.adapted import decoder_parameters
from siaf.model.loaded import Model
from siaf.session.adaptation import Decoder
from siaf.session.state_file import (
    dump_session,
    made_with,
    memories_of,
    parse_session,
    read_masks,
    read_summary,
    with_digests,
)
from siaf.session.state_writing import dump_masks
from siaf.weights import build_model

Frames = NDArray[np.uint8]


def stroke(tag: int, x: float, y: float) -> Scribble:
    return Scribble(tag=tag, points=np.array([[x, y], [x + 10, y]]))


def advance(session: Session, steps: int) -> None:
    for _, __ in zip(range(steps), session.propagate(), strict=False):
        pass


def masks(session: Session) -> list[NDArray[np.uint8]]:
    return [session.mask(f) for f in range(len(session.frames))]


@pytest.fixture
def session(tiny_model: Model, clip: Frames) -> Session:
    session = Session(tiny_model, clip)
    session.interact({3: [stroke(1, 20, 20)]})
    advance(session, 99)
    session.interact({8: [stroke(2, 45, 50), Scribble(1, np.array([[5.0, 60.0]]), polarity="negative")]})
    session.objects[2].label = "car"
    return session


@pytest.mark.parametrize("steps", [0, 1, 4, 7, 99])
def test_a_session_saved_anywhere_goes_on_to_the_identical_result(
    session: Session, tiny_model: Model, clip: Frames, tmp_path: Path, steps: int
) -> None:
    advance(session, steps)
    session.save(tmp_path / "s.siaf")
    twin = Session.load(tmp_path / "s.siaf", tiny_model, clip)
    assert twin.revision == session.revision
    assert twin.pending == session.pending
    advance(session, 99)
    advance(twin, 99)
    assert all(np.array_equal(a, b) for a, b in zip(masks(session), masks(twin), strict=True))
    assert twin.confidence == session.confidence
    assert twin.objects[2].label == "car"


def test_undo_works_after_loading(session: Session, tiny_model: Model, clip: Frames, tmp_path: Path) -> None:
    session.save(tmp_path / "s.siaf")
    twin = Session.load(tmp_path / "s.siaf", tiny_model, clip)
    for each in (session, twin):
        each.undo()
        advance(each, 99)
    assert twin.objects.tags == [1]
    assert all(np.array_equal(a, b) for a, b in zip(masks(session), masks(twin), strict=True))


def test_rounds_come_back_with_their_strokes(session: Session, tiny_model: Model, clip: Frames) -> None:
    twin = parse_session(dump_session(session), tiny_model, clip)
    assert [r.scribbles for r in twin.rounds] == [r.scribbles for r in session.rounds]


def test_saving_does_not_change_the_session(session: Session) -> None:
    assert dump_session(session) == dump_session(session)


def test_other_weights_are_refused(session: Session, clip: Frames) -> None:
    other = build_model("siaf-t", device="cpu", seed=4)
    with pytest.raises(StateError, match="weights"):
        parse_session(dump_session(session), other, clip)


def test_another_video_is_refused(session: Session, tiny_model: Model, clip: Frames) -> None:
    data = dump_session(session)
    with pytest.raises(StateError, match="frames"):
        parse_session(data, tiny_model, clip[:-1])
    with pytest.raises(StateError, match="width"):
        parse_session(data, tiny_model, clip[:, :, :-8])
    with pytest.raises(StateError, match="frame 3"):
        parse_session(data, tiny_model, clip[::-1])


def document_of(data: bytes) -> dict[str, Any]:
    """The JSON document of a state file."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(json.loads(header["__metadata__"]["siaf"]))


def with_changes(data: bytes, **changes: object) -> bytes:
    return save(load(data), {"siaf": json.dumps({**document_of(data), **changes})})


@pytest.mark.parametrize(("version", "age"), [(1, "older"), (3, "newer")])
def test_another_format_is_refused(session: Session, tiny_model: Model, clip: Frames, version: int, age: str) -> None:
    with pytest.raises(StateError, match=f"{age} siaf"):
        parse_session(with_changes(dump_session(session), version=version), tiny_model, clip)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not this", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"])
def test_something_else_is_refused(content: bytes, tiny_model: Model, clip: Frames, tmp_path: Path) -> None:
    path = tmp_path / "other.siaf"
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"other\.siaf: not a siaf state file"):
        Session.load(path, tiny_model, clip)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
def test_a_truncated_file_is_refused(session: Session, tiny_model: Model, clip: Frames, share: float) -> None:
    data = dump_session(session)
    with pytest.raises(StateError, match=r"truncated|not a siaf state file"):
        parse_session(data[: int(share * len(data))], tiny_model, clip)


def test_no_such_file(tiny_model: Model, clip: Frames, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file"):
        Session.load(tmp_path / "none.siaf", tiny_model, clip)


@pytest.mark.parametrize("key", ["now", "rounds", "results", "plan", "remembered", "confidence", "revision"])
@pytest.mark.parametrize("value", [None, "x", [1, 2], {"x": {"y": 0}}])
def test_a_damaged_document_is_refused(
    session: Session, tiny_model: Model, clip: Frames, key: str, value: object
) -> None:
    with pytest.raises(StateError, match="damaged"):
        parse_session(with_changes(dump_session(session), **{key: value}), tiny_model, clip)


def test_a_mask_that_unpacks_to_something_huge_is_refused(session: Session, tiny_model: Model, clip: Frames) -> None:
    data = dump_session(session)
    tensors = load(data)
    bomb = zlib.compress(bytes(50_000_000))
    tensors["mask.0"] = torch.frombuffer(bytearray(bomb), dtype=torch.uint8)
    with pytest.raises(StateError, match="not a mask"):
        parse_session(save(tensors, {"siaf": json.dumps(document_of(data))}), tiny_model, clip)


def test_another_clip_inherits_objects_and_memory(session: Session, tiny_model: Model, clip: Frames) -> None:
    advance(session, 99)
    heir = Session(tiny_model, clip[::-1, :, 8:].copy())
    heir.inherit(dump_session(session))
    assert heir.objects.tags == session.objects.tags
    assert heir.objects[2].label == "car"
    assert heir.pending == 12
    advance(heir, 5)
    twin = parse_session(dump_session(heir), tiny_model, heir.frames)
    for each in (heir, twin):
        advance(each, 99)
        each.interact({0: [stroke(2, 20, 50)]})
        advance(each, 99)
    assert all(np.array_equal(a, b) for a, b in zip(masks(heir), masks(twin), strict=True))


def test_an_inherited_memory_changes_what_is_found(session: Session, tiny_model: Model, clip: Frames) -> None:
    advance(session, 99)
    state = dump_session(session)
    session.undo()
    advance(session, 99)
    heirs = [Session(tiny_model, clip) for _ in range(2)]
    for heir, data in zip(heirs, (state, dump_session(session)), strict=True):
        heir.inherit(data)
        advance(heir, 99)
    assert any((heirs[0].mask(f) != heirs[1].mask(f)).any() for f in range(12))


def test_objects_beyond_ten_may_join_an_inherited_memory(session: Session, tiny_model: Model, clip: Frames) -> None:
    advance(session, 99)
    heir = Session(tiny_model, clip)
    heir.inherit(dump_session(session))
    heir.interact({4: [stroke(100 + i, 5 + 5 * i, 5 + 5 * i) for i in range(10)]})
    advance(heir, 99)
    assert heir.objects.groups() == 2
    assert heir.pending == 0


def test_a_state_that_was_never_propagated_has_nothing_to_inherit(tiny_model: Model, clip: Frames) -> None:
    fresh = Session(tiny_model, clip)
    fresh.interact({3: [stroke(1, 20, 20)]})
    with pytest.raises(StateError, match="holds no memory"):
        Session(tiny_model, clip).inherit(dump_session(fresh))


def test_only_a_session_without_objects_can_inherit(session: Session) -> None:
    advance(session, 99)
    with pytest.raises(InputError, match="without objects"):
        session.inherit(dump_session(session))


class TestDecoder:
    """A session's own decoder in the file: `siaf.session.adaptation.Decoder`."""

    @pytest.fixture
    def adapted(self, tiny_model: Model, clip: Frames) -> bytes:
        session = Session(tiny_model, clip)
        masks = {f: np.zeros((72, 96), np.uint8) for f in (1, 10)}
        for frame, mask in masks.items():
            mask[10:30, 5 + 4 * frame : 25 + 4 * frame] = 1
        session.interact(references=masks)
        parameters = decoder_parameters(tiny_model.propagation)
        change = {name: torch.full_like(x, 0.01, dtype=torch.float16) for name, x in parameters.items()}
        session._take_decoder(Decoder("0123456789abcdef01234567", change))
        advance(session, 4)
        session.interact({5: [stroke(1, 20, 20)]})
        return dump_session(session)

    def test_it_is_stored_once_for_all_rounds(self, adapted: bytes, tiny_model: Model) -> None:
        document = document_of(adapted)
        entry = {"content": "0123456789abcdef01234567", "change": 0}
        assert document["now"]["decoder"] == document["rounds"][1]["before"]["decoder"] == entry
        assert "decoder" not in document["rounds"][0]["before"]
        named = {name for name in load(adapted) if name.startswith("decoder.")}
        assert named == {f"decoder.0.{name}" for name in decoder_parameters(tiny_model.propagation)}

    def test_it_comes_back(self, adapted: bytes, tiny_model: Model, clip: Frames) -> None:
        twin = parse_session(adapted, tiny_model, clip)
        assert dump_session(twin) == adapted
        assert twin.decoder is not None and twin.decoder.change is not None
        assert twin.decoder is twin.rounds[1].before.decoder
        assert all(float(x.float().mean()) == pytest.approx(0.01, abs=1e-5) for x in twin.decoder.change.values())

    def test_another_clip_inherits_memory_without_it(self, adapted: bytes, tiny_model: Model, clip: Frames) -> None:
        heir = Session(tiny_model, clip[::-1].copy())
        heir.inherit(adapted)
        assert heir.decoder is None
        assert len(heir.memory.carried) == 2

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 0.06, -65504.0])
    def test_numbers_that_no_adaptation_gives_are_refused(
        self, adapted: bytes, tiny_model: Model, clip: Frames, number: float
    ) -> None:
        name = "decoder.0.decoder.conv_out.weight"
        tensors = load(adapted)
        tensors[name].view(-1)[7] = number
        with pytest.raises(StateError, match=f"{name}: holds numbers that no adaptation gives"):
            parse_session(save(tensors, {"siaf": json.dumps(document_of(adapted))}), tiny_model, clip)

    @pytest.mark.parametrize(
        ("name", "change", "reason"),
        [
            ("decoder.0.decoder.conv_out.weight", None, "is missing"),
            ("decoder.0.decoder.conv_out.weight", torch.zeros(11, 64, 1, 1), "is F32 of rank 4, not F16 of rank 4"),
            ("decoder.0.decoder.conv_out.weight", torch.zeros(11, 64, 1).half(), "of rank 3, not F16 of rank 4"),
            ("decoder.0.decoder.conv_out.weight", torch.zeros(64, 11, 1, 1).half(), "is [64, 11, 1, 1], not [11, 64"),
            ("decoder.0.fine.key.weight", torch.zeros(32, 152, 1, 1).half(), "nothing speaks of this tensor"),
            ("decoder.0.encoder.stem.weight", torch.zeros(1).half(), "nothing speaks of this tensor"),
            ("decoder.1.decoder.conv_out.bias", torch.zeros(11).half(), "nothing speaks of this tensor"),
            ("decoder.0.fine.mix.3.bias", torch.zeros(2).half(), "is [2], not [1]"),
        ],
    )
    def test_tensors_that_are_not_the_models_are_refused(
        self, adapted: bytes, tiny_model: Model, clip: Frames, name: str, change: torch.Tensor | None, reason: str
    ) -> None:
        tensors = load(adapted)
        tensors = {k: v for k, v in tensors.items() if k != name} if change is None else {**tensors, name: change}
        with pytest.raises(StateError, match=re.escape(reason)) as refused:
            parse_session(save(tensors, {"siaf": json.dumps(document_of(adapted))}), tiny_model, clip)
        assert name[:40] in str(refused.value)

    @pytest.mark.parametrize(
        "entry",
        [
            5,
            {},
            {"content": "x", "change": 0},
            {"content": "0" * 24},
            {"content": "0" * 24, "change": -1},
            {"content": "0" * 24, "change": "0"},
            {"content": "0" * 24, "change": None, "more": 1},
        ],
    )
    def test_entries_of_another_form_are_refused(
        self, adapted: bytes, tiny_model: Model, clip: Frames, entry: object
    ) -> None:
        document = document_of(adapted)
        document["now"]["decoder"] = entry
        with pytest.raises(StateError, match=r"damaged: now\.decoder"):
            parse_session(save(load(adapted), {"siaf": json.dumps(document)}), tiny_model, clip)

    def test_a_number_without_tensors_is_refused(self, adapted: bytes, tiny_model: Model, clip: Frames) -> None:
        document = document_of(adapted)
        document["now"]["decoder"]["change"] = 3
        with pytest.raises(StateError, match=r"decoder\.3\.[A-Za-z].*: this tensor is missing"):
            parse_session(save(load(adapted), {"siaf": json.dumps(document)}), tiny_model, clip)


class TestGolden:
    """A file written before input sizes were noted in it: its third round is under way, on another clip's memory."""

    DATA = (Path(__file__).parents[1] / "data" / "state-v2.siaf").read_bytes()

    @pytest.fixture
    def model(self, tiny_model: Model) -> Model:
        """Its weights were random; later random ones may be others."""
        return replace(tiny_model, digest=document_of(self.DATA)["weights"])

    def test_it_loads_as_it_was_and_goes_on(self, model: Model, clip: Frames) -> None:
        session = parse_session(self.DATA, model, clip)
        assert session.objects.tags == [1, 2, 7]
        assert (session.objects[2].label, session.objects[2].origin) == ("car", {"track": "5"})
        assert session.interacted == [0, 3, 8, 10]
        assert [sorted(past.scribbles) for past in session.rounds] == [[0, 3], [10]]
        assert [past.references for past in session.rounds] == [[], [8]]
        assert (session.mask(8)[40:60, 38:58] == 7).all()
        assert len(session.memory.carried) == 1
        twin = parse_session(dump_session(session), model, clip)
        for each in (session, twin):
            advance(each, 99)
        assert session.pending == 0
        assert all(np.array_equal(a, b) for a, b in zip(masks(session), masks(twin), strict=True))
        session.undo()
        session.undo()
        advance(session, 99)
        assert session.objects.tags == [1]

    def test_another_clip_inherits_from_it(self, model: Model, clip: Frames) -> None:
        heir = Session(model, clip[::-1, :, 8:].copy())
        heir.inherit(self.DATA)
        advance(heir, 99)
        assert heir.objects.tags == [1, 2, 7]

    def test_another_input_size_is_refused(self, model: Model, clip: Frames) -> None:
        with pytest.raises(StateError, match="grid"):
            parse_session(self.DATA, replace(model, short_side=97), clip)


def test_a_summary_needs_no_model(session: Session) -> None:
    found = read_summary(dump_session(session))
    assert (found.model, found.weights) == ("siaf-t", session.model.digest)
    assert (found.frames, found.height, found.width, found.rounds) == (12, 72, 96, 2)
    assert [(known.tag, known.label) for known in found.objects] == [(1, None), (2, "car")]
    assert found.digests == {frame: session.frame_digest(frame) for frame in (3, 8)}


def test_masks_can_be_read_alone_and_kept_alone(session: Session, tiny_model: Model, clip: Frames) -> None:
    advance(session, 99)
    of_session = read_masks(dump_session(session))
    alone = dump_masks(of_session)
    for found in (of_session, read_masks(alone)):
        assert (found.interacted, found.frames, found.height, found.width) == ([3, 8], 12, 72, 96)
        assert all(np.array_equal(found.mask(f), mask) for f, mask in enumerate(masks(session)))
        assert found.score(5, 1) == session.confidence[5][1]
        assert found.score(3, 1) == 1
    assert read_summary(alone).weights is None
    with pytest.raises(StateError, match="model: the state has 'masks only'"):
        parse_session(alone, tiny_model, clip)


def test_masks_of_another_size_are_damage(session: Session) -> None:
    tensors = load(data := dump_session(session))
    tensors["mask.0"] = torch.frombuffer(bytearray(zlib.compress(bytes(72 * 95))), dtype=torch.uint8)
    with pytest.raises(StateError, match="mask.0: not a mask of 72x96 pixels"):
        read_masks(save(tensors, {"siaf": json.dumps(document_of(data))}))


@pytest.mark.parametrize(("key", "value"), [("short_side", 97), ("autocast", True), ("objects_per_pass", 2)])
def test_what_a_memory_was_made_with_is_part_of_the_file(
    session: Session, tiny_model: Model, clip: Frames, key: str, value: object
) -> None:
    advance(session, 99)
    data, other = dump_session(session), replace(tiny_model, **{key: value})
    with pytest.raises(StateError, match=f"{key}: the state has"):
        parse_session(data, other, clip)
    with pytest.raises(StateError, match=f"{key}: the state has"):
        Session(other, clip).inherit(data)


def test_the_size_at_which_strokes_are_read_makes_no_memory(session: Session, tiny_model: Model, clip: Frames) -> None:
    parse_session(dump_session(session), replace(tiny_model, interaction_short_side=97), clip)


@pytest.mark.parametrize(("key", "value"), [("weights", "x"), ("short_side", 97), ("autocast", True)])
def test_whether_a_memory_can_be_read_is_known_beforehand(
    session: Session, tiny_model: Model, clip: Frames, key: str, value: object
) -> None:
    data, own = dump_session(session), memories_of(tiny_model.identity)
    assert made_with(data, own)
    assert not made_with(data, {**own, key: value})
    assert made_with(data, {"model": own["model"], "weights": own["weights"]})  # what an older function says of itself


def test_digests_can_be_exchanged(session: Session, tiny_model: Model, clip: Frames) -> None:
    advance(session, 99)
    data, frame = dump_session(session), session.interacted[0]
    other = with_digests(data, {frame: "0" * 32})
    with pytest.raises(StateError, match=f"frame {frame} of the video is not the one that was annotated"):
        parse_session(other, tiny_model, clip)
    assert with_digests(other, {frame: session.frame_digest(frame)}) == data
