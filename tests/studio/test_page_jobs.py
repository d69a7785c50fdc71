"""The page where a studio serves several jobs: which one, and what is told of one that is not there."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from page_bench import Tab
from studio_client import rooms_on

from siaf.model.loaded import Model
from siaf.studio.clip import Clip
from siaf.studio.rooms import JobRooms

pytestmark = pytest.mark.browser


@pytest.fixture
def site(opened: Callable[[int], Clip], tiny_model: Model) -> Iterator[Any]:
    """Serves jobs 1 to 9, to whoever has the token."""
    with rooms_on(JobRooms(opened, tiny_model), token="secret") as port:
        yield SimpleNamespace(url=f"http://127.0.0.1:{port}/")


@pytest.fixture
def context(chromium: Any) -> Iterator[Any]:
    made = chromium.new_context(viewport={"width": 1200, "height": 760})
    yield made
    made.close()


def test_a_labeler_says_which_job_and_stays_in_it(site: Any, context: Any) -> None:
    page = context.new_page()
    page.goto(f"{site.url}?token=secret")
    page.fill("#which", "my job")
    page.click("text=Open")
    assert page.is_visible("#wrong")
    page.fill("#which", "https://cvat.example.com/tasks/7/jobs/3?frame=5")
    page.click("text=Open")
    page.wait_for_selector("#stage[data-shown]")
    assert page.url.startswith(f"{site.url}jobs/3/")
    assert page.inner_text("#clip") == "job-3"
    page.reload()
    page.wait_for_selector("#stage[data-shown]")


def test_a_link_from_a_page_of_the_job_leads_to_it(site: Any, context: Any) -> None:
    page = context.new_page()
    page.goto(f"{site.url}?token=secret")
    page.goto(site.url, referer=f"{site.url}tasks/7/jobs/4")
    page.wait_for_selector("#stage[data-shown]")
    assert page.inner_text("#clip") == "job-4"


def test_two_jobs_side_by_side_have_their_own_masks_and_drafts(site: Any, context: Any) -> None:
    context.new_page().goto(f"{site.url}?token=secret")
    first, second = Tab(context, site).open("jobs/1/"), Tab(context, site).open("jobs/2/")
    for tab in (first, second):
        tab.wait(holder=True)
    first.draw([(10, 20), (20, 22)])
    first.masked("preview")
    assert (first.drafts, second.drafts) == ([0], [])
    first.commit(1)
    second.reload()
    assert second.page.get_attribute("body", "data-rounds") == "0"
    assert first.faults == second.faults == []


def test_a_job_that_is_not_there_gets_a_page_and_a_way_back(site: Any, context: Any) -> None:
    page = context.new_page()
    page.goto(f"{site.url}?token=secret")
    assert page.goto(f"{site.url}jobs/42/").status == 404
    assert page.inner_text("h1") == "Job 42 is not open"
    assert page.inner_text("[role=alert]") == "job 42: there is no such job"
    page.click("text=Open another job")
    page.wait_for_selector("#which")


def test_without_the_token_it_says_where_that_is(site: Any, context: Any) -> None:
    page = context.new_page()
    assert page.goto(f"{site.url}jobs/1/").status == 401
    assert "open the link that the studio printed" in page.inner_text("[role=alert]")
