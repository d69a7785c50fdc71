"""A session's own decoder: what it learns from, what it is kept with, and that it is nobody else's."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from siaf import Scribble, Session
from siaf.errors import InputError
from siaf.evaluation.metrics import jaccard
from siaf.model.adapted import decoder_parameters, with_decoder
from siaf.model.config import PROPAGATION
from siaf.model.gated import build_propagation
from siaf.model.loaded import Model
from siaf.model.preprocessing import resize_labels
from siaf.session.adaptation import LARGEST_CHANGE, MAX_FRAMES, Decoder, choose
from siaf.session.fitting import said
from siaf.session.state_file import dump_session, parse_session, read_summary
from siaf.weights import load_model

pytestmark = pytest.mark.adapting

Frames = NDArray[np.uint8]


def truth(frame: int) -> NDArray[np.uint8]:
    """The two squares of the clip."""
    mask = np.zeros((72, 96), np.uint8)
    mask[40:60, 70 - 4 * frame : 90 - 4 * frame] = 2
    mask[10:30, 5 + 4 * frame : 25 + 4 * frame] = 1
    return mask


def adapt(session: Session) -> None:
    for _ in session.adapt():
        pass


def run(session: Session) -> list[NDArray[np.uint8]]:
    for _ in session.propagate():
        pass
    return [session.mask(f) for f in range(len(session.frames))]


def same(ones: list[NDArray[np.uint8]], others: list[NDArray[np.uint8]]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(ones, others, strict=True))


def with_masks(model: Model, clip: Frames, frames: tuple[int, ...] = (1, 10)) -> Session:
    session = Session(model, clip)
    session.interact(references={f: truth(f) for f in frames})
    return session


@pytest.fixture(autouse=True)
def _few_steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights it does not matter how many there are."""
    if "trained" not in request.fixturenames:
        monkeypatch.setattr("siaf.session.adaptation._STEPS", 10)
        monkeypatch.setattr("siaf.session.adaptation._TRIAL_STEPS", 4)


@pytest.fixture
def session(tiny_model: Model, clip: Frames) -> Session:
    return with_masks(tiny_model, clip)


@pytest.fixture(scope="module")
def trained() -> Model:
    """The shipped weights at a small input size."""
    return replace(load_model("siaf-t", device="cpu"), short_side=97)


class TestWhatItLearnsFrom:
    """Masks that a human made or saw; one is enough."""

    def test_without_one_it_is_refused(self, tiny_model: Model, clip: Frames) -> None:
        session = Session(tiny_model, clip)
        session.interact({8: [Scribble(1, np.array([[40.0, 20.0]]))]})
        assert not session.adapts
        with pytest.raises(InputError, match="adapt: needs a mask that somebody has drawn, corrected or accepted"):
            session.adapt()

    def test_one_is_enough(self, tiny_model: Model, clip: Frames) -> None:
        session = with_masks(tiny_model, clip, (4,))
        assert session.adapts
        before = run(with_masks(tiny_model, clip, (4,)))
        adapt(session)
        assert not same(run(session), before)

    def test_it_pays_for_networks_that_it_was_measured_with(self, tiny_model: Model, clip: Frames) -> None:
        published = replace(tiny_model, propagation=build_propagation(PROPAGATION["aott"]).eval())
        session = with_masks(published, clip)
        assert not session.adapts
        assert next(session.adapt()) == (1, 10)

    def test_what_strokes_gave_takes_no_part(self, session: Session) -> None:
        session.interact({5: [Scribble(1, np.array([[30.0, 20.0]]))], 10: [Scribble(1, np.array([[50.0, 20.0]]))]})
        assert session.verified == [1]

    def test_strokes_beside_a_mask_make_it_one_that_nobody_has_seen(self, tiny_model: Model, clip: Frames) -> None:
        session = Session(tiny_model, clip)
        session.interact({4: [Scribble(7, np.array([[30.0, 65.0]]))]}, {4: truth(4)})
        assert session.verified == []
        session.interact(references={4: session.mask(4)})
        assert session.verified == [4]

    def test_a_mask_that_shows_more_than_it_speaks_of_takes_no_part(self, tiny_model: Model, clip: Frames) -> None:
        session = Session(tiny_model, clip)
        session.interact(references={4: truth(4), 5: truth(5)}, about={4: [1], 5: [1, 2]})
        assert session.verified == [5]

    def test_a_mask_without_an_object_takes_no_part(self, session: Session) -> None:
        session.interact(references={5: np.zeros((72, 96), np.uint8)})
        assert session.verified == [1, 10]

    def test_an_object_that_was_carried_to_a_mask_is_not_learnt_from_it(self, session: Session) -> None:
        before = content(session)
        session.interact({6: [Scribble(5, np.array([[20.0, 65.0], [60.0, 66.0]]), width=9)]})
        run(session)
        assert 5 in session._annotations.adopted[1]
        assert 5 not in said(session._annotations, 1)[1]
        adapt(session)
        assert content(session) != before  # the object has a place, and so another content

    def test_many_masks_are_thinned_evenly(self) -> None:
        assert choose([9, 3]) == [3, 9]
        chosen = choose(list(range(100, 0, -1)))
        assert (len(chosen), chosen[0], chosen[-1]) == (MAX_FRAMES, 1, 100)
        assert chosen == sorted(chosen)


