"""What pages say is true: folders are named, paths and anchors exist, tables are the schema's."""

import importlib.util
import re

import pytest
from import_graph import ROOT, folders, modules

from assay.data.vocabulary import DecisionReason, Doubt, Reason, Status
from assay.flows.cli import app

ARCHITECTURE = ROOT / "docs" / "architecture.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "examples" / "README.md",
    *DOCS,
]
TOP = ("data", "synth", "tasks", "flows", "docker", "docs", "tests", "benchmarks", "examples")


def drawn_tree():
    """Folders and files of the drawn tree, as paths: two spaces of indent are one level."""
    block = ARCHITECTURE.read_text().split("```")[1].removeprefix("text").strip("\n")
    above: list[str] = []
    for line in block.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name.rstrip("/")]
        yield "/".join(above)


def named_paths(page):
    """Paths of the repository in code, and links to files."""
    text = page.read_text()
    for path in re.findall(r"`([\w./-]+)`", text):
        if "/" in path and path.split("/")[0] in TOP:
            yield ROOT / path
    for path in re.findall(r"\]\((?!https?:)([\w./-]+)", text):
        yield page.parent / path


def anchors(page):
    """Anchors of a page's headings, as GitHub and the site make them."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for heading in re.findall(r"^#+ (.+)$", prose, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_drawn_tree_names_every_folder_of_the_package():
    """One line for each folder, and no line for a folder that is gone."""
    drawn = list(drawn_tree())
    assert set(folders()) <= set(drawn)
    assert [path for path in drawn if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_on_a_page_exists(page):
    """Files move; a page that names them moves with them."""
    assert [str(path) for path in named_paths(page) if not path.exists()] == []


def test_paths_are_found():
    """The page on architecture names far more than fifty."""
    assert len(list(named_paths(ARCHITECTURE))) > 50


def test_the_readme_is_short():
    """What takes longer to say has a page of its own below docs."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_anchor_on_a_page_exists(page):
    """A link to a heading names a heading of the page that it leads to."""
    for path, anchor in re.findall(r"\]\((?!https?:)([\w./-]*)#([\w-]+)\)", page.read_text()):
        target = page.parent / path if path else page
        assert anchor in set(anchors(target)), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_other_hosts_are_whole(page):
    """They have a scheme and a host; whether they answer is not asked."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        assert re.fullmatch(r"https?://[\w.-]+\.\w+(/\S*)?|[\w./-]*(#[\w-]+)?", link), link


def test_every_page_is_in_the_index():
    """A reader finds each page from the front page."""
    index = ROOT / "docs" / "index.md"
    linked = {path.resolve() for path in named_paths(index)}
    assert {page for page in DOCS if page != index} <= linked


def test_the_page_of_tables_is_that_of_the_schema():
    """After a change of the schema: say what the column holds, and run the script."""
    spec = importlib.util.spec_from_file_location("tables_page", ROOT / "docs/tables_page.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.page() == script.PAGE.read_text(), "run: python docs/tables_page.py"


@pytest.mark.parametrize(
    ("page", "words", "left_out"),
    [
        (
            "sources.md",
            [*Reason, *Doubt, *Status],
            # Of detectors and plans, and a status that is no refusal.
            {Reason.SAME_BYTES, Reason.NON_FINITE_LOGIT, Reason.NOT_MADE},
        ),
        ("decisions.md", [*DecisionReason], set()),
    ],
)
def test_every_reason_is_explained(page, words, left_out):
    """A reader looks up the word that a table or a summary shows."""
    text = (ROOT / "docs" / page).read_text()
    assert [word for word in words if word not in left_out and f"`{word.value}`" not in text] == []


def test_messages_that_are_explained_exist():
    """Troubleshooting quotes what the code says, by the parts that do not change."""
    source = " ".join(path.read_text() for path in modules().values())
    # Literals that stand one below the other are one text.
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.M)
    assert len(messages) > 10
    assert [message for message in messages if message not in source] == []


def commands(parent, *, above=()):
    """Names of the commands below an app, as tuples; those that help leaves out are left out."""
    for name in parent:
        if not name.startswith("-") and parent[name].show:
            yield (*above, name)
            yield from commands(parent[name], above=(*above, name))


def test_every_command_is_in_the_table_of_commands():
    """A new one gets its line in docs/commands.md; its options are taken from its help."""
    text = (ROOT / "docs" / "commands.md").read_text()
    rows = re.findall(r"^\| `assay ([^`]+)`", text, re.M)
    names = {" ".join(names) for names in commands(app)}
    assert len(names) > 30

    def is_named(name):
        *group, last = name.split()
        return any(
            re.match(" ".join([*group, rf"(\S+, )*{last}\b"]), row.replace("\\|", " "))
            for row in rows
        )

    assert [name for name in sorted(names) if not is_named(name)] == []


def test_every_page_is_in_the_navigation_of_the_site():
    """The build of the site refuses a page that nothing leads to; this says so without it."""
    conf = (ROOT / "docs" / "conf.py").read_text()
    pages = {page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in DOCS}
    assert [page for page in sorted(pages - {"index"}) if f'"{page}"' not in conf] == []
