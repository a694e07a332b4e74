"""Traces as they are published, and rows that are refused with line, value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.simulator.traces import HASH_BLOCK_TOKENS, Request, read_trace
from labs.spec import LabError

PUBLISHED = Path(__file__).parents[4] / "shared" / "published"
AZURE = PUBLISHED / "azure_llm_2023_conversation.csv"
VLLM = PUBLISHED / "vllm_0.19_rtx4090_llama31_8b.csv"

HEADER = "arrival,input,output\n"


def written(tmp_path: Path, text: str, name: str = "trace.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_azure_as_it_is_published(tmp_path: Path) -> None:
    # Dates with seven decimals, and CRLF, as in Azure/AzurePublicDataset.
    text = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        "2023-11-16 18:15:46.6805900,374,44\r\n"
        "2023-11-16 18:15:50.9951690,396,109\r\n"
        "2023-11-17 18:15:46.6805900,879,55"
    )
    assert list(read_trace(written(tmp_path, text))) == [
        Request(0.0, 374, 44),
        Request(pytest.approx(4.314579), 396, 109),
        Request(86_400.0, 879, 55),
    ]


def test_comments_empty_lines_extra_columns_and_order_of_columns(tmp_path: Path) -> None:
    text = '\ufeff# a, b\n\noutput_tokens,queued_s,"arrival_s",input_tokens\n7,0.5,1.25,3\n\n# end\n'
    assert list(read_trace(written(tmp_path, text))) == [Request(1.25, 3, 7)]


def test_user_priority_and_deadline(tmp_path: Path) -> None:
    text = "arrival,input,output,user,priority,deadline_s\n0,1,2,ann,-3,4.5\n1,1,2,,,\n"
    assert list(read_trace(written(tmp_path, text))) == [
        Request(0.0, 1, 2, user="ann", priority=-3, deadline_s=4.5),
        Request(1.0, 1, 2),
    ]


def test_mooncake(tmp_path: Path) -> None:
    text = (
        '{"timestamp": 0, "input_length": 915, "output_length": 355, "hash_ids": [0, 462]}\n'
        '{"timestamp": 5999, "input_length": 1, "output_length": 26}\n'
    )
    first, second = read_trace(written(tmp_path, text, "conversation_trace.jsonl"))
    assert first == Request(0.0, 915, 355, hash_ids=(0, 462))
    assert second == Request(5.999, 1, 26)
    assert len(first.hash_ids) == -(-first.input_tokens // HASH_BLOCK_TOKENS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEADER + "0,5,x\n", "line 2: output = x; allowed: an integer of at least 1"),
        ("# c\n" + HEADER + "0,0,5\n", "line 3: input = 0; allowed: an integer of at least 1"),
        (HEADER + "0,5,5\n\n1,2.5,5\n", "line 4: input = 2.5; allowed: an integer of at least 1"),
        (HEADER + "0,5\n", 'line 2: output = ""; allowed: an integer of at least 1'),
        (HEADER + "-1,5,5\n", "line 2: arrival = -1; allowed: seconds, at least 0, or an ISO date and time"),
        (HEADER + "nan,5,5\n", "line 2: arrival = nan; allowed: seconds"),
        (HEADER + "0,5,5\ninf,5,5\n", "line 3: arrival = inf; allowed: seconds, at least 0"),
        (HEADER + "0,5,5\n2023-01-01,5,5\n", "line 3: arrival = 2023-01-01; allowed: seconds, at least 0"),
        (HEADER + "2023-01-01,5,5\n7,5,5\n", "line 3: arrival = 7; allowed: an ISO date"),
        (HEADER + "2023-01-01,5,5\n2023-01-02T00:00Z,5,5\n", "line 3: arrival = 2023-01-02T00:00Z"),
        (HEADER + "2,5,5\n1,5,5\n", r"line 3: arrival = 1 s; allowed: not before the row above \(2 s\)"),
        (
            "arrival,output\n",
            "line 1: header = arrival,output; allowed: a column named one of input, input_t",
        ),
        ("0,1,2\n", "line 1: header = 0,1,2; allowed: a column named one of arrival"),
        ("arrival,input,output,priority\n0,1,2,high\n", "line 2: priority = high; allowed: an integer"),
        ("arrival,input,output,deadline\n0,1,2,-4\n", "line 2: deadline = -4; allowed: seconds, at least 0"),
    ],
)
def test_a_malformed_row_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(LabError, match=f"trace.csv, {says}") as refusal:
        list(read_trace(written(tmp_path, text)))
    assert "允许：" in refusal.value.text.zh


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", r"JSON = \{; allowed: a JSON object \(Input data was truncated\)"),
        ("[1]", r"JSON = \[1\]; allowed: an object with timestamp"),
        ('{"timestamp": 1}', r'JSON = \{"timestamp": 1\}; allowed: an object with timestamp, input_length'),
        ('{"timestamp": -1, "input_length": 1, "output_length": 1}', "timestamp = -1; allowed: milliseconds"),
        (
            '{"timestamp": 1, "input_length": 0, "output_length": 1}',
            "input_length = 0; allowed: an integer of",
        ),
        (
            '{"timestamp": 1, "input_length": 1, "output_length": "2"}',
            "output_length = 2; allowed: an integer",
        ),
        (
            '{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": [1, "a"]}',
            r"hash_ids = \[1, 'a'\]; allowed: a list of integers",
        ),
    ],
)
def test_a_malformed_json_row_is_refused(tmp_path: Path, line: str, says: str) -> None:
    good = '{"timestamp": 0, "input_length": 1, "output_length": 1}\n'
    trace = read_trace(written(tmp_path, good + line + "\n", "t.jsonl"))
    assert next(trace) == Request(0.0, 1, 1)
    with pytest.raises(LabError, match=f"t.jsonl, line 2: {says}"):
        next(trace)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot read the trace"):
        next(read_trace(tmp_path / "absent.csv"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError, match="cannot read the trace"):
        next(read_trace(tmp_path / "binary.csv"))


@pytest.mark.parametrize("text", ["", "# nothing\n", HEADER])
def test_a_trace_without_a_request_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(LabError, match="holds no request"):
        next(read_trace(written(tmp_path, text)))


@pytest.mark.skipif(not AZURE.exists(), reason="the published traces are not here")
def test_the_azure_conversation_trace() -> None:
    requests = list(read_trace(AZURE))
    assert len(requests) == 19_366
    assert requests[0] == Request(0.0, 374, 44)
    assert sum(request.output_tokens for request in requests) == 4_088_665


@pytest.mark.skipif(not VLLM.exists(), reason="the published traces are not here")
def test_a_measured_run_is_a_trace_too() -> None:
    requests = list(read_trace(VLLM))
    assert len(requests) == 300
    assert requests[1] == Request(0.2651, 1034, 769)
