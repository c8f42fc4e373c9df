"""The page of review in a browser: what is said by keys comes out of `dataset apply`, and nothing is asked of the network."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from chromium import started_browser
from small_collection import COUNT, Collected

from lumosx_core.cli.main import main
from lumosx_core.data.pack import read_manifest


def current(page: Any) -> dict[str, Any]:
    """What the page knows of the clip that is chosen."""
    return page.evaluate("() => JSON.parse(document.querySelector('article.current script.clip').textContent)")


def go_to(page: Any, clip: str) -> None:
    """Choose a clip by keys: to the first one, then down."""
    for key in "k" * COUNT + "j" * COUNT:
        page.keyboard.press(key)
        if current(page)["clip"] == clip:
            return
    pytest.fail(f"no key leads to {clip}")


def test_corrections_by_keys(collected: Collected, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = Path(shutil.copytree(collected.out, tmp_path / "out"))
    before = {row["people"]: row for row in read_manifest(dataset)}
    with pytest.MonkeyPatch.context() as patch, started_browser() as browser:
        patch.chdir(tmp_path)
        assert main(["dataset", "review", str(dataset)]) == 0
        assert "None" not in capsys.readouterr().out
        page = browser.new_page()
        asked, troubles = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto((dataset / "review.html").as_uri())
        assert page.locator("article").count() == COUNT and page.locator("#changes").inner_text() == "0 clips changed"
        go_to(page, before[3]["sample"])
        page.keyboard.press("r")
        go_to(page, before[1]["sample"])
        page.keyboard.press("r")
        page.keyboard.press("u")  # taken back: nothing is said of it
        go_to(page, before[2]["sample"])
        phrases = current(page)["phrases"]
        number = next(n for n, phrase in enumerate(phrases) if (phrase["kind"], phrase["status"]) == ("attribute", "accepted"))
        page.keyboard.press(str(number + 1))
        page.keyboard.press("x")
        assert page.locator("article.current .row.phrase.chosen button.no").get_attribute("aria-pressed") == "true"
        assert page.locator("#changes").inner_text() == f"{COUNT} clips changed"
        with page.expect_download() as download:
            page.keyboard.press("w")
        download.value.save_as(tmp_path / "corrections.jsonl")
        assert troubles == [] and [url for url in asked if not url.startswith(("data:", "blob:"))] == [page.url]
    assert main(["dataset", "apply", str(dataset), str(tmp_path / "corrections.jsonl")]) == 0
    assert "None" not in capsys.readouterr().out
    after = {row["people"]: row for row in read_manifest(dataset)}
    assert after.keys() == {1, 2} and after[1]["relations"] == before[1]["relations"]
    words = [[relation["phrase"] for relation in rows[2]["relations"]] for rows in (before, after)]
    words[0].remove(phrases[number]["text"])
    assert words[0] == words[1]
