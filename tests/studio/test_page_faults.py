"""What goes wrong while somebody draws: the page says so, and loses no stroke. `make test-browser`."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_bench import FRAMES, Served, Tab, line
from studio_client import Page, free_port

pytestmark = pytest.mark.browser

# In the page, not on the answer's way: a busy machine's browser may say nothing of a request that was broken off.
LOSE_THE_NEXT_ROUNDS_ANSWER = """() => {
    const real = window.fetch;
    window.fetch = async (url, options) => {
        const answer = await real(url, options);
        if (!url.endsWith("api/rounds")) return answer;
        window.fetch = real;
        document.body.dataset.lost = answer.status;
        throw new TypeError("the connection broke");
    };
}"""


def tab_id(tab: Tab) -> str:
    """What the tab calls itself."""
    with tab.page.expect_request("**/api/progress*") as found:
        pass
    return str(found.value.headers["x-siaf-tab"])


def test_a_killed_studio_loses_no_stroke_and_no_mask(tab: Tab, served: Served) -> None:
    page = tab.page
    tab.scribble(1, 0)
    served.kill()
    tab.wait(link="gone")
    assert "does not answer" in page.inner_text("#banner")
    tab.press("2")
    tab.draw(line(2, 0))  # one goes on drawing
    tab.press("Enter")
    assert tab.drafts == [0]
    served.start()
    tab.wait(link="ok")
    tab.hears("Nothing was lost")
    assert page.is_hidden("#banner")
    tab.masked("preview")
    tab.commit(1)
    assert [stroke["tag"] for stroke in served.session()["strokes"][0]["strokes"]] == [1, 2]

    tab.press("Shift+Enter")
    tab.wait(running=True)
    served.kill()
    tab.wait(link="gone")
    served.start()
    tab.wait(link="ok", running=False)
    assert served.session()["rounds"] == 1
    tab.propagate()
    assert served.masked() == set(range(FRAMES))


def test_drafts_outlive_the_page_and_the_studio_together(tab: Tab, served: Served) -> None:
    tab.scribble(1, 0)
    tab.scribble(2, 5)
    served.kill()
    tab.page.close()
    served.start()
    again = Tab(tab.page.context, served).open().take()
    assert again.drafts == [0, 5]
    again.commit(1)
    assert set(served.session()["interacted"]) == {"0", "5"}


@pytest.mark.parametrize("tool", ["n", "r", "p"], ids=["scribble", "box", "brush"])
def test_a_round_whose_answer_was_lost_is_taken_once(tab: Tab, served: Served, tool: str) -> None:
    tab.press(tool)
    tab.draw([(8, 8), (28, 28)])
    tab.wait(drafts="0")
    tab.page.evaluate(LOSE_THE_NEXT_ROUNDS_ANSWER)
    tab.press("Enter")
    tab.wait(lost=200, rounds=1, drafts="", link="ok", busy="")
    assert served.session()["rounds"] == 1


def test_a_session_that_changed_elsewhere_keeps_the_drafts(tab: Tab, served: Served) -> None:
    tab.scribble(1, 0)
    same = Page(served.port, tab_id(tab))
    same.commit(5)
    tab.press("Enter")
    tab.hears("changed elsewhere")
    assert tab.drafts == [0]
    tab.wait(rounds=1)
    tab.commit(2)
    assert served.session()["interacted"] == {"5": [1], "0": [2]}


@pytest.mark.parametrize(
    ("status", "code", "message", "field"),
    [
        (422, "invalid", "too many points", "scribbles"),
        (409, "conflict", "somebody else ran a round on job 3 since it was opened here", None),
        (503, "busy", "another sync is working on job 3", None),
    ],
)
def test_a_refused_round_keeps_the_drafts(
    tab: Tab, served: Served, status: int, code: str, message: str, field: str | None
) -> None:
    tab.scribble(1, 0)
    refusal = json.dumps({"error": {"code": code, "message": message, "field": field}})
    tab.page.route("**/api/rounds", lambda route: route.fulfill(status=status, body=refusal), times=1)
    tab.press("Enter")
    tab.hears(f"scribbles: {message}" if field else message)
    assert tab.drafts == [0]
    tab.reload()
    assert tab.drafts == [0]
    tab.commit(1)


def test_the_second_of_two_tabs_only_shows_until_it_takes_over(tab: Tab, served: Served) -> None:
    tab.scribble(1, 0)
    second = Tab(tab.page.context, served).open()
    second.wait(holder=False)
    assert "Another tab works" in second.page.inner_text("#banner")
    second.draw(line(2, 0))
    second.press("Enter")
    assert "take over" in second.said
    assert second.page.is_disabled("#commit")
    assert tab.drafts == second.drafts == [0]

    second.page.click("#take-over")
    second.wait(holder=True)
    assert second.drafts == [0]  # they came along
    tab.wait(holder=False)
    tab.press("Enter")
    assert "take over" in tab.said
    second.press("2")
    second.draw(line(2, 0))
    second.commit(1)
    assert [stroke["tag"] for stroke in served.session()["strokes"][0]["strokes"]] == [1, 2]
    tab.wait(rounds=1, drafts="")  # the first one sees it
    assert second.faults == []


def test_a_call_that_comes_too_late_is_told(tab: Tab, served: Served) -> None:
    """The desk was taken, and the page has not heard of it yet."""
    tab.scribble(1, 0)
    Page(served.port, "thief").do("POST", "hold", tab="thief", take=True)
    tab.press("Enter")
    tab.wait(holder=False)
    assert tab.drafts == [0]
    tab.page.click("#take-over")
    tab.wait(holder=True)
    tab.commit(1)


def test_a_copied_tab_is_another_tab(tab: Tab, served: Served) -> None:
    own = tab_id(tab)
    assert tab.page.evaluate("() => Object.keys(sessionStorage)") == []
    tab.reload()
    assert tab_id(tab) == own
    tab.wait(holder=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"page": 2}, "of another version"), ({"key": "of another clip"}, "shows another clip")],
)
def test_a_page_that_does_not_fit_says_reload(tab: Tab, change: dict[str, Any], told: str) -> None:
    tab.scribble(1, 0)

    def other(route: Any) -> None:
        reply = route.fetch()
        route.fulfill(response=reply, json={**reply.json(), **change})

    tab.page.route("**/api/session", other)
    tab.page.route("**/api/progress*", lambda route: route.abort(), times=1)
    tab.wait(link="page")
    assert told in tab.page.inner_text("#banner")
    tab.page.unroute("**/api/session")
    tab.page.click("#banner button")
    tab.page.wait_for_selector("#stage[data-shown]")
    tab.wait(link="ok")
    assert tab.drafts == [0]


@pytest.fixture
def nowhere(squares: Path, tmp_path: Path) -> Iterator[Served]:
    """A studio whose session's folder is gone."""
    place = tmp_path / "place"
    place.mkdir()
    running = Served(squares, free_port(), "--session", str(place / "kept.siaf"))
    running.start()
    shutil.rmtree(place)
    yield running
    running.end()


def test_a_session_that_cannot_be_saved_is_told_of(chromium: Any, nowhere: Served) -> None:
    tab = Tab(chromium.new_context(viewport={"width": 1200, "height": 760}), nowhere).open()
    tab.scribble(1, 0)
    tab.press("Enter")
    tab.page.locator("#saved", has_text="Not saved").wait_for()
    assert "kept in memory" in str(tab.page.get_attribute("#saved", "title"))
    tab.wait(rounds=1, drafts="")
    tab.page.context.close()


def test_drafts_that_are_no_drafts_are_left(tab: Tab, served: Served) -> None:
    key = f"siaf-drafts-{served.session()['key']}"
    tab.page.evaluate("key => localStorage.setItem(key, '{\"items\": [tru')", key)
    tab.reload()
    assert tab.drafts == []
    tab.scribble(1, 0)
    assert tab.drafts == [0]
