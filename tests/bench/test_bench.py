"""`siaf bench`: every table can be made, and says what it should; no time is asserted."""

import json
from pathlib import Path

import numpy as np
import pytest

from siaf.bench import codecs, network, session
from siaf.bench.clip import MovingObjects
from siaf.bench.clock import Clock
from siaf.cli import main
from siaf.errors import InputError
from siaf.model.loaded import Model

CLOCK = Clock("cpu", repeat=1)


def test_the_clip_is_the_same_every_time_and_its_strokes_lie_on_the_objects() -> None:
    one, other = MovingObjects(20, 96, 128, 1), MovingObjects(20, 96, 128, 1)
    assert np.array_equal(one[7], other[7])
    assert len([*one]) == 20
    assert not np.array_equal(one[7], one[17])
    x, y = one.strokes(7)[0].points.mean(0)
    assert one.mask(7)[int(y), int(x)] == 1


def test_a_call_is_timed_in_turn_with_the_others() -> None:
    order: list[str] = []
    found = Clock(repeat=2).best({"a": lambda: order.append("a"), "b": lambda: order.append("b")})
    assert order == ["a", "b"] * 3
    assert list(found) == ["a", "b"]
    assert all(ms >= 0 for ms in found.values())


def test_objects_one_to_eleven(tiny_model: Model) -> None:
    rows = list(network.objects(tiny_model, CLOCK, 72, 96))
    assert [row["objects"] for row in rows] == list(range(1, 12))
    assert rows[0]["ratio to 1 object"] == 1


def test_rounds_in_both_modes(tiny_model: Model) -> None:
    rows = list(session.rounds(tiny_model, CLOCK, 72, 96, frames=14))
    expected = [*((m, r) for m in ("all", "near") for r in "123"), ("all", "1, prepared")]
    assert [(row["repropagate"], row["round"]) for row in rows] == expected
    assert all(0 < row["interact s"] <= row["first s"] <= row["near s"] <= row["all s"] for row in rows)


def test_memory_along_a_clip(tiny_model: Model) -> None:
    rows = list(session.memory(tiny_model, CLOCK, 72, 96, frames=21))
    assert [row["frames"] for row in rows] == list(range(2, 21, 2))
    assert all(row["resident MB"] > 10 for row in rows)


def test_codecs_stand_beside_the_network(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "_SIZES", {"small": (72, 96)})
    names = [row["conversion"] for row in codecs.codecs(tiny_model, CLOCK, 0, 0)]
    assert {"RLE encode", "RLE decode", "JPEG decode", "network: propagated frame"} <= set(names)


def test_the_command_writes_a_table_and_a_plot(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sizes = ["--size", "72x96", "--repeat", "1", "--clock", "cpu"]
    assert main(["bench", "parts", *sizes, "--out", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"AFA", "encoder of propagation"} <= {row["part"] for row in rows}
    assert {path.name for path in tmp_path.iterdir()} == {"parts.csv", "parts.md", "parts.png"}


@pytest.mark.parametrize("size", ["480", "axb", "8x8"])
def test_a_size_that_is_none_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "objects", "--size", size]) == 2
    assert "--size" in capsys.readouterr().err


def test_official_needs_a_checkout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["bench", "official"]) == 2
    assert main(["bench", "official", "--mivos", str(tmp_path), "--repeat", "1"]) == 2
    assert "is not a checkout of MiVOS" in capsys.readouterr().err


def test_another_engine_is_measured_where_a_table_is_not_about_siaf_s_networks() -> None:
    pytest.importorskip("transformers")
    from small_sam2 import small_engine

    engine = small_engine("edgetam")
    rows = list(network.objects(engine, CLOCK, 64, 96))
    assert [row["objects"] for row in rows] == list(range(1, 12))
    assert len(list(session.rounds(engine, CLOCK, 64, 96, frames=7))) == 7
    with pytest.raises(InputError, match="model: this table is about siaf's own networks, edgetam has others"):
        next(network.parts(engine, CLOCK, 64, 96))
