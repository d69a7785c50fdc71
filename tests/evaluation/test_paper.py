"""The paper's tables on a folder in the layout of DAVIS 2017."""

from pathlib import Path

import numpy as np

from siaf.evaluation.davis import DavisFolder
from siaf.evaluation.paper import FULL, TABLE_I, TABLE_II, TABLE_III, FrameByFrame, Setting, play_setting, tables
from siaf.model.loaded import Model


def test_without_across_frame_attention_frames_do_not_see_each_other(tiny_model: Model, davis2017: Path) -> None:
    sequence = DavisFolder(davis2017).load("duo")
    size = tiny_model.interaction_size(*sequence.masks.shape[1:])
    strokes = np.full((1, 2, *size), -1, np.int16)
    strokes[0, 0, 10:20, 10:20] = 1
    nothing = np.full_like(strokes, -1)
    frames = [sequence.frames[0], sequence.frames[5]]
    seen: list[int] = []  # tokens per pass; with random weights, attention changes the result too little to tell
    attention = tiny_model.interaction.across.across
    hook = attention.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    looked = tiny_model.encode_prompts(frames, strokes, nothing)
    alone = FrameByFrame.of(tiny_model).decode_masks(looked, strokes, nothing, [[1]])
    single = tiny_model.decode_masks(looked[1:], strokes[:, 1:], nothing[:, 1:], [[1]])
    tiny_model.decode_masks(looked, strokes, nothing, [[1]])
    hook.remove()
    assert [tokens / seen[0] for tokens in seen] == [1, 1, 1, 2]
    assert alone.shape[:2] == (2, 2) and alone.isfinite().all()
    assert np.allclose(alone[1:], single)


def test_all_tables_come_from_six_plays(tiny_model: Model, davis2017: Path) -> None:
    settings = {*TABLE_I, *TABLE_II, *TABLE_III}
    assert len(settings) == 6
    sequence = DavisFolder(davis2017).load("duo").first(3)
    played = {setting: play_setting(tiny_model, sequence, setting) for setting in settings}
    assert len(played[Setting(1)]) == len(sequence.scribbles) == 2
    assert len(played[FULL]) == 1
    found = tables(played)
    assert [title.split(":")[0] for title in found] == ["Table I", "Table II", "Table III"]
    one, two, three = found.values()
    assert [(row["frames"], row["rounds"]) for row in one] == [(1, 1), (1, 3), (3, 1), (3, 3)]
    assert [(row["across-frame attention"], row["re-propagation"]) for row in two] == [
        ("no", "no"),
        ("yes", "no"),
        ("no", "yes"),
        ("yes", "yes"),
    ]
    assert [(row["frames"], row["rounds"]) for row in three] == [(f, r) for f in (1, 2, 3) for r in (1, 2, 3)]
    assert {name: row["J&F"] for name, row in (("two", two[-1]), ("three", three[-1]))} == {
        "two": one[-1]["J&F"],
        "three": one[-1]["J&F"],
    }
    assert all(0 <= row["J&F@60s"] <= 1 for rows in found.values() for row in rows)


def test_tables_of_settings_that_were_not_played_are_left_out(tiny_model: Model, davis2017: Path) -> None:
    sequence = DavisFolder(davis2017).load("trio").first(3)
    found = tables({Setting(2): play_setting(tiny_model, sequence, Setting(2))})
    assert [title.split(":")[0] for title in found] == ["Table III"]
