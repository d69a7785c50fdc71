"""What several commands take: the model, and the size at which it sees frames."""

from argparse import ArgumentParser
from pathlib import Path

import pytest

from siaf.commands.common import add_model_arguments, chosen_model, sized
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.weights import save_weights


@pytest.fixture
def parser() -> ArgumentParser:
    parser = ArgumentParser()
    add_model_arguments(parser)
    return parser


def test_the_model_sees_frames_at_the_size_that_is_asked_for(
    tiny_model: Model, tmp_path: Path, parser: ArgumentParser
) -> None:
    path = tmp_path / "siaf-t.safetensors"
    nets = tiny_model.interaction.state_dict(), tiny_model.propagation.state_dict()
    save_weights(path, "siaf-t", *nets, {"source": "random"})
    given = ["--weights", str(path), "--device", "cpu"]
    assert chosen_model(parser.parse_args(given)).short_side == 433
    smaller = chosen_model(parser.parse_args([*given, "--short-side", "65"]))
    assert (smaller.short_side, smaller.interaction_short_side) == (65, 369)


def test_an_engine_that_has_one_size_takes_no_other(parser: ArgumentParser) -> None:
    pytest.importorskip("transformers")
    from small_sam2 import small_engine

    engine = small_engine("edgetam")
    with pytest.raises(InputError, match="pixels only, not 321") as caught:
        sized(engine, parser.parse_args(["--short-side", "321"]))
    assert caught.value.field == "short_side"