def content(session: Session) -> str:
    if session.decoder is None:
        adapt(session)
    assert session.decoder is not None
    return session.decoder.content


class TestBits:
    """The same masks give the same decoder, wherever it is made and kept."""

    def test_twice_the_same(self, session: Session, tiny_model: Model, clip: Frames) -> None:
        twin = with_masks(tiny_model, clip)
        for each in (session, twin):
            adapt(each)
        assert session.decoder is not None and twin.decoder is not None
        assert session.decoder.version == twin.decoder.version != ""
        assert same(run(session), run(twin))

    def test_other_masks_give_another_one(self, session: Session, tiny_model: Model, clip: Frames) -> None:
        other = with_masks(tiny_model, clip, (1, 9))
        for each in (session, other):
            adapt(each)
        assert session.decoder is not None and other.decoder is not None
        assert session.decoder.version != other.decoder.version

    def test_every_round_starts_from_the_shipped_weights(
        self, session: Session, tiny_model: Model, clip: Frames
    ) -> None:
        adapt(session)
        run(session)
        session.interact(references={6: truth(6)})
        adapt(session)
        at_once = with_masks(tiny_model, clip, (1, 6, 10))
        adapt(at_once)
        assert session.decoder is not None and at_once.decoder is not None
        assert (session.decoder.content, session.decoder.version) == (at_once.decoder.content, at_once.decoder.version)

    def test_the_same_masks_again_are_no_work(self, session: Session) -> None:
        adapt(session)
        run(session)
        assert list(session.adapt()) == []
        assert session.pending == 0

    @pytest.mark.parametrize("steps", [0, 4])
    def test_a_saved_session_goes_on_to_the_same_bits(
        self, session: Session, tiny_model: Model, clip: Frames, steps: int
    ) -> None:
        adapt(session)
        for _, __ in zip(range(steps), session.propagate(), strict=False):
            pass
        data = dump_session(session)
        twin = parse_session(data, tiny_model, clip)
        assert dump_session(twin) == data
        assert list(twin.adapt()) == []
        assert same(run(session), run(twin))
        assert twin.confidence == session.confidence

    def test_undo_goes_back_to_the_decoder_before(self, session: Session, tiny_model: Model, clip: Frames) -> None:
        adapt(session)
        first, masks = session.decoder, run(session)
        session.interact(references={6: truth(6)})
        adapt(session)
        run(session)
        for each in (parse_session(dump_session(session), tiny_model, clip), session):
            each.undo()
            assert each.decoder is not None and first is not None
            assert each.decoder.version == first.version
            assert same(run(each), masks)

    def test_a_state_before_adaptation_says_nothing_of_it(self, session: Session) -> None:
        assert read_summary(dump_session(session)).adapted is None
        assert b'decoder\\"' not in dump_session(session)


class TestPropagation:
    """Frames are made by the session's decoder, and made again when it changes."""

    def test_masks_made_by_another_decoder_are_made_again(self, session: Session) -> None:
        run(session)
        made = dict(session._propagator.made.frames)
        adapt(session)
        assert session.pending == 10
        run(session)
        again = session._propagator.made.frames
        assert all(made[f] != again[f] for f in made)
        assert made.keys() == again.keys()

    def test_a_stopped_adaptation_leaves_the_session_as_it_was(self, session: Session) -> None:
        run(session)
        before = dump_session(session)
        for done, total in session.adapt():
            assert 0 < done < total
            if done == 7:
                break
        assert dump_session(session) == before
        assert session.decoder is None

    def test_a_stopped_adaptation_goes_on_where_it_was(self, session: Session, tiny_model: Model, clip: Frames) -> None:
        for done, _ in session.adapt():
            if done == 7:
                break
        assert next(session.adapt())[0] == 8
        adapt(session)
        twin = with_masks(tiny_model, clip)
        adapt(twin)
        assert session.decoder is not None and twin.decoder is not None
        assert session.decoder.version == twin.decoder.version

    def test_a_round_in_between_ends_an_adaptation(self, session: Session) -> None:
        steps = session.adapt()
        next(steps)
        session.interact(references={6: truth(6)})
        assert list(steps) == []
        assert session.decoder is None

    def test_what_is_kept_of_frames_stays_valid(self, session: Session, tiny_model: Model) -> None:
        """Memory and reads are the shipped network's, under any decoder."""
        change = {name: torch.full_like(x, 0.02) for name, x in decoder_parameters(tiny_model.propagation).items()}
        other = with_decoder(tiny_model.propagation, change)
        run(session)
        features = session._propagator.encoded.features([5])[0].map(torch.Tensor.clone)
        mask = torch.from_numpy(session.objects.to_slots(truth(5)))
        labels = resize_labels(mask, tiny_model.input_size(features))
        for one, two in zip(
            tiny_model.propagation.reference(features, labels), other.reference(features, labels), strict=True
        ):
            assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
        memory = session.memory.entries[1]
        ours, theirs = (net.propagate(features, memory, memory) for net in (tiny_model.propagation, other))
        assert not torch.equal(ours.logits, theirs.logits)
        assert all(torch.equal(a, b) for a, b in zip(ours.sources[0], theirs.sources[0], strict=True))


