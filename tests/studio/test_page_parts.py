"""Single parts of the page, each in the browser that it is made for: `make test-browser`."""

from typing import Any

import numpy as np
import pytest
from page_bench import FRAMES, Served, Tab

from siaf.masks import decode_rle, encode_rle
from siaf.output.palette import colour

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(chromium: Any, running: Served) -> Any:
    """A page of the studio."""
    context = chromium.new_context()
    opened = context.new_page()
    opened.goto(running.url)
    opened.wait_for_selector("#stage[data-shown]")
    yield opened
    context.close()


def test_run_lengths_are_those_of_the_library(page: Any) -> None:
    rng = np.random.default_rng(1)
    for height, width, share in ((1, 1, 1.0), (7, 5, 0.5), (20, 31, 0.1), (20, 31, 0.9), (64, 48, 0.5)):
        mask = rng.random((height, width)) < share
        mask[rng.integers(height), rng.integers(width)] = True
        found = page.evaluate(
            """async ([rle, width, height]) => {
                const { encode, labelMap } = await import('./rle.js');
                const labels = labelMap([{ tag: 7, rle }], width, height);
                return [[...labels], encode(labels, width, height, 7), encode(labels, width, height, 8)];
            }""",
            [encode_rle(mask), width, height],
        )
        assert (np.array(found[0]).reshape(height, width) == 7 * mask).all()
        assert (decode_rle(found[1], height=height, width=width) == mask).all()
        assert found[2] is None


def test_an_overlay_shows_later_masks_on_top_and_no_hidden_ones(page: Any) -> None:
    full, small = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
    full[1:5, 1:7] = small[2:4, 3:5] = True
    found = page.evaluate(
        """async masks => {
            const { overlayOf } = await import('./overlay.js');
            const at = ({ pixels, width }, x, y) => [...pixels.slice(4 * (y * width + x), 4 * (y * width + x) + 3)];
            const both = overlayOf(masks, { 1: [255, 0, 0], 2: [0, 255, 0] });
            const one = overlayOf(masks, { 1: [255, 0, 0] });
            const { x, y, width, height } = both;
            return [[x, y, width, height], at(both, 0, 0), at(both, 2, 1), at(one, 2, 1), overlayOf(masks, {})];
        }""",
        [{"tag": 1, "rle": encode_rle(full)}, {"tag": 2, "rle": encode_rle(small)}],
    )
    assert found == [[1, 1, 6, 4], [255, 0, 0], [0, 255, 0], [255, 0, 0], None]


def test_the_palette_is_the_librarys(page: Any) -> None:
    tags = [1, 2, 3, 8, 77, 255]
    found = page.evaluate("async tags => tags.map((await import('./colors.js')).palette)", tags)
    assert found == ["#{:02x}{:02x}{:02x}".format(*colour(tag)) for tag in tags]


def test_objects_of_one_label_can_be_told_apart(page: Any) -> None:
    found = page.evaluate("""async () => {
        const { colorOf } = await import('./objects-state.js');
        const colored = color => [1, 2, 3, 4, 5].map(tag => ({ tag, color }));
        const seen = color => [1, 2, 3, 4, 5].map(tag => colorOf({ session: { objects: colored(color) } }, tag));
        return [seen('#70b8ff'), seen('#808080')];
    }""")
    for colours, first in zip(found, ([0x70, 0xB8, 0xFF], [255, 255, 255]), strict=True):
        assert colours[0] == first  # the label's own
        for i, one in enumerate(colours):
            assert all(max(abs(a - b) for a, b in zip(one, other, strict=True)) > 60 for other in colours[:i])


def test_bitmaps_stay_within_their_bytes(page: Any) -> None:
    found = page.evaluate("""async () => {
        const { ByteLru } = await import('./lru.js');
        const dropped = [];
        const map = new ByteLru(10, value => dropped.push(value));
        map.set('a', 1, 4); map.set('b', 2, 4); map.get('a'); map.set('c', 3, 4); map.set('a', 4, 5);
        return [dropped, map.bytes, map.has('b'), map.get('a'), map.get('c')];
    }""")
    assert found == [[2, 1], 9, False, 4, 3]


