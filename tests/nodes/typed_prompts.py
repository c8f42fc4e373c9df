"""Sixty prompts for three casts of people, as users type them: the live words in the page must say what a run says."""

from typing import Any

from PIL import Image

from lumosx_core.references import Attribute, ReferenceSet, SceneReference, Subject

PICTURE = Image.new("RGB", (8, 8), "red")
# Casts as the page asks for them (`Question` in nodes/words_while_typing.py, without prompt).
CASTS: dict[str, dict[str, Any]] = {
    "two_men": {
        "subjects": [
            {"words": "man", "tag": "", "occurrence": 0, "face": True, "attributes": [{"words": "hat"}]},
            {"words": "man", "tag": "ben", "occurrence": 0, "face": True, "attributes": [{"words": "hat"}, {"words": "bag"}]},
        ],
        "objects": [{"words": "red lamp"}],
        "background": {"words": "caf\u00e9"},
    },
    "man_and_woman": {
        "subjects": [
            {"words": "man in a hat", "tag": "tom", "occurrence": 0, "face": True, "attributes": [{"words": "hat"}]},
            {"words": "woman's friend", "tag": "", "occurrence": 2, "face": False, "attributes": [{"words": "coat"}]},
        ],
        "objects": [],
        "background": None,
    },
    "chinese": {
        "subjects": [
            {
                "words": "\u7537\u4eba",
                "tag": "\u5927\u536b",
                "occurrence": 0,
                "face": True,
                "attributes": [{"words": "red hat"}],
            },
            {"words": "\u5973\u4eba", "tag": "", "occurrence": 0, "face": True, "attributes": [{"words": "\u5e3d\u5b50"}]},
        ],
        "objects": [],
        "background": None,
    },
}
LONG = "walks along the shore and talks about the weather of the week " * 6
PROMPTS: dict[str, list[str]] = {
    "two_men": [
        "a man in a hat and a man in a hat with a bag by a red lamp in a caf\u00e9",
        "a man in a hat, a man in a hat with a bag and a third man by a red lamp in a caf\u00e9",
        "a man in a hat and a woman in a hat with a bag by a red lamp in a caf\u00e9",
        "a man in a hat and a man in a hat with a bag by a red lamp in a cafe\u0301",
        "A MAN in a hat and a Man in a hat with a bag by a red lamp in a caf\u00e9",
        "@1 in a hat and @ben in a hat with @ben.bag by a @red_lamp in a caf\u00e9",
        "@1 in a hat and @2 in a @2.hat with a bag by a red lamp in a caf\u00e9",
        "@3 in a hat and a man in a hat with a bag by a red lamp in a caf\u00e9",
        "@ben.shoe and a man in a hat and a hat with a bag by a red lamp in a caf\u00e9",
        "(man:1.2) in a hat and a man in a hat with a bag by a red lamp in a caf\u00e9",
        "a man \\(left\\) in a hat and a man in a hat with a bag by a red lamp in a caf\u00e9",
        "a man in a hat and a man in a hat eats a baguette by a red lamp in a caf\u00e9",
        "two men in hats with a bag by a red lamp in a caf\u00e9",
        "a mannequin in a hat and a man in a hat with a bag by a red lamp in a caf\u00e9",
        "a man in a hat and a man in a hat with a bag by a red\u00a0lamp in a caf\u00e9",
        "a man in a hat and a man in a hat with a bag by a red lamp",
        "embedding:bad a man in a hat and a man in a hat with a bag by a red lamp in a caf\u00e9",
        f"a man in a hat {LONG} and a man in a hat with a bag by a red lamp in a caf\u00e9",
        f"a man in a hat and a man in a hat with a bag by a red lamp in a caf\u00e9 {LONG} and one more hat",
        "a man in a hat and a man in a hat with a bag &amp; a red lamp in a caf&eacute;",
    ],
    "man_and_woman": [
        "a man in a hat with a woman's friend and another woman's friend in a coat",
        "a man in a hat with a woman\u2019s friend and another woman\u2019s friend in a coat",
        "a man in a hat with a woman's friend in a coat",
        "a man in a hat and a hat with a woman's friend and a woman's friend in a coat",
        "@tom and a hat with a coat",
        "@Tom with his @tom.hat and a coat",
        "@tom with @tom and a coat",
        "@tomato and a man in a hat in a coat",
        "mail tom@tom.com: a man in a hat in a coat",
        "@@tom: a man in a hat in a coat",
        "a man in a  hat\nin a coat",
        "a man in a hat in coattails",
        "a man in a hat in a co\u00adat",
        "a man in a hat in a co\u200bat",
        "a man in a top hat in a coat",
        "a man\u2011in a hat in a coat",
        "a man in a hat in a coat \U0001f469\u200d\U0001f680 waves",
        "a man in a hat in a (coat)",
        "a man in a hat in a coat:2",
        "hat",
    ],
    "chinese": [
        "\u7537\u4eba\u6234\u7740red hat\uff0c\u5973\u4eba\u6234\u7740\u5e3d\u5b50",
        "\u4e00\u4e2a\u7537\u4eba\u548c\u4e00\u4e2a\u5973\u4eba\u5728\u8df3\u821e",
        "\u7537\u4eba\u548c\u7537\u4eba\uff0cred hat\uff0c\u5973\u4eba\u7684\u5e3d\u5b50",
        "@\u5927\u536b\u6234\u7740red hat\uff0c\u5973\u4eba\u6234\u7740\u5e3d\u5b50",
        "@1\u6234\u7740red hat\uff0c@2\u6234\u7740\u5e3d\u5b50",
        "@2.\u5e3d\u5b50\u5728@1\u548c@2\u4e2d\u95f4\uff0cred hat",
        "\u7537\u4eba red hats \u5973\u4eba \u5e3d\u5b50",
        "\u7537\u4eba Red Hat \u5973\u4eba \u5e3d\u5b50",
        "\u7537\u4eba redhat \u5973\u4eba \u5e3d\u5b50",
        "\u7537\u4eba\uff32\uff45\uff44 hat \u5973\u4eba \u5e3d\u5b50",
        "\u7537\u4eba \u5973\u4eba",
        "\u7537 \u4eba red hat \u5973\u4eba \u5e3d\u5b50",
        "\u7537\u4ebared hat\u5973\u4eba\u5e3d\u5b50",
        "@3 red hat \u7537\u4eba \u5973\u4eba \u5e3d\u5b50",
        "\uff08\u7537\u4eba\uff09red hat\uff08\u5973\u4eba\uff09\u5e3d\u5b50",
        "(\u7537\u4eba) red hat \u5973\u4eba \u5e3d\u5b50",
        "\u7537\u4eba\u3001\u5973\u4eba\u3001\u5e3d\u5b50\u3001red hat\u3002\u5973\u4eba\u7b11\u4e86\u3002",
        "\U0001f600\u7537\u4eba\U0001f600red hat \u5973\u4eba\U0001f600\u5e3d\u5b50",
        "\u7537\u4eba" * 60 + " red hat \u5973\u4eba \u5e3d\u5b50",
        "the hat",
    ],
}


