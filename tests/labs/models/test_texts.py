from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labs.models.texts import load_text
from labs.spec import LabError

if TYPE_CHECKING:
    from labs.models.loading import LoadedModel


@pytest.mark.model
@pytest.mark.parametrize(("name", "fewest"), [("evaluation.en", 8 * 512), ("calibration.en", 1000)])
def test_english_texts_are_long_enough_and_survive_the_tokenizer(
    smollm: LoadedModel, name: str, fewest: int
) -> None:
    text = load_text(name)
    ids = smollm.tokenizer.encode(text)
    assert len(ids) >= fewest
    assert smollm.tokenizer.decode(ids) == text


def test_no_paragraph_is_repeated_within_or_between_texts() -> None:
    names = ("evaluation.en", "calibration.en", "evaluation.zh")
    paragraphs = [paragraph for name in names for paragraph in load_text(name).split("\n\n")]
    assert len(paragraphs) > 60
    assert len(set(paragraphs)) == len(paragraphs)


def test_chinese_text_is_chinese() -> None:
    text = load_text("evaluation.zh")
    assert sum("\u4e00" <= character <= "\u9fff" for character in text) > 1200


@pytest.mark.parametrize("name", ["evaluation", "../texts/README", ""])
def test_unknown_text_lists_those_there_are(name: str) -> None:
    with pytest.raises(LabError, match=r"calibration\.en, evaluation\.en, evaluation\.zh"):
        load_text(name)
