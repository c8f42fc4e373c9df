"""The stages of a clip, in order."""

from lumosx_core.data.records import (
    BackgroundRecord,
    CaptionRecord,
    FramesRecord,
    GroundingRecord,
    PeopleRecord,
    RelationsRecord,
    VideoRecord,
)
from lumosx_core.data.relations.reading import Reading
from lumosx_core.data.stage import Stage
from lumosx_core.data.stages.background import fill_background
from lumosx_core.data.stages.caption import write_caption
from lumosx_core.data.stages.frames import select_frames
from lumosx_core.data.stages.grounding import ground_phrases
from lumosx_core.data.stages.people import follow_people
from lumosx_core.data.stages.reading import read_caption, reader_digest
from lumosx_core.data.stages.relations import match_relations
from lumosx_core.data.stages.video import write_clip

CLIP_STAGES = (
    Stage(name="frames", version=1, section="frames", needs=(), record=FramesRecord, run=select_frames),
    Stage(name="people", version=2, section="people", needs=("frames",), record=PeopleRecord, run=follow_people, looks=True),
    Stage(
        name="caption",
        version=1,
        section="caption",
        needs=("frames",),
        record=CaptionRecord,
        run=write_caption,
        looks=True,
        given=True,
    ),
    Stage(
        name="reading",
        version=3,
        section="reading",
        needs=("caption", "people", "frames"),
        record=Reading,
        run=read_caption,
        own_models=reader_digest,
    ),
    Stage(
        name="grounding",
        version=1,
        section="grounding",
        needs=("frames", "people", "reading"),
        record=GroundingRecord,
        run=ground_phrases,
        looks=True,
    ),
    Stage(
        name="relations",
        version=2,
        section="relations",
        needs=("people", "reading", "grounding"),
        record=RelationsRecord,
        run=match_relations,
    ),
    Stage(
        name="background",
        version=2,
        section="background",
        needs=("frames", "people", "grounding", "reading"),
        record=BackgroundRecord,
        run=fill_background,
        looks=True,
    ),
    Stage(name="video", version=1, section="video", needs=("frames",), record=VideoRecord, run=write_clip),
)