def references_of(cast: dict[str, Any]) -> ReferenceSet:
    """The references that a run makes of a cast."""

    def more(said: dict) -> dict[str, Any]:
        return {"tag": said.get("tag") or None, "occurrence": said.get("occurrence") or None}

    return ReferenceSet(
        subjects=tuple(
            Subject(
                name=person["words"],
                face=PICTURE if person["face"] else None,
                attributes=tuple(Attribute(phrase=each["words"], image=PICTURE, **more(each)) for each in person["attributes"]),
                **more(person),
            )
            for person in cast["subjects"]
        ),
        objects=tuple(SceneReference(phrase=each["words"], image=PICTURE, **more(each)) for each in cast["objects"]),
        background=cast["background"] and SceneReference(phrase=cast["background"]["words"], image=PICTURE),
    )


def run_verdict(conditioning: Any, clip: Any, cast: dict[str, Any], prompt: str) -> tuple[str, list[str], list[str], list[str]]:
    """What LumosX Relation Graph does in a run: its refusal or "", the owned words of the bound prompt in order, the phrases
    that are not there, and the messages of its other errors (taken with `on_problem` "warn")."""
    references = references_of(cast)
    subjects = {f"subject_{number}": each for number, each in enumerate(references.subjects, start=1)}
    objects = {f"object_{number}": each for number, each in enumerate(references.objects, start=1)}

    def run(on_problem: str) -> Any:
        return conditioning.RelationGraphNode.execute(clip, prompt, subjects, objects, references.background, on_problem)

    try:
        bound = run("warn").args[0].bound
    except ValueError as error:
        return str(error), [], [], []
    errors = [each for each in bound.problems if each.is_error]
    try:
        run("error")
        assert not errors
    except ValueError:
        assert errors
    places: list[tuple[int, int]] = []
    for place in sorted({place for spans in bound.char_spans for place in spans}):
        if not places or place[0] >= places[-1][1]:  # an owner's own phrases may share words
            places.append(place)
    missing = [each.phrase for each in errors if each.kind == "not_found"]
    others = [each.message for each in errors if each.kind != "not_found"]
    return "", [bound.prompt[slice(*place)] for place in places], missing, others
