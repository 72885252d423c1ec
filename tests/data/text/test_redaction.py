"""No secret of a URL is stored or printed, and distinct URLs stay distinct."""

import json
import time

import factories
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.data.errors import InputError, StoreError, UnreadableImage
from assay.data.sources.find import SourceOptions, find_items
from assay.data.store.lake import Lake
from assay.data.text.printable import printable
from assay.data.text.redaction import has_user_info, redact_text, redact_url
from assay.data.vocabulary import Reason
from assay.flows.request import Request
from assay.tasks.batches import batch_id_of

# Upper case and long: cannot be part of the names, the hosts or the marks by chance.
SECRETS = st.text(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ%/+=!$'()*,;:~.-_ \u00fc\u4e2d", min_size=8, max_size=40
)
NAMES = st.sampled_from(["sig", "X-Amz-Signature", "x-goog-credential", "token", "a[b]", "v"])
BASES = st.sampled_from(
    ["https://host/a.jpg", "http://h.example:8080/%7Eu/b", "HTTPS://[::1]:80/", "s3://bucket/pre/x"]
)


@settings(max_examples=150, deadline=None)
@given(base=BASES, names=st.lists(NAMES, max_size=3), data=st.data())
def test_no_secret_survives_and_host_and_path_do(base, names, data):
    """Logins, query values, bare tokens and fragments are removed; the rest stays."""
    scheme, _, rest = base.partition("://")
    login, bare, fragment = (data.draw(st.none() | SECRETS) for _ in range(3))
    values = [data.draw(SECRETS) for _ in names]
    query = "&".join([f"{n}={v}" for n, v in zip(names, values, strict=True)] + [bare or ""])
    url = f"{scheme}://" + (f"user:{login}@" if login else "") + rest
    url += (f"?{query}" if names or bare else "") + (f"#{fragment}" if fragment else "")
    hidden = redact_url(url)
    for secret in (login, bare, fragment, *values):
        assert secret is None or secret not in hidden
    assert hidden.replace("***@", "").startswith(base)
    assert redact_url(hidden) == hidden
    assert has_user_info(url) is (login is not None)
    assert all(f"{name}=***" in hidden for name in names)


@settings(max_examples=50, deadline=None)
@given(base=BASES, one=SECRETS, other=SECRETS)
def test_urls_that_differ_in_a_signature_stay_two(base, one, other):
    """The mark distinguishes values and is the same for the same value."""
    urls = [f"{base}?sig={value}" for value in (one, other)]
    assert (redact_url(urls[0]) == redact_url(urls[1])) is (one == other)


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("https://h/a.jpg", "https://h/a.jpg"),
        ("https://u:p@h:80/a.jpg", "https://***@h:80/a.jpg"),
        ("https://token@h/", "https://***@h/"),
        ("s3://AKIA:ab/cd+e@bucket/pre", "s3://***@bucket/pre"),
        ("https://u:p?q#r@h/a", "https://***@h/a"),
        ("http://h:80/@me/a.jpg", "http://h:80/@me/a.jpg"),
        ("pics/a b.jpg?x=1", "pics/a b.jpg?x=1"),
    ],
)
def test_what_a_login_leaves(url, hidden):
    """User info becomes three stars, also with unescaped slashes; paths stay."""
    assert redact_url(url) == hidden


def test_urls_in_a_text_lose_their_secrets():
    """Every URL in a message or JSON text is redacted; the text around it stays."""
    text = "at 'https://u:p@h/x?sig=abc', see (http://y/?k=1&t=2); https://z/a.jpg: gone"
    assert redact_text(text) == (
        "at 'https://***@h/x?sig=***', see (http://y/?k=***&t=***); https://z/a.jpg: gone"
    )
    told = json.loads(redact_text(json.dumps({"a": "https://h/?s=SECRET", "b": [1]})))
    assert told == {"a": "https://h/?s=***", "b": [1]}


def test_errors_hold_neither_secrets_nor_escape_codes():
    """Text, repr and detail of an error are redacted and printable."""
    raw = "https://user:PASSWORD@h/?sig=SIGNATURE \x1b]0;title\x07 \u202e \udcff"
    for error in (InputError(raw), UnreadableImage(Reason.BAD_ROW, raw)):
        for text in (str(error), repr(error), getattr(error, "detail", "")):
            assert not {"\x1b", "\x07", "\u202e", "\udcff"} & set(text)
            assert "PASSWORD" not in text
            assert "SIGNATURE" not in text


def test_steering_characters_are_shown_as_escapes():
    """Control codes, bidi overrides and surrogates are escaped; letters and emoji stay."""
    assert printable("a\x1b[31m\r\x9b\u202e\udcff") == r"a\x1b[31m\x0d\x9b\u202e\udcff"
    kept = "na\u00efve \u4e2d\u6587 \u0639\u0631\u0628 \U0001f468\u200d\U0001f469\n\ttab"
    assert printable(kept) == kept


