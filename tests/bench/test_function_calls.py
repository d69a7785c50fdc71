"""The table of the function's calls, on small frames."""

from function_calls import function


def test_every_call_is_timed_and_its_phases_add_up() -> None:
    rows = {str(row["call"]): row for row in function(96, 128, repeat=1)}
    assert len(rows) == 8
    for name, row in rows.items():
        parts = sum(float(row[f"{part} ms"]) for part in ("decode", "model", "store", "encode", "other"))
        assert abs(parts - float(row["total ms"])) < 0.01, name
        assert float(row["total ms"]) > 0
    assert 0 < float(rows["tracker, 10 shapes"]["overhead"]) < 1
    assert float(rows["propagate, per frame"]["model ms"]) > 0
