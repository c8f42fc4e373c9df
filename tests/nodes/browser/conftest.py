"""One browser for all tests of this folder, and a page of ComfyUI in each of the two renderers.

Needs ComfyUI, Chromium and the Python package playwright (which brings no browser of its own). COMFYUI_FRONTEND names the
folder of a frontend to use instead of the installed one.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from chromium import started_browser
from host_server import HostServer

from .pages import clear, open_page

# What the host itself asks for in vain: a style sheet of the user's, stored files of a new user.
HOSTS_OWN = ("/user.css", "/api/userdata", "/api/experiment/models")


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    with started_browser() as started:
        yield started


@pytest.fixture(scope="package", params=[False, True], ids=["canvas", "vue"])
def open_tab(request: pytest.FixtureRequest, server: HostServer, browser: Any) -> Iterator[Any]:
    """ComfyUI's page with one of the two renderers; its `troubles` are page errors and failed requests that are ours."""
    server.post("/api/settings", {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": request.param})
    page = browser.new_page(viewport={"width": 1700, "height": 1000})
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(f"page error: {error}"))
    page.on(
        "response",
        lambda answer: (
            page.troubles.append(f"{answer.status} {answer.url}")
            if answer.status >= 400 and not any(path in answer.url for path in HOSTS_OWN)
            else None
        ),
    )
    open_page(page, f"http://{server.address}")
    yield page
    page.close()


@pytest.fixture
def page(open_tab: Any) -> Any:
    """The same page for all tests, empty, its troubles those of one."""
    open_tab.troubles.clear()
    clear(open_tab)
    return open_tab
