"""Objects over HTTP: their names and colours, and others from a frame on."""

from studio_client import FIRST, Page, until


def test_objects_get_names_and_colours_that_an_undo_leaves(page: Page) -> None:
    page.commit(2)
    page.commit(5, strokes=(FIRST,))
    page.do("POST", "objects", revision=page.revision, do="name", tags=[2], label="blue", color="#1e90ff")
    session = page.do("POST", "undo", revision=page.revision)
    assert session["objects"][1] == {"tag": 2, "label": "blue", "color": "#1e90ff"}


def test_a_name_does_not_stop_a_propagation(page: Page) -> None:
    page.commit(2)
    page.do("POST", "propagate", revision=page.revision)
    session = page.do("POST", "objects", revision=page.revision, do="name", tags=[1], label="red")
    assert session["objects"][0]["label"] == "red"
    until(lambda: page.get("session")["propagation"]["done"] == 11, "all frames are done")


def test_a_round_names_its_objects(page: Page) -> None:
    objects = [{"tag": 1, "label": "red square", "origin": {"color": "#ff0000"}}]
    drawn = [{"frame": 1, "strokes": [FIRST]}]
    page.do("POST", "rounds", revision=0, scribbles=drawn, objects=objects)
    assert page.get("session")["objects"] == [{"tag": 1, "label": "red square", "color": "#ff0000"}]


def test_objects_change_from_a_frame_on(page: Page) -> None:
    page.commit(2)
    page.propagate()
    was = page.masks(3, 6)
    page.do("POST", "objects", revision=page.revision, do="swap", tags=[1, 2], from_frame=5)
    now = page.masks(3, 6)
    swapped = {1: 2, 2: 1}
    assert now[3]["masks"] == was[3]["masks"]
    assert {m["tag"]: m["rle"] for m in now[6]["masks"]} == {swapped[m["tag"]]: m["rle"] for m in was[6]["masks"]}
    page.do("POST", "undo", revision=page.revision)
    page.propagate()
    assert page.masks(3, 6) == was
    session = page.do(
        "POST", "objects", revision=page.revision, do="split", tags=[1], from_frame=6, label="late", color="#00ff00"
    )
    assert session["objects"][2] == {"tag": 3, "label": "late", "color": "#00ff00"}
    session = page.do("POST", "objects", revision=page.revision, do="merge", tags=[1, 3], from_frame=0)
    assert [each["tag"] for each in session["objects"]] == [1, 2]
    session = page.do("POST", "objects", revision=page.revision, do="remove", tags=[2])
    assert [each["tag"] for each in session["objects"]] == [1]