def test_no_key_means_two_things(page: Any) -> None:
    keys = page.evaluate("async () => (await import('./keys.js')).SHEET.flatMap(([, rows]) => rows.map(row => row[1]))")
    assert len(keys) == len(set(keys)) > 30
    found = page.evaluate("""async () => {
        const { commandOf } = await import('./keys.js');
        const press = (key, more = {}) => commandOf({ key, ...more })?.command ?? null;
        return [press('F'), press('f', { ctrlKey: true }), press('Z', { ctrlKey: true, shiftKey: true }),
            press('z', { metaKey: true }), press('f', { altKey: true }),
            press('?', { shiftKey: true }), press('Escape')];
    }""")
    assert found == ["next", None, "redo", "undo", None, "help", "cancel"]


def test_drafts_are_undone_redone_and_cleared_and_a_full_storage_is_told(page: Any) -> None:
    found = page.evaluate("""async () => {
        const { Drafts } = await import('./drafts.js');
        let full = false;
        const kept = {};
        const problems = [];
        const storage = {
            getItem: key => kept[key] ?? null,
            setItem: (key, value) => { if (full) throw new Error('full'); kept[key] = value; },
        };
        const drawn = { kind: 'stroke', points: [[1, 2]], width: 3, polarity: 'positive' };
        const stroke = (frame, tag) => ({ ...drawn, frame, tag });
        const drafts = new Drafts(storage, problem => problems.push(problem?.message ?? null));
        drafts.open('clip');
        drafts.add(stroke(4, 1));
        drafts.add({ kind: 'box', frame: 4, tag: 1, box: [0, 0, 9, 9] });
        drafts.add({ kind: 'box', frame: 4, tag: 1, box: [1, 1, 9, 9] });
        drafts.add({ kind: 'clear', frame: 4 });
        const cleared = drafts.frames;
        drafts.undo();
        drafts.add(stroke(2, 3));
        const round = drafts.round();
        const undone = [drafts.undo(), drafts.undo(), drafts.of(4).boxes[0].box];
        undone.push(drafts.redo(), drafts.redo(), drafts.redo());
        drafts.send(drafts.round());
        drafts.add(stroke(5, 1));  // drawn while the round is on its way
        drafts.taken();
        const left = drafts.frames;
        const again = new Drafts(storage, () => {});
        again.open('clip');
        full = true;
        drafts.add(stroke(6, 1));
        return [cleared, round, undone, left, again.frames, drafts.frames, problems.at(-1), problems.at(-2)];
    }""")
    stroke = {"points": [[1, 2]], "width": 3, "polarity": "positive"}
    assert found == [
        [],
        {
            "scribbles": [
                {"frame": 2, "strokes": [{"tag": 3, **stroke}]},
                {"frame": 4, "strokes": [{"tag": 1, **stroke}]},
            ],
            "boxes": [{"frame": 4, "tag": 1, "box": [1, 1, 9, 9]}],
            "references": [],
            "objects": [],
        },
        [2, 4, [0, 0, 9, 9], 4, 2, None],
        [5],
        [5],
        [5, 6],
        "full",
        None,
    ]


def test_a_storage_that_gets_full_keeps_the_newest_painted_masks(page: Any) -> None:
    found = page.evaluate("""async () => {
        const { Drafts } = await import('./drafts.js');
        const kept = {};
        const problems = [];
        const storage = {
            getItem: key => kept[key] ?? null,
            setItem: (key, value) => { if (value.length > 3000) throw new Error('full'); kept[key] = value; },
        };
        const drafts = new Drafts(storage, problem => problems.push(problem?.message ?? null));
        drafts.open('clip');
        for (let n = 0; n < 9; n += 1) {
            drafts.add({ kind: 'masks', frame: 4, tag: 1, masks: [{ tag: 1, rle: Array(300).fill(n) }] });
        }
        const again = new Drafts(storage, () => {});
        again.open('clip');
        return [again.of(4).masks[0].rle[0], again.items.length, drafts.items.length, problems.filter(Boolean)];
    }""")
    assert found == [8, 1, 9, []]


