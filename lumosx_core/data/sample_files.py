"""The files of one sample: the clip, every accepted view as a picture, whose pixels are whose, and the record of all that.

    clip.mp4                  upright, square pixels, SDR; not where privacy.frames is none
    sample.json               caption, people, things, evidence, and which file shows what
    p0.face.0.png             RGBA, square, of person 0 (in the order of the record), view 0; alpha: what of it is the person
    p0.further.0.png          RGBA, a face of the same person in another shot of the video, view 0
    p0.body.0.png             RGBA, the whole person, ungrouped references (method.md section 9)
    p0.a0.0.png               RGBA, attribute 0 of person 0
    o0.0.png                  RGBA, object 0
    background.0.png          RGB, the scene without people
    p0.a0.0.mask.png, o0.0.mask.png   which pixels of the frame that picture shows
    owners.0.png              uint8, of selected frame 0: the number of the person that a pixel shows, 255 nobody's

Legend: H, W = pixels.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.data.collect_config import PictureSettings, PrivacySettings
from lumosx_core.data.decide import DecidedPhrase, Decision, View
from lumosx_core.data.records import canonical
from lumosx_core.data.relations.reading import Reading
from lumosx_core.data.sample_views import CLIP_FILE
from lumosx_core.data.stage import read_mask, read_png
from lumosx_core.data.store import Blobs
from lumosx_core.detection.boxes import inside_picture, square_around
from lumosx_core.detection.cut_outs import CutOutOptions, cut_out, soften
from lumosx_core.eyes import Box
from lumosx_core.files.images import encoded_png

NOBODYS = 255


def sample_record(sample: str, records: dict[str, Any], decision: Decision, privacy: PrivacySettings) -> dict[str, Any]:
    """The content of sample.json: plain values, with the names of the files."""
    reading, video = records["reading"], records["video"]
    people = []
    for number, person in enumerate(decision.people):
        own = [phrase for phrase in decision.accepted if phrase.mention == person.mention]
        people.append(
            {
                **_named(person.text, reading.mentions[person.mention].span, person.occurrence),
                "faces": _views(f"p{number}.face", person.faces),
                "further": [
                    {**told, "clip": view.clip, "likeness": view.likeness}
                    for told, view in zip(_views(f"p{number}.further", person.further), person.further, strict=True)
                ],
                "bodies": _views(f"p{number}.body", person.bodies),
                "attributes": [_thing(f"p{number}.a{k}", phrase, reading) for k, phrase in enumerate(own)],
            }
        )
    objects = [phrase for phrase in decision.accepted if phrase.kind == "object"]
    background = decision.background if decision.background is not None and decision.background.status == "accepted" else None
    return {
        "format": 1,
        "sample": sample,
        "caption": reading.caption,
        "clip": {
            "file": CLIP_FILE if privacy.frames == "kept" else None,
            **{key: getattr(video, key) for key in ("width", "height", "frames", "fps")},
        },
        "selected_s": [frame.time_s for frame in records["frames"].frames],
        "people": people,
        "objects": [_thing(f"o{k}", phrase, reading) for k, phrase in enumerate(objects)],
        "background": _thing("background", background, reading) if background is not None else None,
        "owners": [f"owners.{n}.png" for n in range(len(records["frames"].frames))],
    }


def sample_files(
    record: dict[str, Any], records: dict[str, Any], decision: Decision, blobs: Blobs, settings: PictureSettings
) -> list[tuple[str, bytes]]:
    """(name, content) of every file of a sample."""
    pictures = [read_png(blobs, frame.picture) for frame in records["frames"].frames]
    options = CutOutOptions(edge=settings.edge)
    files: list[tuple[str, bytes]] = []
    if record["clip"]["file"] is not None:
        files.append((CLIP_FILE, blobs.get(records["video"].video)))
    files.append(("sample.json", canonical(record)))

    def cut(name: str, views: Sequence[View], *, masks: bool = True) -> None:
        for k, view in enumerate(views):
            picture = cut_out(pictures[view.frame], read_mask(blobs, view.mask), options)
            files.append((f"{name}.{k}.png", encoded_png(picture)))
            if masks:
                files.append((f"{name}.{k}.mask.png", blobs.get(view.mask)))

    for number, person in enumerate(decision.people):
        for k, view in enumerate(person.faces):
            face = face_picture(pictures[view.frame], read_mask(blobs, view.mask), view.box, settings)
            files.append((f"p{number}.face.{k}.png", encoded_png(face)))
        for k, view in enumerate(person.further):
            face = face_picture(read_png(blobs, view.picture), read_mask(blobs, view.mask), view.box, settings)
            files.append((f"p{number}.further.{k}.png", encoded_png(face)))
        cut(f"p{number}.body", person.bodies, masks=False)  # in the owners
        own = [phrase for phrase in decision.accepted if phrase.mention == person.mention]
        for k, phrase in enumerate(own):
            cut(f"p{number}.a{k}", phrase.views)
    for k, phrase in enumerate(p for p in decision.accepted if p.kind == "object"):
        cut(f"o{k}", phrase.views)
    if record["background"] is not None:
        files.append(("background.0.png", blobs.get(records["background"].picture)))
    for n, owners in enumerate(owner_maps(records, decision, blobs)):
        files.append((f"owners.{n}.png", encoded_png(Image.fromarray(owners))))
    return files


def face_picture(picture: Image.Image, mask: np.ndarray, box: Box, settings: PictureSettings) -> Image.Image:
    """A square around the face's box, RGBA; the alpha shows the person. mask: bool [H, W], the person's."""
    crop = square_around(inside_picture(box, picture), picture, settings.face_margin)
    alpha = Image.fromarray((soften(mask, settings.edge) * 255).round().astype(np.uint8))
    whole = picture.convert("RGB")
    whole.putalpha(alpha)
    return whole.crop(crop)


def owner_maps(records: dict[str, Any], decision: Decision, blobs: Blobs) -> list[np.ndarray]:
    """uint8 [H, W] for every selected frame: whose pixel it is, by the order of the decision's people, or NOBODYS."""
    frames = records["frames"]
    maps = [np.full((frames.height, frames.width), NOBODYS, np.uint8) for _ in frames.frames]
    for number, person in enumerate(decision.people):
        for view in records["people"].tracks[person.track]:
            maps[view.frame][read_mask(blobs, view.mask)] = number
    return maps


def _named(text: str, span: Any, occurrence: int | None) -> dict[str, Any]:
    return {"text": text, "span": [span.start, span.end], "occurrence": occurrence}


def _views(name: str, views: Sequence[View]) -> list[dict[str, Any]]:
    return [
        {"file": f"{name}.{k}.png", "frame": view.frame, "box": list(view.box), "score": view.score}
        for k, view in enumerate(views)
    ]


def _thing(name: str, phrase: DecidedPhrase, reading: Reading) -> dict[str, Any]:
    span = reading.phrases[phrase.phrase].span
    evidence = asdict(phrase.relation.evidence) if phrase.relation is not None else None
    views = _views(name, phrase.views)
    if phrase.kind != "background":
        views = [{**view, "mask": view["file"].replace(".png", ".mask.png")} for view in views]
    return {**_named(phrase.text, span, phrase.occurrence), "views": views, "evidence": evidence}
