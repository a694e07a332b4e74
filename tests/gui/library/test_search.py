"""Search and filter: Chinese words of any length, English as one types, ranges in the original, any input."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gui.library import compounds, matching
from gui.library.outline_files import load_outline
from gui.library.search import Hit, IndexedNote, SearchIndex, content_fingerprint, filter_outline

CONTENT = Path(__file__).resolve().parents[3] / "content"
OUTLINE = load_outline(CONTENT)
NOTES = [
    IndexedNote(
        "1.2.1-07",
        "zh",
        "unused",
        "逐层量化最省元数据。"
        + "铺垫。" * 60
        + "分组量化每 128 个权重共用一个缩放因子（scale），误差最小。"
        + "收尾。" * 60,
    ),
    IndexedNote(
        "1.2.1-07", "en", "unused", "Group quantisation shares one scale among 128 weights. Café O(n²) İx."
    ),
    IndexedNote("2.1.1-01", "zh", "unused", "分块之后，注意力矩阵不再写回显存；GEMM 的收益另算。"),
    IndexedNote("glossary", "en", "Glossary", "Occupancy: resident warps over the maximum."),
]
SHARED = SearchIndex.build(OUTLINE, NOTES)


@pytest.fixture
def index() -> SearchIndex:
    return SHARED


def ids(hits: list[Hit]) -> list[str]:
    return [hit.id for hit in hits]


def marked(text: str, ranges: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in ranges]


@pytest.mark.parametrize(
    ("query", "language", "node_id"),
    [
        ("量化", "zh", "1.2"),
        ("粒", "zh", "1.2.1/3"),
        ("析", "zh", "2.4.3"),  # the last character of its title
        ("伙伴", "zh", "3.1.3/2"),
        ("分组量化", "zh", "1.2.1-07"),
        ("分组量化 缩放因子", "zh", "1.2.1-07"),
        ("quantisation granu", "en", "1.2.1/3"),
        ("QUANTIZATION GRANU", "en", "1.2.1/3"),
        ("quantiz", "zh", "1.2.1/3"),
        ("LLM.int8()", "en", "1.2.2-09"),
        ("__syncthreads", "zh", "2.4.1-07"),
        ("ＫＶ　ｃａｃｈｅ", "zh", "3.1.1"),
        ("KV缓存 Copy-on-Write", "zh", ""),
        ("cafe", "en", "1.2.1-07"),
        ("O(n2)", "en", "1.2.1-07"),
        ("ix", "en", "1.2.1-07"),
        ("resident warps", "zh", "glossary"),
        ("元数据 weights", "zh", "1.2.1-07"),  # one word in each language
        ("组量化每", "zh", "1.2.1-07"),
        ("化组", "zh", ""),
        ("uantisation", "en", ""),  # English from the beginning of a word only
        ("量化 nosuchword", "zh", ""),
    ],
)
def test_what_is_found(index: SearchIndex, query: str, language: str, node_id: str) -> None:
    found = ids(index.search(query, language, limit=1000))
    assert node_id in found if node_id else found == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_question_is_found_by_its_own_title(index: SearchIndex, language: str) -> None:
    for question in OUTLINE.questions[::7]:
        assert question.id in ids(index.search(question.title(language), language))


def test_each_prefix_of_a_word_finds_what_the_word_finds(index: SearchIndex) -> None:
    for word in ("FlashAttention", "quantisation", "synchronise", "analyse", "量化粒度"):
        whole = set(ids(index.search(word, "en", limit=1000)))
        assert whole
        for length in range(1, len(word)):
            assert whole <= set(ids(index.search(word[:length], "en", limit=1000))), word[:length]


def test_titles_rank_above_bodies_and_the_language_shown_above_the_other(index: SearchIndex) -> None:
    hits = index.search("注意力", "zh")
    assert hits.index(next(hit for hit in hits if hit.id == "2.1.1-01")) > 5
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores)
    assert ids(index.search("GEMM", "zh"))[0].startswith("2.3.1")


def test_the_title_is_highlighted_in_the_language_shown(index: SearchIndex) -> None:
    [hit] = [hit for hit in index.search("分组量化", "zh") if hit.id == "1.2.1-07"]
    assert marked(hit.title, hit.title_ranges) == ["分组量化"]
    [hit] = [hit for hit in index.search("group quanti", "en") if hit.id == "1.2.1-07"]
    assert marked(hit.title, hit.title_ranges) == ["group", "quanti"]


def test_the_snippet_is_cut_from_the_original_where_the_words_are_densest(index: SearchIndex) -> None:
    [hit] = index.search("量化 缩放因子 SCALE", "zh")
    assert hit.id == "1.2.1-07"
    assert hit.snippet.startswith("…") and hit.snippet.endswith("…")
    assert "分组量化每 128 个权重共用一个缩放因子（scale），误差最小。" in hit.snippet
    assert marked(hit.snippet, hit.snippet_ranges) == ["量化", "缩放因子", "scale"]
    assert len(hit.snippet) < 120


def test_the_snippet_says_why_when_the_match_is_in_the_other_language(index: SearchIndex) -> None:
    [hit] = index.search("resident", "zh")
    assert marked(hit.snippet, hit.snippet_ranges) == ["resident"]
    [hit] = [hit for hit in index.search("Buddy System", "en") if hit.id == "3.1.3-04"]
    assert hit.title == OUTLINE.nodes["3.1.3-04"].title_en
    [hit] = [hit for hit in index.search("伙伴", "en") if hit.id == "3.1.3-04"]
    assert hit.title_ranges == []
    assert marked(hit.snippet, hit.snippet_ranges) == ["伙伴"]


def test_a_page_found_by_its_title_shows_how_its_note_begins(index: SearchIndex) -> None:
    [hit] = [hit for hit in index.search("FlashAttention 标准", "zh") if hit.id == "2.1.1-01"]
    assert hit.snippet == NOTES[2].body_plain
    assert hit.snippet_ranges == []


QUERIES = st.text() | st.text(
    alphabet="\"'*()[]{}^+-:,.;AND OR NOT NEAR量化 title_zh words\\\x00 ａ　é²\U0001f600\u200d\U00020000ـ",
    max_size=60,
)


@settings(deadline=None, max_examples=400)
@given(query=QUERIES, language=st.sampled_from(["zh", "en"]))
def test_no_query_raises_and_every_range_is_inside_its_text(query: str, language: str) -> None:
    for hit in SHARED.search(query, language):
        for text, ranges in ((hit.title, hit.title_ranges), (hit.snippet, hit.snippet_ranges)):
            flat = [0, *(bound for span in ranges for bound in span), len(text)]
            assert flat == sorted(flat)
            assert all(start < end for start, end in ranges)


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        '"',
        "*",
        "AND",
        "量化 OR",
        "NEAR(",
        "title_zh:量化",
        "\ud800",
        "🙂🙂",
        "a" * 100_000,
        "量" * 100_000,
    ],
)
def test_awkward_queries(index: SearchIndex, query: str) -> None:
    assert isinstance(index.search(query, "zh"), list)
    assert isinstance(filter_outline(OUTLINE, query, "zh"), set)


@given(text=st.text() | st.text(alphabet="İIıisyßΣςé²ﬁｉｓ量"))
def test_folding_keeps_every_offset(text: str) -> None:
    assert len(matching.fold(text)) == len(text)
    assert matching.fold(matching.fold(text)) == matching.fold(text)


@given(word=st.text(alphabet="isyzabISYZé", min_size=1), cut=st.integers(0, 30))
def test_a_folded_prefix_is_a_prefix_of_the_folded_word(word: str, cut: int) -> None:
    assert matching.fold(word).startswith(matching.fold(word[:cut]))


@given(
    body=st.text(alphabet="量化 ab。,", max_size=400),
    length=st.integers(20, 80),
    words=st.sampled_from(["量 a", "化", "b ab"]),
)
def test_snippet_ranges_hold_the_words(body: str, length: int, words: str) -> None:
    wanted = matching.terms(words)
    folded = matching.fold(body)
    found = matching.ranges(folded, wanted)
    text, ranges = matching.snippet(body, folded, found, length)
    assert all(text[start:end] in wanted for start, end in ranges)
    assert bool(ranges) == bool(found)
    assert len(text) <= length + 22
    assert text.strip("…") in body


def test_a_cache_file_is_reused_until_the_content_changes(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "search.db"
    assert SearchIndex.open(path, "one") is None
    SearchIndex.build(OUTLINE, NOTES, path, "one").close()
    assert SearchIndex.open(path, "two") is None
    cached = SearchIndex.open(path, "one")
    assert cached is not None
    assert cached.search("分组量化", "zh") == SHARED.search("分组量化", "zh")
    cached.close()
    SearchIndex.build(OUTLINE, [], path, "two").close()
    assert SearchIndex.open(path, "one") is None
    assert [file.name for file in path.parent.iterdir()] == ["search.db"]


@pytest.mark.parametrize("damage", [b"", b"not a database", None])
def test_a_damaged_cache_counts_as_none(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "search.db"
    SearchIndex.build(OUTLINE, NOTES, path, "one").close()
    path.write_bytes(path.read_bytes()[:-8192] if damage is None else damage)
    assert SearchIndex.open(path, "one") is None


def test_a_build_that_fails_leaves_no_file_and_the_old_cache(tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    SearchIndex.build(OUTLINE, NOTES, path, "one").close()
    with pytest.raises((sqlite3.Error, UnicodeEncodeError)):
        SearchIndex.build(OUTLINE, [IndexedNote("x", "zh", "x", "\ud800")], path, "two")
    assert [file.name for file in tmp_path.iterdir()] == ["search.db"]
    cached = SearchIndex.open(path, "one")
    assert cached is not None
    cached.close()


def test_threads_may_share_an_index() -> None:
    expected = SHARED.search("量化", "zh")
    results: list[list[Hit]] = []
    threads = [threading.Thread(target=lambda: results.append(SHARED.search("量化", "zh"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 8


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    notes = tmp_path / "notes" / "1.2.1"
    notes.mkdir(parents=True)
    (tmp_path / "outline.md").write_text("a")
    seen = [content_fingerprint(tmp_path)]
    assert content_fingerprint(tmp_path) == seen[0]
    (notes / "01-a.md").write_text("text")
    seen.append(content_fingerprint(tmp_path))
    (notes / "01-a.md").write_text("longer text")
    seen.append(content_fingerprint(tmp_path))
    (notes / "01-a.md").rename(notes / "01-b.md")
    seen.append(content_fingerprint(tmp_path))
    (notes / "01-b.md").unlink()
    seen.append(content_fingerprint(tmp_path))
    assert len(set(seen)) == 4
    assert seen[-1] == seen[0]


def leaves(visible: set[str]) -> set[str]:
    return {node_id for node_id in visible if OUTLINE.nodes[node_id].kind == "question"}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_filter_shows_matches_and_all_above_them(language: str) -> None:
    for text in ("量化", "quantisation", "GPTQ", "gptq 原理", "flash HBM"):
        visible = filter_outline(OUTLINE, text, language)
        assert visible
        for node_id in visible:
            parent = OUTLINE.nodes[node_id].parent
            assert parent is None or parent.id in visible
    assert leaves(filter_outline(OUTLINE, "gptq", language)) == {"1.2.2-09"}
    assert filter_outline(OUTLINE, "gptq", language) == {"1", "1.2", "1.2.2", "1.2.2/3", "1.2.2-09"}


def test_every_word_must_match_in_either_language() -> None:
    assert leaves(filter_outline(OUTLINE, "LLM.int8 原理", "zh")) == {"1.2.2-09"}
    assert leaves(filter_outline(OUTLINE, "llm.INT8 strengths 原理", "zh")) == {"1.2.2-09"}
    assert filter_outline(OUTLINE, "GPTQ 伙伴", "zh") == set()


def test_a_node_that_matches_alone_shows_what_is_below_it() -> None:
    visible = filter_outline(OUTLINE, "量化粒度", "zh")
    assert leaves(visible) == {"1.2.1-07", "1.2.1-08", "1.2.1-09"}


def test_an_id_is_found_from_its_beginning() -> None:
    assert leaves(filter_outline(OUTLINE, "1.2.1", "zh")) == {f"1.2.1-{order:02d}" for order in range(1, 10)}
    assert leaves(filter_outline(OUTLINE, "1.2.1-07", "en")) == {"1.2.1-07"}
    assert leaves(filter_outline(OUTLINE, "a-03", "en")) == {"A-03"}


def test_letters_inside_an_unseen_word_do_not_count() -> None:
    assert filter_outline(OUTLINE, "inciple", "en") != set()
    assert filter_outline(OUTLINE, "inciple", "zh") == set()
    assert filter_outline(OUTLINE, "princip", "zh") == filter_outline(OUTLINE, "princip", "en")


def test_the_filter_finds_a_word_over_a_gap() -> None:
    for language in ("zh", "en"):
        assert "3.1.1" in filter_outline(OUTLINE, "kvcache", language)
        assert "3.1.1" in filter_outline(OUTLINE, "kv-cache", language)


def test_an_empty_filter_shows_everything() -> None:
    assert filter_outline(OUTLINE, "  ", "zh") == set(OUTLINE.nodes)


def test_a_snippet_is_cut_for_a_hit_that_is_looked_at(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[str] = []
    snippet = matching.snippet

    def counted(text: str, *rest: object) -> object:
        cut.append(text)
        return snippet(text, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(matching, "snippet", counted)
    hits = index.search("量化", "zh")
    assert len(hits) > 1
    assert cut == []
    assert hits[0].snippet_ranges is hits[0].snippet_ranges
    assert len(cut) == 1


COMPOUNDS = [
    IndexedNote("a", "en", "a", "A KV cache of 4-bit entries; multi-step decoding."),
    IndexedNote("b", "en", "b", "The KVCache class stores FP8 and 8 bits alike, in the long run."),
    IndexedNote("c", "en", "c", "Along the way FlashAttention reads each tile once. W8A8. Overhead."),
    IndexedNote("d", "en", "d", "A long table lies over head and shoulders; 44 bits."),
]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("kvcache", "a b"),
        ("kvc", "a b"),
        ("kv cache", "a b"),
        ("kv-cache", "a b"),
        ("4bit", "a"),
        ("4-bit", "a d"),  # 44 begins with 4, as before
        ("4 bit", "a d"),
        ("8bit", "b"),
        ("fp 8", "b"),
        ("fp-8", "b"),
        ("flash attention", "c"),
        ("flash-attention", "c"),
        ("w8 a8", "c"),
        ("multistep", "a"),  # its s is folded, that of multi-step is not
        ("overhead", "c d"),  # parted in one page, in one in another
        ("along", "c"),  # "a long" is no "along"
        ("thelong", ""),  # nobody writes these two in one
        ("cacheof", ""),
    ],
)
def test_a_word_is_found_in_one_with_a_hyphen_and_apart(query: str, found: str) -> None:
    index = SearchIndex.build(load_outline(CONTENT), COMPOUNDS)
    ours = {note.id for note in COMPOUNDS}
    assert {hit.id for hit in index.search(query, "en", limit=1000)} & ours == set(found.split())


@pytest.mark.parametrize(
    ("text", "query", "shown"),
    [
        ("The KV cache, twice: KV-cache.", "kvcache", ["KV cache", "KV-cache"]),
        ("In 4 bits or 4-bit", "4bit", ["4 bit", "4-bit"]),
        ("Multi-step", "multistep", ["Multi-step"]),
        ("FlashAttention and flash", "flash attention", ["FlashAttention", "flash"]),
        ("two heads, over head", "overhead", ["over head"]),
        ("in steps, a tone", "inst", []),  # half of a word is no word
        ("a tone", "atone", []),
        ("14 bits", "4bit", []),
    ],
)
def test_what_is_found_over_a_gap_is_marked(text: str, query: str, shown: list[str]) -> None:
    wanted = matching.terms(query)
    assert marked(text, matching.ranges(matching.fold(text), wanted, compounds.in_one(wanted))) == shown
