"""A vision-language model in the process: a tiny Qwen2.5-VL, made here, whose likes among letters make its answers known."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from lumosx_core.data.collect_config import CollectConfig, ModelSettings, ReadingSettings
from lumosx_core.data.relations import local_model
from lumosx_core.data.relations.language_model import AnswerError, Message
from lumosx_core.data.relations.local_model import LocalModel
from lumosx_core.data.relations.model_answers import answer_schema
from lumosx_core.data.relations.model_reader import ModelReader
from lumosx_core.data.stages.reading import check_reader, reader_digest
from lumosx_core.errors import InputError
from lumosx_core.files.images import encoded_jpeg

pytest.importorskip("xgrammar")
PICTURES, ENDS = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>"), ("<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn['role'] }}\n{% for part in turn['content'] %}"
    "{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# What it would rather write than anything behind it: the end of a text, an m, people, then the end of the list.
LIKED = '"m{],1'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model and processor, as saved by transformers."""
    return save_tiny_model(tmp_path_factory.mktemp("qwen") / "tiny-vl", LIKED)


def save_tiny_model(folder: Path, liked: str) -> Path:
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    bytes_ = Tokenizer(models.BPE({letter: n for n, letter in enumerate(sorted(ByteLevel.alphabet()))}, []))
    bytes_.pre_tokenizer, bytes_.decoder = ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    bytes_.add_special_tokens([AddedToken(name, special=True) for name in (*PICTURES, *ENDS)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_,
        eos_token=ENDS[1],
        pad_token=ENDS[1],
        extra_special_tokens={"image_token": PICTURES[1], "video_token": PICTURES[3]},
    )
    number = tokenizer.convert_tokens_to_ids
    patches = {"patch_size": 4, "merge_size": 2, "temporal_patch_size": 2}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**patches, size={"shortest_edge": 8 * 8, "longest_edge": 32 * 32}),
        video_processor=Qwen2VLVideoProcessor(**patches),
        tokenizer=tokenizer,
        chat_template=TEMPLATE,
    )
    sizes = {"hidden_size": 16, "intermediate_size": 32}
    config = Qwen2_5_VLConfig(
        text_config={
            **sizes,
            "vocab_size": len(tokenizer),
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "num_key_value_heads": 1,
            "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
            "eos_token_id": number(ENDS[1]),
            "pad_token_id": number(ENDS[1]),
        },
        vision_config={
            **sizes,
            "depth": 1,
            "num_heads": 1,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 16,
            "out_hidden_size": 16,
            "fullatt_block_indexes": [0],
        },
        image_token_id=number(PICTURES[1]),
        video_token_id=number(PICTURES[3]),
        vision_start_token_id=number(PICTURES[0]),
        vision_end_token_id=number(PICTURES[2]),
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    biases = {(number(letter),): 1000.0 - 100 * place for place, letter in enumerate(liked)}
    model.generation_config.sequence_bias = [[list(token), bias] for token, bias in biases.items()]
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = number(ENDS[1])
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def picture() -> bytes:
    return encoded_jpeg(Image.new("RGB", (24, 16), (200, 30, 30)), 90)


def test_a_known_answer_becomes_a_reading(folder: Path) -> None:
    """What it likes is {"people": [{"mention": "m", "count": 1, "box": 1, "attributes": ["m"]}], ...}: an m for everything."""
    reader = ModelReader(LocalModel(folder))
    found = reader.read("m holds m beside m near m", [picture(), picture()], boxes=2)
    caption = found.reading.caption
    assert [mention.span.of(caption) for mention in found.reading.mentions] == ["m"] and found.boxes == (1,)
    assert [(p.kind, p.owner, p.span.start) for p in found.reading.phrases] == [
        ("attribute", 0, 8),
        ("object", None, 17),
        ("background", None, 24),
    ]
    assert found.reading.reader == "tiny-vl" and found.reading.notes == ()


def test_the_form_is_the_schema_s_and_the_second_answer_another_one(folder: Path) -> None:
    model = LocalModel(folder)
    asked = [Message(role="user", text="who?", pictures=(picture(),))]
    first = model.ask(asked, answer_schema(1), 0)
    assert json.loads(first)["people"][0] == {"mention": "m", "count": 1, "box": 1, "attributes": ["m"]}
    assert first == model.ask(asked, answer_schema(1), 0) and "\n" not in first
    state = torch.random.get_rng_state()
    coin = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"], "additionalProperties": False}
    told: list[set[str]] = [set(), set()]
    for model.seed in range(8):
        for attempt in (0, 1):
            answers = {model.ask([Message(role="user", text="?")], coin, attempt) for _ in range(2)}
            assert len(answers) == 1  # the same seed says the same
            told[attempt] |= answers
    assert len(told[0]) == 1 and told[1] == {'{"a": "x"}', '{"a": "y"}'}
    assert torch.equal(state, torch.random.get_rng_state())  # nothing else here draws other numbers because of it


def test_an_answer_that_does_not_end_is_a_fault_and_the_rules_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "MOST_TOKENS", 20)
    model = LocalModel(folder)
    with pytest.raises(AnswerError, match="too long and was cut off"):
        model.ask([Message(role="user", text="who?")], answer_schema(0), 0)
    found = ModelReader(model).read("A man in a red hat waves.")
    assert found.reading.notes[:3] == (
        *2 * ("the model's answer was no use: the answer is too long and was cut off",),
        "read by rules",
    )
    assert found.reading.attributes_of(0) == ("red hat",)


def test_folders_that_hold_no_such_model_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="there is no language model in '.*nowhere'; name its folder by models.reader: get one"
    ):
        LocalModel(tmp_path / "nowhere")
    with pytest.raises(InputError, match="there is no language model in '.'"):
        check_reader(CollectConfig(reading=ReadingSettings(reader="model")))
    (tmp_path / "config.json").write_text('{"model_type": "umt5"}')
    with pytest.raises(InputError, match="holds a umt5, which does not answer about pictures"):
        LocalModel(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(InputError, match="cannot load the language model"):
        LocalModel(tmp_path).start()


def test_another_model_in_the_folder_is_read_with_anew(folder: Path, tmp_path: Path) -> None:
    def config(reader: str, name: Path) -> CollectConfig:
        return CollectConfig(reading=ReadingSettings(reader=reader), models=ModelSettings(reader=str(name)))

    assert reader_digest(config("rules", folder)) == reader_digest(config("server", folder)) == ""
    (tmp_path / "config.json").write_text("{}")
    assert len({reader_digest(config("model", name)) for name in (folder, tmp_path)}) == 2
