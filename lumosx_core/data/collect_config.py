"""Every number that the collection of data depends on, with its meaning, unit and source; and the two presets.

"photo" has the numbers of published pipelines (method.md section 12; where none is published the number is ours, which is
said). "puppets" is for the drawn world of the embedded model and needs no model of others.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from lumosx_core.data.settings import check_section, setting


class _Section:
    def __post_init__(self) -> None:
        check_section(self)


@dataclass(frozen=True, kw_only=True)
class ShotSettings(_Section):
    """From a video to clips."""

    fps: float = setting(16.0, "frames per second of the clips; Wan2.1's rate", least=1, most=120)
    most_frames: int = setting(81, "longest clip, frames, 4n + 1; Wan2.1's length", least=1, most=1025)
    least_s: float = setting(2.0, "shorter shots are left out, seconds; published pipelines", least=0, most=3600)
    detector: str = setting(
        "colours",
        "what finds cuts: colours of the frames, scenedetect (PySceneDetect), or transnetv2 (fades and dissolves too)",
        choices=("colours", "scenedetect", "transnetv2"),
    )
    cut: float = setting(0.35, "of colours: share of the histogram that changes at a cut, 0 to 1; ours", least=0.01, most=1)
    hdr: Literal["tone_map", "drop"] = setting("tone_map", "HDR videos: tone_map to SDR, or drop", choices=("tone_map", "drop"))
    least_side: int = setting(480, "shorter sides are left out, pixels; published pipelines", least=16, most=8192)
    short_side: int = setting(720, "larger clips are made so small, pixels of the short side; ours", least=16, most=8192)


@dataclass(frozen=True, kw_only=True)
class FrameSettings(_Section):
    """Which frames are looked at: at 5, 50 and 95 percent of the shot (the published three)."""

    blurred: float = setting(0.5, "a frame below this share of its neighbours' sharpness gives way; ours", least=0, most=1)
    around: float = setting(0.05, "neighbours: so far on both sides, share of the shot; ours", least=0, most=0.05)


@dataclass(frozen=True, kw_only=True)
class PeopleSettings(_Section):
    """People, faces, and who is who over the frames."""

    likeness: float = setting(
        0.6, "weight of the faces against the boxes when people are followed, 0 to 1; ours", least=0, most=1
    )


@dataclass(frozen=True, kw_only=True)
class CaptionSettings(_Section):
    """The words for the clip."""

    origin: str = setting("given", "given beside the video, or written where none is", choices=("given", "written"))
    longest: int = setting(20_000, "characters that are read; what the model's text can be", least=1, most=20_000)


@dataclass(frozen=True, kw_only=True)
class ReadingSettings(_Section):
    """Who has what, from the words."""

    reader: str = setting(
        "rules",
        "rules; or a language model that sees the frames too: server, or model (models.reader) in this process",
        choices=("rules", "server", "model"),
    )
    server: str = setting("http://localhost:8000/v1", "address of the OpenAI-compatible server, with /v1")
    served: str = setting("", "the model's name on that server")
    timeout_s: float = setting(120.0, "for a whole answer, seconds; ours", least=1, most=3600)
    patience_s: float = setting(
        600.0, "so long a server may be away before the run stops, seconds; ours", least=0.1, most=86400
    )


@dataclass(frozen=True, kw_only=True)
class GroundingSettings(_Section):
    """Where the things are."""

    margin: float = setting(0.05, "around a person's box when a thing is looked for, share of its side; ours", least=0, most=1)


@dataclass(frozen=True, kw_only=True)
class RelationSettings(_Section):
    """How phrases, mentions and people are matched."""

    told: float = setting(0.5, "weight of the box that a seeing reader names, against one found thing; ours", least=0, most=10)
    side: float = setting(1.0, "weight of words such as left against one found thing; ours", least=0, most=10)


@dataclass(frozen=True, kw_only=True)
class BackgroundSettings(_Section):
    """The scene without people."""

    grow: float = setting(0.025, "people are cut out with this margin, share of the short side; ours", least=0, most=0.2)
    still: float = setting(4.0, "mean difference below which the camera stands still, 0 to 255; ours", least=0, most=255)
    looked_at: int = setting(
        9,
        "frames between the selected ones whose free places are used where a still camera leaves open ones; ours",
        least=0,
        most=81,
    )


@dataclass(frozen=True, kw_only=True)
class VideoSettings(_Section):
    """The clip that is stored."""

    crf: int = setting(16, "x264 quality, 0 lossless to 51; ours", least=0, most=51)


@dataclass(frozen=True, kw_only=True)
class KeepSettings(_Section):
    """What enters the dataset. These are applied last, to stored numbers: changing them runs no model."""

    most_people: int = setting(3, "more people make a crowd; method.md section 9", least=1, most=12)
    most_attributes: int = setting(3, "attributes of a person that are kept, the surest; method.md section 9", least=0, most=12)
    least_person: float = setting(0.04, "height of a person's box, share of the frame; published pipelines", least=0, most=1)
    most_person: float = setting(
        0.98, "area of a person's box, share of the frame; published pipelines say 0.9", least=0, most=1
    )
    least_box: int = setting(128, "height of a person's box, pixels; published pipelines", least=1, most=4096)
    least_face: int = setting(64, "side of a face, pixels; published pipelines", least=1, most=4096)
    face_score: float = setting(0.65, "how sure a face must be, 0 to 1; published pipelines", least=0, most=1)
    least_thing: float = setting(0.0005, "area of a thing's mask, share of the frame; ours", least=0, most=1)
    found: float = setting(0.25, "how sure a thing must be on its owner, 0 to 1; published pipelines", least=0, most=1)
    ahead: float = setting(0.1, "how much surer on the owner than on anybody else, 0 to 1; ours", least=0, most=1)
    inside: float = setting(0.7, "share of a thing's mask that lies on its owner, 0 to 1; ours", least=0, most=1)
    colour: float = setting(10.0, "the colour word may fit another's thing so much better, CIELAB; ours", least=-200, most=200)
    margin: float = setting(0.1, "how much worse the next best match of names and people must be; ours", least=0, most=1)
    likeness: float = setting(0.35, "people followed less surely are doubtful, 0 to 1; ours", least=0, most=1)
    sharpness: float = setting(30.0, "blurred frames give no pictures, variance of the Laplacian; ours", least=0, most=1e6)
    invented: float = setting(
        0.35, "share of a background that may be inpainted without a model, which smears, 0 to 1; ours", least=0, most=1
    )
    painted: float = setting(0.7, "share of a background that models.filler may invent, 0 to 1; ours", least=0, most=1)
    alike: int = setting(6, "frames that differ in fewer of 64 bits look the same; ours", least=0, most=64)
    text_len: int = setting(512, "tokens of a caption, with its end; of the model that it is meant for", least=8, most=8192)


@dataclass(frozen=True, kw_only=True)
class PairSettings(_Section):
    """The same person in other shots of a video, for further views of the face. Applied to stored numbers, as [keep] is."""

    views: int = setting(3, "further views of a person that are taken, 0 for none; ours", least=0, most=100)
    least: float = setting(0.5, "embeddings of one person have at least this product, -1 to 1; ours", least=-1, most=1)
    alone: float = setting(
        0.7, "the same where both shots show one person, so that nobody else can be compared, -1 to 1; ours", least=-1, most=1
    )
    most: float = setting(
        0.97, "faces with a larger product than this are the same picture again, -1 to 1; ours", least=-1, most=1
    )
    nearer: float = setting(
        0.7, "distance (1 - product) of a match, as a share of the next best match's, at most; ours", least=0, most=1
    )


@dataclass(frozen=True, kw_only=True)
class PictureSettings(_Section):
    """The pictures of faces, people and things."""

    face_margin: float = setting(0.3, "around a face, share of its longer side; as nano was trained", least=0, most=2)
    edge: float = setting(1.5, "width of a cut-out's soft edge, pixels; ours", least=0, most=16)


@dataclass(frozen=True, kw_only=True)
class ModelSettings(_Section):
    """Who looks."""

    eyes: str = setting(
        "models/eyes", "folder of models, puppets for the drawn world, or package.module:function of another package"
    )
    device: str = setting("cpu", "cpu or cuda, for the models")
    reader: str = setting("", "folder of a vision-language model, of reading.reader = model, such as Qwen2.5-VL-7B-Instruct")
    filler: str = setting("", "LaMa file (.onnx) that invents the places of backgrounds; empty: OpenCV's inpainting")
    tokenizer: str = setting("", "spiece.model or folder of the model's tokenizer; empty: the embedded one")


@dataclass(frozen=True, kw_only=True)
class PrivacySettings(_Section):
    """What the dataset shows of people beside their references. Applied last: changing it runs no model."""

    frames: str = setting(
        "kept", "kept; or none: no clip and no whole frame, in samples and pages, cut-outs only", choices=("kept", "none")
    )


@dataclass(frozen=True, kw_only=True)
class PackSettings(_Section):
    """The files of the dataset."""

    shard_mb: int = setting(1000, "size of a shard, MB; ours", least=1, most=100_000)


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """All sections. Raises InputError on construction through theirs."""

    models: ModelSettings = field(default_factory=ModelSettings)
    shots: ShotSettings = field(default_factory=ShotSettings)
    frames: FrameSettings = field(default_factory=FrameSettings)
    people: PeopleSettings = field(default_factory=PeopleSettings)
    caption: CaptionSettings = field(default_factory=CaptionSettings)
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    grounding: GroundingSettings = field(default_factory=GroundingSettings)
    relations: RelationSettings = field(default_factory=RelationSettings)
    background: BackgroundSettings = field(default_factory=BackgroundSettings)
    video: VideoSettings = field(default_factory=VideoSettings)
    pictures: PictureSettings = field(default_factory=PictureSettings)
    keep: KeepSettings = field(default_factory=KeepSettings)
    pairs: PairSettings = field(default_factory=PairSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    pack: PackSettings = field(default_factory=PackSettings)


PHOTO = CollectConfig()
PUPPETS = replace(
    PHOTO,
    models=ModelSettings(eyes="puppets"),
    shots=ShotSettings(fps=8.0, most_frames=17, least_s=1.0, least_side=64),
    caption=CaptionSettings(origin="written"),
    keep=KeepSettings(
        least_box=24, least_face=12, least_thing=0.0003, sharpness=0.0, text_len=160, found=0.06, ahead=0.05, margin=0.2
    ),
    pairs=PairSettings(least=0.995, alone=0.995, most=0.9999, nearer=0.5),  # the analyser's embeddings are narrow
)
COLLECT_PRESETS = {"photo": PHOTO, "puppets": PUPPETS}
