"""Every line of a file of prompts is a prompt as written, or an error that names it."""

import io
import re

import polars as pl
import pytest

from assay.data.errors import InputError
from assay.synth.prompts import read_prompts


def prompts_of(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [row.prompt for row in read_prompts(path)]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        # TSV knows no quotes: the same characters come out, and no row is swallowed.
        (
            "p.tsv",
            'Prompt\tCategory\n"OOPS" on a wall\tx\nthe word "PEACE"\tx\n"open\tx\n5" nails\tx\n',
            ['"OOPS" on a wall', 'the word "PEACE"', '"open', '5" nails'],
        ),
        ("p.tsv", 'prompt\tnote\n"BUZZ"\tx\na cat\tx\n', ['"BUZZ"', "a cat"]),
        # Written by pandas: quotes doubled within a pair; line breaks; all cells in quotes.
        ("p.tsv", 'prompt\tn\n"a ""big"" dog"\t1\na cat\t2\n', ['a "big" dog', "a cat"]),
        ("p.tsv", 'prompt\tn\n"a dog\nby day"\t1\na cat\t2\n', ["a dog\nby day", "a cat"]),
        ("p.tsv", '"prompt"\t"n"\n"a dog"\t"1"\n', ["a dog"]),
        (
            "p.csv",
            'prompt,n\n"a dog, wet",1\n"stray,2\na cat,3\n',
            ["a dog, wet", '"stray', "a cat"],
        ),
        # A row that is short changes nothing for the others.
        ("p.tsv", 'prompt\tn\n"BUZZ"\tx\nshort\n', ['"BUZZ"', "short"]),
        # The lines between two stray quotes are rows, as their numbers say.
        ("p.csv", 'id,prompt\n1,"a\n2,b\n3,c"\n4,d\n', ['"a', "b", 'c"', "d"]),
        ("p.csv", 'id,prompt\n1,"a,\nb"\n2,c\n', ["a,\nb", "c"]),
        ("p.csv", "n;Text\n1;a dog, wet\n2;a cat\n", ["a dog, wet", "a cat"]),
        # One column: what stands behind a comma belongs to the prompt.
        ("p.csv", 'prompt\na dog, wet\n"a cat, dry"\n', ["a dog, wet", "a cat, dry"]),
        # A line ends where a line ends, and nowhere else.
        ("p.txt", "a\x0cb\nc\u2028d\x85e\r\n\n  f  \n", ["a\x0cb", "c\u2028d\x85e", "f"]),
        ("p.jsonl", '{"prompt": "a\u2028b"}\n\n{"text": "c"}\n"d"\n', ["a\u2028b", "c", "d"]),
        ("p.txt", "\ufeffa dog\n", ["a dog"]),
        ("p.csv", "\ufeffprompt\na dog\n", ["a dog"]),
        ("p.tsv", "\ufeffprompt\ta\na dog\tb\n", ["a dog"]),
        ("p.jsonl", '\ufeff{"prompt": "a dog"}\n', ["a dog"]),
        ("p.json", '\ufeff["a dog", {"caption": "a cat"}]', ["a dog", "a cat"]),
        ("p.json", '{"prompts": ["a dog"]}', ["a dog"]),
        ("p.json", '{"prompt": "a"}\n{"prompt": "b"}\n', ["a", "b"]),
        ("p.txt", "ein Bär\n".encode("cp1252"), ["ein Bär"]),
        ("p.txt", "ein Bär\n".encode("utf-16"), ["ein Bär"]),
        ("p.jsonl", '{"prompt": "a \\ud800 b"}\n', ["a \ufffd b"]),
        ("prompts", "a dog\n", ["a dog"]),
    ],
)
def test_prompts_come_out_as_they_were_written(tmp_path, name, content, expected):
    """Quotes, commas, foreign line separators, encodings and byte order marks are kept or read."""
    assert prompts_of(tmp_path, name, content) == expected


def test_a_table_that_polars_writes_is_read_back(tmp_path):
    """Any text in the cells comes back."""
    texts = ['say "hi", now', "a\nb", '"', "tab\there", "'", 'a ""b""', "plain"]
    frame = pl.DataFrame({"prompt": texts, "category": ["x"] * len(texts)})
    for name, separator in (("p.csv", ","), ("p.tsv", "\t")):
        buffer = io.BytesIO()
        frame.write_csv(buffer, separator=separator)
        assert prompts_of(tmp_path, name, buffer.getvalue()) == texts
    frame.write_parquet(tmp_path / "p.parquet")
    assert [row.prompt for row in read_prompts(tmp_path / "p.parquet")] == texts


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", "prompt,n\na dog, wet,1\n", "line 2 has 3 cells, the header has 2; put"),
        ("p.csv", "Prompt,prompt\na,b\n", "two columns are named prompt; remove or rename one"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt"\n', "line 2 is not JSON"),
        ("p.jsonl", '{"prompt": ["a", "b"]}\n', r"line 1: prompt = ['a', 'b'] is not text"),
        ("p.jsonl", "[" * 100_000, "nested too deeply"),
        ("p.json", '{"a": 1}', "it is not a list of prompts"),
        ("p.json", "[7]", "item 1: 7 is not a text or a row with named columns"),
        ("p.json", '["a", ', "cannot be read as prompts"),
        ("p.yaml", "- a dog\n", "the suffix .yaml is unknown; allowed: .txt (one on each"),
        ("p.txt", b"\x89PNG\r\n\x1a\n\0\0", "NUL"),
        ("p.parquet", "no parquet", "cannot be read as prompts"),
        ("p.tsv", "prompt\tn\n", "has no prompts"),
        ("p.csv", "", "has no prompts"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path, name, content, message):
    """The file is refused instead of read wrongly."""
    with pytest.raises(InputError, match=re.escape(message)):
        prompts_of(tmp_path, name, content)