def test_zooming_keeps_the_pixel_under_the_mouse_and_the_picture_in_sight(page: Any) -> None:
    found = page.evaluate("""async () => {
        const { fitted, moved, toFrame, zoomed } = await import('./view.js');
        const [stage, frame] = [{ width: 800, height: 600 }, { width: 400, height: 200 }];
        const whole = fitted(stage, frame);
        const near = zoomed(whole, 3, 500, 310, stage, frame);
        const away = moved(near, 1e6, -1e6, stage, frame);
        const far = zoomed(whole, 1e-6, 0, 0, stage, frame);
        const corner = [away.x, away.y + 200 * away.scale];
        return [toFrame(whole, 500, 310), toFrame(near, 500, 310), corner, far.scale / whole.scale];
    }""")
    assert found[0] == pytest.approx(found[1])
    assert found[2] == pytest.approx([752, 48])
    assert found[3] == pytest.approx(0.5)


def test_frames_that_are_kept_are_bounded(chromium: Any, running: Served) -> None:
    """A clip whose bitmaps would fill the room many times over: as many are kept as fit, those around the cursor."""
    page = chromium.new_context().new_page()
    page.goto(running.url)
    found = page.evaluate(
        """async frames => {
            const { Pictures } = await import('./pictures.js');
            const session = await (await fetch('api/session')).json();
            let came = 0;
            // As if every frame were of 8k: 256 MiB hold two of them.
            const pictures = new Pictures(() => { came += 1; }, () => {});
            pictures.open({ ...session, width: 7680, height: 4320 });
            pictures.focus(0, 1);
            for (let i = 0; i < 300 && came < 2; i += 1) await new Promise(done => setTimeout(done, 20));
            await new Promise(done => setTimeout(done, 200));
            return [came, Array.from({ length: frames }, (_, n) => pictures.has(n))];
        }""",
        FRAMES,
    )
    assert found == [2, [True] * 2 + [False] * (FRAMES - 2)]
    page.context.close()


def test_a_reload_comes_back_to_the_frame(tab: Tab) -> None:
    tab.go(7)
    tab.page.wait_for_url("**/#7")
    tab.reload()
    assert tab.frame == 7


@pytest.mark.parametrize("read_only", [False, True])
def test_a_job_is_written_to_cvat_and_the_report_is_shown(tab: Tab, read_only: bool) -> None:
    """The page's side; what a real job answers is tested in tests/cvat."""
    page = tab.page
    where = {"server": "http://cvat.test", "url": "http://cvat.test/tasks/3/jobs/42", "written_at": None}
    job = {"id": 42, "task": 3, "read_only": read_only, **where}
    labels = [{"name": "car", "color": "#12ab34"}, {"name": "person", "color": "#fa3253"}]

    def of_a_job(route: Any) -> None:
        reply = route.fetch()
        route.fulfill(response=reply, json={**reply.json(), "job": job, "labels": labels})

    report = {"lines": ["2 masks written", "frame 3: a mask of somebody's stays"]}
    page.route("**/api/session", of_a_job)
    page.route("**/api/write", lambda route: route.fulfill(json=report))
    tab.reload()
    tab.take()
    assert page.get_attribute("#job", "href") == "http://cvat.test/tasks/3/jobs/42"
    assert page.is_disabled("#write")  # there is no round yet
    tab.scribble(1, 0)
    assert page.inner_text("#objects .label") == "car"  # the job's first label, until another is chosen
    tab.choose(1, "Rename")
    page.select_option("dialog select", "person")
    page.click("dialog.ask button.primary")
    page.locator("#objects .label", has_text="person").wait_for()
    tab.commit(1)
    assert tab.served.session()["objects"][0]["label"] == "person"
    if read_only:
        assert page.is_disabled("#write")
        return
    page.click("#write")
    assert page.inner_text("dialog.ask .lines").splitlines() == report["lines"]
    page.click("dialog.ask button.primary")
