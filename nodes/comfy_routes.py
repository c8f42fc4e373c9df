"""What the host's web server answers for this pack: POST /lumosx/words, the verdict on a prompt that is being typed, POST
/lumosx/work, what a video will cost, and the English help pages, for which the host's page asks under a name of its own."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lumosx_core.errors import InputError

WORDS = "/lumosx/words"
WORK = "/lumosx/work"
PACK = Path(__file__).parents[1]


def add_routes() -> None:
    """Registers the routes; called once, when the host loads the extension. Does nothing where no server runs."""
    from server import PromptServer

    running = getattr(PromptServer, "instance", None)
    if running is None:
        return
    running.routes.post(WORDS)(words)
    running.routes.post(WORK)(work)
    if not set("{}") & set(PACK.name):  # they have a meaning in routes
        for page in sorted((PACK / "web" / "docs").glob("*.md")):
            running.routes.get(english_page(page))(_sends(page))


def english_page(page: Path) -> str:
    """Where the host's page looks first for a node's help in English; for every language without a page of its own it takes
    <node>.md, which is the English one, after a request that fails."""
    return f"/extensions/{PACK.name}/docs/{page.stem}/en.md"


def _sends(page: Path) -> Any:
    async def send(_: Any) -> Any:
        from aiohttp import web

        return web.FileResponse(page)

    return send


async def words(request: Any) -> Any:
    """The `Verdict` on the `Question` in the body as JSON; status 413 for a body that is too long, 400 for another one.

    No request touches a model or reads more than the sample folder that it chooses, and a wrong one leaves nothing in the log.
    """
    from .words_while_typing import answer

    return await _answered(request, answer)


async def work(request: Any) -> Any:
    """The `Estimate` for the `Plan` in the body, with the statuses of `words`."""
    from .work_while_editing import estimate

    return await _answered(request, estimate)


async def _answered(request: Any, answer: Callable[[bytes], dict[str, Any]]) -> Any:
    from aiohttp import web

    from .words_while_typing import LONGEST_QUESTION

    if request.content_length is None or request.content_length > LONGEST_QUESTION:
        return web.json_response({"error": f"expected at most {LONGEST_QUESTION} bytes of JSON"}, status=413)
    try:
        return web.json_response(await asyncio.to_thread(answer, await request.read()))
    except InputError as error:
        return web.json_response({"error": str(error)}, status=400)