def test_a_run_writes_down_no_secret_of_its_sources():
    """Parameters and batch ids use redacted URLs; a login does not change the batch."""
    secret = "https://h/a.jpg?sig=SIGNATURE"
    request = Request(lake="lake", sources=(secret, "https://u:PASSWORD@h/b.jpg", "pics"))
    told = json.dumps(request.params())
    assert "SIGNATURE" not in told
    assert "PASSWORD" not in told
    assert "pics" in told
    assert request.settings()["sources"][0] == secret
    options = SourceOptions()
    assert batch_id_of([secret], options) == batch_id_of([redact_url(secret)], options)
    assert batch_id_of([secret], options) != batch_id_of(["https://h/a.jpg?sig=OTHER"], options)


def test_a_lake_address_with_keys_is_refused(tmp_path):
    """A lake's address with keys is refused, and the message does not repeat them."""
    with pytest.raises(StoreError, match=r"s3://\*\*\*@bucket.*AWS_ACCESS_KEY_ID") as caught:
        Lake("s3://AKIAKEY:HIDDEN/KEY@bucket/lake")
    assert "HIDDEN" not in repr(caught.value)


def test_cells_of_tables_leave_no_secret(tmp_path):
    """URLs in domains are redacted; signatures in cells distinguish rows by fingerprint."""
    table = tmp_path / "list.csv"

    def listed(signature):
        table.write_text(f"url,domain\nhttps://h/a.jpg?sig={signature},https://u:PASSWORD@d/\n")
        (item,) = find_items([str(table)], SourceOptions())
        return item

    one = listed("SIGNATURE")
    assert one.domain == "https://***@d/"
    assert "SIGNATURE" not in repr(one)
    assert one.fingerprint != listed("OTHER").fingerprint
    assert one.fingerprint == listed("SIGNATURE").fingerprint


@pytest.fixture
def house(tmp_path):
    """Create a folder allowed for lists, with an image, and an image and links beside it."""
    inside = tmp_path / "inside"
    inside.mkdir()
    raw = factories.jpeg()
    for path in (inside / "a.jpg", tmp_path / "b.jpg"):
        path.write_bytes(raw)
    (inside / "link.jpg").symlink_to(tmp_path / "b.jpg")
    (inside / "own.jpg").symlink_to(inside / "a.jpg")
    return inside


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "struct"])
def test_lists_name_paths_below_the_roots_only(house, kind):
    """Absolute, relative, linked and file:// paths outside the roots are unsafe_path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = ["a.jpg", "own.jpg", str(house / "a.jpg"), "../b.jpg", "link.jpg", "/etc/passwd"]
    cells += [(house.parent / "b.jpg").as_uri(), "../nowhere.jpg"]
    table = house / f"list.{'parquet' if kind == 'struct' else kind}"
    if kind == "csv":
        table.write_text("\n".join(["path", *cells]))
    elif kind == "jsonl":
        table.write_text("\n".join(json.dumps({"path": cell}) for cell in cells))
    elif kind == "parquet":
        pq.write_table(pa.table({"path": cells}), table)
    else:
        pq.write_table(
            pa.table({"image": [{"bytes": None, "path": cell} for cell in cells]}), table
        )
    options = SourceOptions(roots=(str(house),))
    reasons = []
    for item in find_items([str(table)], options):
        try:
            item.address.read(options)
            reasons.append("")
        except UnreadableImage as error:
            reasons.append(error.reason.value)
    assert reasons == [""] * 3 + ["unsafe_path"] * 5


def test_a_root_that_is_no_folder_is_an_error(tmp_path):
    """A root that is not a folder is an error before the first row."""
    (tmp_path / "list.csv").write_text("path\na.jpg\n")
    with pytest.raises(InputError, match="nowhere"):
        find_items([str(tmp_path / "list.csv")], SourceOptions(roots=(str(tmp_path / "nowhere"),)))


def test_addresses_that_are_none_cost_their_own_row_only(tmp_path):
    """Invalid URLs in a list or a source are rows; later rows are read."""
    bad = ["http://[::x/a.jpg", "https://h:port/a.jpg", "http://[v1.]/", "file://[x/a.jpg"]
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["url", *bad, str(tmp_path / "a.jpg")]))
    (tmp_path / "a.jpg").write_bytes(factories.jpeg())
    options = SourceOptions()
    items = list(find_items([str(table), *bad[:3]], options))
    assert len(items) == len(bad) + 1 + 3
    reasons = []
    for item in items:
        try:
            item.address.read(options)
            reasons.append("")
        except UnreadableImage as error:
            reasons.append(error.reason.value)
    assert reasons == ["unsafe_url"] * 3 + ["not_found", ""] + ["unsafe_url"] * 3
    with pytest.raises(StoreError, match="not the address of a lake"):
        Lake("s3://[x/lake")


def test_a_long_word_before_a_url_costs_no_more_than_its_length() -> None:
    word = "x" * 200_000
    began = time.process_time()
    assert redact_text(f"{word} {word}s3://a:b@host/c?d=e") == f"{word} {word}s3://***@host/c?d=***"
    assert time.process_time() - began < 5  # trying from each letter takes minutes