class TestSharedModel:
    """A function's sessions share one model; a decoder belongs to its session."""

    def test_the_model_stays_as_it_is(self, session: Session, tiny_model: Model) -> None:
        before = {name: x.clone() for name, x in tiny_model.propagation.state_dict().items()}
        learnt = [x.requires_grad for x in tiny_model.propagation.parameters()]
        adapt(session)
        run(session)
        assert all(torch.equal(x, before[name]) for name, x in tiny_model.propagation.state_dict().items())
        assert [x.requires_grad for x in tiny_model.propagation.parameters()] == learnt

    def test_sessions_that_take_turns_do_not_hear_of_each_other(
        self, session: Session, tiny_model: Model, clip: Frames
    ) -> None:
        others = [with_masks(tiny_model, clip, frames) for frames in ((2, 9), (1, 10))]
        alone = [with_masks(tiny_model, clip, frames) for frames in ((1, 10), (2, 9), (1, 10))]
        for each in alone[:2]:
            adapt(each)
        expected = [run(each) for each in alone]
        together = [session, *others]
        turns: list[Iterator[tuple[int, int]]] = [each.adapt() for each in together[:2]]
        for _ in zip(*turns, strict=True):
            pass
        for _ in zip(*(each.propagate() for each in together), strict=True):
            pass
        found = [[each.mask(f) for f in range(12)] for each in together]
        assert all(same(a, b) for a, b in zip(found, expected, strict=True))
        assert not same(expected[0], expected[2])


class TestWithTrainedWeights:
    """What it is for."""

    def test_other_frames_come_out_better(self, trained: Model, clip: Frames) -> None:
        def score(masks: list[NDArray[np.uint8]]) -> float:
            inner = [f for f in range(12) if f not in (0, 11)]
            return float(np.mean([jaccard(masks[f] == tag, truth(f) == tag) for f in inner for tag in (1, 2)]))

        shipped = with_masks(trained, clip, (0, 11))
        adapted = with_masks(trained, clip, (0, 11))
        adapt(adapted)
        assert score(run(adapted)) > score(run(shipped)) + 0.02

    def test_the_shipped_decoder_stays_where_a_trial_does_harm(
        self, trained: Model, clip: Frames, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Steps far too large forget everything; the frame left out of the trial tells."""
        session = with_masks(trained, clip, (0, 5, 11))
        before = run(session)
        monkeypatch.setattr("siaf.session.adaptation._RATE", 0.05)
        steps = list(session.adapt())
        assert len(steps) == 15
        assert steps[-1][0] == steps[-1][1]
        assert session.decoder is not None
        assert session.decoder.change is None
        assert session.pending == 0
        assert same(run(session), before)
        twin = parse_session(dump_session(session), trained, clip)
        assert list(twin.adapt()) == []

    def test_half_of_what_was_learnt_counts(
        self, trained: Model, clip: Frames, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def change() -> dict[str, torch.Tensor]:
            session = with_masks(trained, clip, (0, 11))
            adapt(session)
            assert session.decoder is not None and session.decoder.change is not None
            return {name: x.float() for name, x in session.decoder.change.items()}

        half = change()
        monkeypatch.setattr("siaf.session.adaptation._KEPT", 1.0)
        whole = change()
        assert all(torch.allclose(2 * half[name], x, atol=1e-6, rtol=2e-3) for name, x in whole.items())

    def test_a_trial_that_does_none_is_followed_by_training_on_all(self, trained: Model, clip: Frames) -> None:
        session = with_masks(trained, clip, (0, 5, 11))
        assert len(list(session.adapt())) == 15 + 40
        assert session.decoder is not None
        assert session.decoder.change is not None


@pytest.mark.parametrize(
    "variant",
    ["aott", "deaott"],
)
def test_official_variants_adapt_too(variant: str, tiny_model: Model, clip: Frames) -> None:
    model = replace(tiny_model, propagation=build_propagation(PROPAGATION[variant]).eval())
    session = with_masks(model, clip)
    assert next(session.adapt()) == (1, 10)
    assert session._fitting._running is not None and session._fitting._running._training is not None
    shipped = dict(model.propagation.named_parameters())
    moved = {name for name, x in session._fitting._running._training._own.items() if not torch.equal(x, shipped[name])}
    assert any(name.startswith("decoder.conv_out") for name in moved)
    assert any(name.startswith("LSTT.decoder_norms") for name in moved)


def test_no_decoder_is_the_shipped_one(tiny_model: Model) -> None:
    assert Decoder("0" * 24, None).model(tiny_model) is tiny_model
    assert Decoder("0" * 24, None).version == ""


def test_changes_stay_within_what_a_state_may_hold(session: Session) -> None:
    adapt(session)
    assert session.decoder is not None and session.decoder.change is not None
    largest = max(float(x.abs().max()) for x in session.decoder.change.values())
    assert 0.001 < largest < LARGEST_CHANGE
