"""What users and contributors read: help texts, documents and the files of the project."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

import qsmbench
from qsmbench import cli
from qsmbench.paths import data_dir

PACKAGE = Path(qsmbench.__file__).parent
ROOT = data_dir()
VERBS = {c.name or c.callback.__name__: c for c in cli.app.registered_commands}
in_repository = pytest.mark.skipif(not (ROOT / ".ci" / "run").is_file(), reason="only in a checkout")


def examples(verb):
    return [" ".join(e.split()) for e in re.findall(r"\[bold\](.*?)\[/bold\]", VERBS[verb].epilog or "", re.S)]


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_examples_that_are_accepted(verb):
    """The command line takes their arguments and options; nothing is run."""
    group = typer.main.get_command(cli.app)
    assert examples(verb)
    for example in examples(verb):
        program, name, *arguments = shlex.split(example)
        assert (program, name) == ("qsmbench", verb)
        command = group.get_command(None, name)
        context = command.make_context(name, arguments)
        assert not context.args


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_and_argument_has_a_help_text(verb):
    command = typer.main.get_command(cli.app).get_command(None, verb)
    assert command.help
    assert [p.name for p in command.params if not getattr(p, "help", None)] == []


WORDS = {
    r"legal (are|is)": "choose from",
    r"\banew\b": "again",
    r"\bartefacts?\b(?! of|s? of)": "artifact for a file, artefact only for an error of an image",
    r"\b[Dd]ata[ -]sets?\b": "dataset",
    r"could not be made": "failed",
    r"not everything could be made": "N of M jobs failed",
    r"still true is kept": "up-to-date results are reused",
    r"(?<!there )\bis no (artifact|number|parameter|property|method|scan)\b": "is not a …",
    r"others' (code|Python)\b": "third-party",
}
"""Words that texts avoid, and what they say instead."""

SPEAKS_OF_IT = {"docs/glossary.md": r"image artefacts"}
"""Where a word is explained."""


def texts_of(file: Path):
    """Return the strings in a Python file, docstrings aside; all of any other file."""
    if file.suffix != ".py":
        return [re.sub(r"<style>.*?</style>", "", file.read_text(), flags=re.S)]
    tree = ast.parse(file.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [node.value for node in strings if id(node) not in docs]


def read_by_users():
    shown = [f for f in PACKAGE.rglob("*.py") if "share" not in f.parts]
    shown += PACKAGE.rglob("*.j2")
    shown += [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("configs/**/*.yaml"),
        *ROOT.glob("phantoms/**/*.yaml"),
    ]
    return sorted(shown)


@pytest.mark.parametrize("file", read_by_users(), ids=lambda f: f.name if isinstance(f, Path) else "")
def test_texts_use_the_agreed_words(file):
    for text in texts_of(file):
        allowed = SPEAKS_OF_IT.get(str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else "")
        text = re.sub(allowed, "", text) if allowed else text
        for word, instead in WORDS.items():
            found = re.search(rf".*(?:{word}).*", text)
            assert not found, f"{file}: {found[0].strip()!r}: say {instead!r}"


@pytest.mark.parametrize("verb", VERBS)
def test_helps_use_the_agreed_words(verb):
    command = typer.main.get_command(cli.app).get_command(None, verb)
    text = "\n".join([command.help, *(p.help for p in command.params)])
    assert not [word for word in WORDS if re.search(word, text)]


@in_repository
def test_citation_is_complete_and_of_this_version():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cff.keys()  # what CFF 1.2.0 requires
    assert cff["cff-version"] == "1.2.0"
    assert cff["version"] == qsmbench.__version__
    assert cff["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    assert [a["name"] for a in cff["authors"]] == ["qsmbench contributors"]


def hooks():
    content = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    return {hook["id"]: hook for repo in content["repos"] for hook in repo["hooks"] if repo["repo"] == "local"}


def lint_commands():
    return re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)[1]


@in_repository
def test_lint_is_one_target_that_all_checks_use():
    lint = lint_commands()
    assert re.findall(r"\$\(BIN\)/(.*)", lint) == [
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "snakefmt --check Snakefile",
    ]
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^check: lint$", makefile, re.M)
    assert re.findall(r"^make (\w+)$", (ROOT / ".ci" / "run").read_text(), re.M) == ["lint", "test", "gate"]


@in_repository
def test_hooks_before_a_commit_run_the_tools_of_lint():
    tools = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks().values()}
    assert tools == {"ruff", "mypy", "snakefmt"} and all(tool in lint_commands() for tool in tools)
    assert {"ruff-check", "ruff-format"} <= hooks().keys()


@in_repository
def test_the_workflow_checks_supported_versions_on_two_systems():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text())
    job = workflow["jobs"]["check"]
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    versions = job["strategy"]["matrix"]["python"]
    assert oldest in versions and len(versions) == 2 and all(isinstance(v, str) for v in versions)
    assert job["strategy"]["matrix"]["os"] == ["ubuntu-latest", "macos-latest"]
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert [r.split()[:2] for r in runs] == [["make", "check"], ["make", "gate"]]


@in_repository
@pytest.mark.parametrize("file", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda f: f.name)
def test_links_within_the_project_lead_somewhere(file):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read_text())
    assert [link for link in links if not (file.parent / link).exists()] == []


@in_repository
def test_readme_leads_to_the_documents():
    readme = (ROOT / "README.md").read_text()
    for document in (*(f.relative_to(ROOT) for f in ROOT.glob("docs/*.md")), "CONTRIBUTING.md", "CITATION.cff"):
        assert f"({document})" in readme, document
