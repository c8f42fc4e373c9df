"""A page to look at what was collected: frames with numbered people, the caption in their colours, every picture with its
evidence. One HTML file with everything inside; it asks nothing of any server.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from lumosx_core.data.corrections import Correction, basis_of
from lumosx_core.data.decide import DecidedPhrase, Decision, View
from lumosx_core.data.records import digest_of
from lumosx_core.data.sample_files import face_picture
from lumosx_core.data.stage import read_mask, read_png
from lumosx_core.data.store import Blobs
from lumosx_core.detection.cut_outs import cut_out, on_white
from lumosx_core.drawing.palette import BACKGROUND_COLOUR, OBJECT_COLOURS, SUBJECT_COLOURS
from lumosx_core.files import pages
from lumosx_core.files.pages import data_uri

if TYPE_CHECKING:
    from lumosx_core.data.collect import Clip, CollectReport
    from lumosx_core.data.collect_config import CollectConfig

DRAWN = 1  # counts up when the same content is drawn otherwise
TEMPLATE = "collection.html"
FRAME_WIDTH, PICTURE_SIDE = 300, 200  # pixels of thumbnails
ORDER = {"doubtful": 0, "dropped": 1, "accepted": 2}


def write_page(
    path: Path,
    clips: Sequence["Clip"],
    report: "CollectReport",
    blobs: Blobs,
    config: "CollectConfig",
    *,
    most: int = 120,
    corrections: Mapping[str, Correction] | None = None,
) -> Path:
    """Write the page of a collection: of every outcome some clips, the doubtful ones first, `most` in all. corrections: what
    was said of clips; given (may be empty), the page is one of review, on which they can be changed. A page that was drawn of
    the same content stays as it is: pictures take longer than all else that a run does which finds everything done. Raises
    InputError if jinja2 is missing, or the disk refuses."""
    shown = chosen(clips, most)
    values: dict[str, Any] = {
        "title": "What was collected" if corrections is None else "Review",
        "review": corrections is not None,
        "review_style": _asset("review.css"),
        "review_script": _asset("review.js"),
        "summary": f"{report.sources} videos, {report.clips} clips, {report.samples} samples in the dataset.",
        "funnel": [(name, count, count / max(report.clips, 1)) for name, count in report.funnel],
        "reasons": sorted(report.dropped.items(), key=lambda item: -item[1]),
        "shown": len(shown),
        "total": len(clips),
    }
    values["made_of"] = _content_digest(values, shown, config, corrections)
    if pages.is_made_of(path, values["made_of"]):
        return path
    values["clips"] = [_clip(clip, blobs, config, corrections) for clip in shown]
    return pages.write_page(path, TEMPLATE, values)


def _content_digest(
    values: Mapping[str, Any], shown: Sequence["Clip"], config: "CollectConfig", corrections: Mapping[str, Correction] | None
) -> str:
    """Of all that a page is drawn of. Pictures are named by digests of their content in the records."""
    content: list[Any] = [DRAWN, _asset(TEMPLATE), values, config.pictures, config.privacy]
    for clip in shown:
        said = None if corrections is None else corrections.get(clip.clip)
        found = [(result.stage, result.status, result.record) for _, result in sorted(clip.results.items())]
        content.append((clip.clip, clip.source.names, clip.job.shot, found, clip.records, clip.decision, clip.stale, said))
    return digest_of(repr(content).encode("utf-8", "backslashreplace"))


def outcome(clip: "Clip") -> str:
    """ "accepted" for a sample whose relations are all accepted, "doubtful" for one with others, "dropped" for no sample."""
    if clip.decision is None or clip.decision.reason:
        return "dropped"
    things = [*clip.decision.phrases, *([clip.decision.background] if clip.decision.background else [])]
    return "doubtful" if any(thing.status in ("doubtful", "contradicted") for thing in things) else "accepted"


def chosen(clips: Sequence["Clip"], most: int) -> list["Clip"]:
    """At most `most` clips, of every outcome a fair share, in the order of the page."""
    groups: dict[str, list[Clip]] = {name: [] for name in ORDER}
    for clip in clips:
        groups[outcome(clip)].append(clip)
    taken: list[Clip] = []
    for rank in range(max(map(len, groups.values()), default=0)):
        for group in groups.values():
            if rank < len(group) and len(taken) < most:
                taken.append(group[rank])
    return sorted(taken, key=lambda clip: (ORDER[outcome(clip)], clip.clip))


def _clip(clip: "Clip", blobs: Blobs, config: "CollectConfig", corrections: Mapping[str, Correction] | None) -> dict[str, Any]:
    shot = clip.job.shot
    state = outcome(clip)
    shown: dict[str, Any] = {
        "id": clip.clip,
        "names": ", ".join(clip.source.names),
        "about": f"from {shot.start_s:.2f} s, {shot.frames} frames at {shot.fps:g} per second",
        "state": state,
        "filter": state,
        "word": {"accepted": "sample", "doubtful": "sample, something doubtful", "dropped": "left out"}[state],
        "why": "",
        "caption": [],
        "frames": [],
        "owners": [],
        "review": None,
    }
    for result in clip.results.values():
        if result.status != "done":
            told = result.content
            shown["why"] = f"{result.stage}: {told.get('reason', 'failed')} {told.get('detail', told.get('message', ''))}"
    if not clip.records or clip.decision is None:
        return shown
    if clip.decision.reason:
        shown["why"] = f"{clip.decision.reason.replace('_', ' ')}: {clip.decision.detail}"
    pictures = [read_png(blobs, frame.picture) for frame in clip.records["frames"].frames]
    return shown | {
        "caption": _caption(clip.records),
        "frames": [_frame(clip.records, number, picture) for number, picture in enumerate(pictures)]
        if config.privacy.frames == "kept"
        else [],
        "owners": _owners(clip.decision, pictures, blobs, config),
        "review": None if corrections is None else _review(clip, corrections.get(clip.clip)),
    }


def _review(clip: "Clip", correction: Correction | None) -> dict[str, Any]:
    """What the script of the page needs of a clip: how it stands now, and what was said of it before."""
    reading, matched = clip.records["reading"], clip.records["relations"]
    decided = {} if clip.decision is None else {phrase.phrase: phrase.status for phrase in clip.decision.phrases}
    if clip.decision is not None and clip.decision.background is not None:
        decided[clip.decision.background.phrase] = clip.decision.background.status
    fits = correction is not None and not clip.stale
    return {
        "clip": clip.clip,
        "basis": basis_of(clip.results),
        "caption": reading.caption,
        "mentions": [mention.span.of(reading.caption) for mention in reading.mentions],
        "tracks": len(clip.records["people"].tracks),
        "people": list(matched.people),
        "phrases": [
            {
                "number": number,
                "text": phrase.span.of(reading.caption),
                "kind": phrase.kind,
                "owner": phrase.owner,
                "status": decided.get(number, "not found"),
            }
            for number, phrase in enumerate(reading.phrases)
        ],
        "correction": asdict(correction) if fits and correction is not None else None,
    }


def _asset(name: str) -> str:
    return (pages.TEMPLATES / name).read_text("utf-8")


def _caption(records: dict[str, Any]) -> list[dict[str, str]]:
    """The caption in parts; names and things in the colour of the person they were matched with."""
    reading, people = records["reading"], records["relations"].people
    marks: list[tuple[int, int, str, str]] = []
    for index, mention in enumerate(reading.mentions):
        track = people[index]
        if track is not None:
            marks.append((mention.span.start, mention.span.end, _colour(track), f"person {track + 1}"))
    for phrase in reading.phrases:
        track = None if phrase.owner is None else people[phrase.owner]
        if phrase.kind == "attribute" and track is not None:
            marks.append((phrase.span.start, phrase.span.end, _colour(track), f"of person {track + 1}"))
        elif phrase.kind != "attribute":
            colour = _hex(BACKGROUND_COLOUR if phrase.kind == "background" else OBJECT_COLOURS[0])
            marks.append((phrase.span.start, phrase.span.end, colour, phrase.kind))
    parts: list[dict[str, str]] = []
    at = 0
    for start, end, colour, title in sorted(marks):
        if start < at:
            continue
        parts += [{"text": reading.caption[at:start], "colour": "", "title": ""}]
        parts += [{"text": reading.caption[start:end], "colour": colour, "title": title}]
        at = end
    return [*parts, {"text": reading.caption[at:], "colour": "", "title": ""}]


def _frame(records: dict[str, Any], number: int, picture: Image.Image) -> dict[str, Any]:
    boxes = []
    for track, views in enumerate(records["people"].tracks):
        for view in views:
            if view.frame == number:
                left, top, right, bottom = view.box
                boxes.append(
                    {
                        "owner": f"p{track}",
                        "label": track + 1,
                        "colour": _colour(track),
                        "left": _share(left, picture.width),
                        "top": _share(top, picture.height),
                        "width": _share(right - left, picture.width),
                        "height": _share(bottom - top, picture.height),
                    }
                )
    time = records["frames"].frames[number].time_s
    return {"image": data_uri(picture, FRAME_WIDTH), "time": f"{time:.2f}", "boxes": boxes}


def _owners(decision: Decision, pictures: list[Image.Image], blobs: Blobs, config: "CollectConfig") -> list[dict[str, Any]]:
    owners: dict[Any, dict[str, Any]] = {}
    for person in decision.people:
        owner = owners.setdefault(person.track, {"id": f"p{person.track}", "colour": _colour(person.track), "pictures": []})
        view = person.faces[0]
        face = face_picture(pictures[view.frame], read_mask(blobs, view.mask), view.box, config.pictures)
        note = f"person {person.track + 1}, {_count(len(person.faces), 'view')}"
        owner["pictures"].append(
            {"image": data_uri(face, PICTURE_SIDE), "text": person.text, "note": note, "state": "", "why": ()}
        )
        for further in person.further:
            face = face_picture(read_png(blobs, further.picture), read_mask(blobs, further.mask), further.box, config.pictures)
            note = f"from another shot, likeness {further.likeness:.4f}"
            owner["pictures"].append(
                {"image": data_uri(face, PICTURE_SIDE), "text": person.text, "note": note, "state": "", "why": ()}
            )
    for phrase in decision.phrases:
        key = "objects" if phrase.track is None else phrase.track
        colour = _hex(OBJECT_COLOURS[0]) if phrase.track is None else _colour(phrase.track)
        owner = owners.setdefault(
            key, {"id": f"p{phrase.track}" if phrase.track is not None else "objects", "colour": colour, "pictures": []}
        )
        owner["pictures"].append(_thing(phrase, pictures, blobs))
    if decision.background is not None:
        scene = decision.background
        image = data_uri(read_png(blobs, scene.views[0].mask), PICTURE_SIDE) if scene.views else ""
        card = {"image": image, "text": scene.text, "note": "background", "state": scene.status, "why": scene.reasons}
        owners["background"] = {"id": "background", "colour": _hex(BACKGROUND_COLOUR), "pictures": [card]}
    return [owners[key] for key in sorted(owners, key=str)]


def _thing(phrase: DecidedPhrase, pictures: list[Image.Image], blobs: Blobs) -> dict[str, Any]:
    image = ""
    if phrase.views:
        view: View = max(phrase.views, key=lambda v: v.score)
        image = data_uri(on_white(cut_out(pictures[view.frame], read_mask(blobs, view.mask))), PICTURE_SIDE)
    evidence = phrase.relation.evidence if phrase.relation is not None else None
    note = f"{phrase.kind}"
    if evidence is not None and phrase.track is not None:
        note = f"on owner {evidence.own:.2f}, on others {evidence.others:.2f}, inside {evidence.inside:.0%}"
        if evidence.colour is not None:
            note += f", colour {evidence.colour:+.0f}"
    return {"image": image, "text": phrase.text, "note": note, "state": phrase.status, "why": phrase.reasons}


def _colour(track: int) -> str:
    return _hex(SUBJECT_COLOURS[track % len(SUBJECT_COLOURS)])


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _share(value: float, whole: int) -> str:
    return f"{100 * value / whole:.2f}"
