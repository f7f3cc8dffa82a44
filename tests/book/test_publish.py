"""The project can be handed on: pinned, packed, and built elsewhere by the README's commands."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest
import yaml
from conftest import ROOT, make
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8"))
FILES = {"test": "requirements.txt", "build": "requirements-build.txt"}


# --- pins


def pins(file):
    """Read a requirement file: a list of (requirement, hashes)."""
    text = (ROOT / file).read_text(encoding="utf-8")
    entries = re.sub(r"(?m)^ *#.*\n", "", text).replace("\\\n", " ").splitlines()
    found = [entry.split(" --hash=") for entry in entries]
    return [(Requirement(entry[0]), {part.strip() for part in entry[1:]}) for entry in found]


def wanted(extra):
    """List what an extra asks for, with the extras of the project that it names written out."""
    asked = PROJECT["dependencies"] if extra == "" else PROJECT["optional-dependencies"][extra]
    for requirement in map(Requirement, asked):
        if requirement.name == PROJECT["name"]:
            for inner in sorted(requirement.extras):
                yield from wanted(inner)
        else:
            yield requirement


def holds(marker, python):
    """Tell whether a marker is true of a Python on Linux."""
    about = {"python_version": python, "python_full_version": f"{python}.9"}
    return marker is None or Marker(str(marker)).evaluate(about)


@pytest.mark.parametrize("file", FILES.values())
def test_pins_say_how_they_are_made_and_come_with_hashes(file):
    head = (ROOT / file).read_text(encoding="utf-8").splitlines()[:2]
    assert head[1].startswith("#    make pins ") and "\npins:" in MAKEFILE
    for requirement, hashes in pins(file):
        assert [part.operator for part in requirement.specifier] == ["=="], requirement
        assert requirement.url is None
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", code) for code in hashes)


@pytest.mark.parametrize("file", FILES.values())
def test_pins_name_no_place_from_which_packages_come(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|^-e", text, flags=re.MULTILINE)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("extra", "file"), FILES.items())
def test_pins_are_one_version_of_everything_that_is_asked_for(extra, file, python):
    pinned = {}
    for requirement, _ in pins(file):
        if holds(requirement.marker, python):
            assert requirement.name not in pinned, requirement
            pinned[requirement.name] = next(iter(requirement.specifier)).version
    for requirement in [*wanted(""), *wanted(extra)]:
        if holds(requirement.marker, python):
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_what_building_needs_is_a_part_of_everything(python):
    build, everything = (
        {
            requirement.name: (str(requirement.specifier), frozenset(hashes))
            for requirement, hashes in pins(file)
            if holds(requirement.marker, python)
        }
        for file in ("requirements-build.txt", "requirements.txt")
    )
    assert build.items() < everything.items()


def test_building_brings_no_browser_no_type_checker_no_data_frames():
    names = {requirement.name for requirement, _ in pins("requirements-build.txt")}
    heavy = {"playwright", "pyarrow", "pandas", "matplotlib", "mypy", "statsmodels", "jupyterlab"}
    assert not names & heavy


# --- what is packed


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Pack the project twice; return the folder with the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


LEFT = {"__pycache__", ".ipynb_checkpoints", ".DS_Store"}  # by Python, by Jupyter, by a Mac


def source_files():
    """List the files of the package on the disk, but for what programs leave there."""
    files = (file for file in (ROOT / "mixhier_lite").rglob("*") if file.is_file())
    return {file.relative_to(ROOT).as_posix() for file in files if not LEFT & set(file.parts)}


def test_the_wheel_holds_the_package_and_nothing_else(packed):
    with zipfile.ZipFile(next(packed.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == source_files()
    assert {name.partition(".dist-info/")[2] for name in about} == {
        "METADATA", "RECORD", "WHEEL", "licenses/LICENSE", "licenses/book/LICENSE",
    }  # fmt: skip


def test_the_archive_holds_what_the_wheel_is_made_from(packed):
    with tarfile.open(next(packed.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    beside = {"PKG-INFO", "pyproject.toml", ".gitignore", "README.md", "CHANGELOG.md"}
    assert names == source_files() | beside | {"CITATION.cff", "LICENSE", "book/LICENSE"}


def test_an_index_reads_the_readme_and_the_address(packed):
    with zipfile.ZipFile(next(packed.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
        about = importlib.metadata.PathDistribution(zipfile.Path(wheel, f"{name[:-8]}")).metadata
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_payload().strip() == README.strip()
    urls = about.get_all("Project-URL") or []
    assert urls == [f"{name}, {url}" for name, url in PROJECT.get("urls", {}).items()]


def test_the_readme_reads_well_outside_of_the_repository():
    prose = re.sub(r"```.*?```|`[^`]*`", "", README, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]*)\)", prose):
        assert target.startswith(("https://", "#")), f"an index has no file {target}"
    assert not re.search(r"<\w+|^:::|\{\w+\}", prose, flags=re.MULTILINE)


# --- the commands


def blocks(language):
    """List the commands of the README's blocks in a language, without their comments."""
    found = re.findall(rf"(?ms)^```{language}\n(.*?)^```", README)
    return [re.sub(r" +#.*", "", line) for block in found for line in block.splitlines()]


MADE = [command for command in blocks("bash") if re.fullmatch(r"make \w+", command)]
WITHOUT_MAKE = [command for command in blocks("bash") if command.startswith("python3 -m venv")]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("target", "command"), list(zip(["book", "test"], WITHOUT_MAKE, strict=True))
)
def test_make_and_the_command_without_it_do_the_same(target, command, tmp_path):
    """Ask make what it would do in a folder that is fresh from a clone."""
    for name in ("Makefile", "pyproject.toml", *FILES.values()):
        shutil.copyfile(ROOT / name, tmp_path / name)
    lines = make(tmp_path, target).replace(" --quiet --disable-pip-version-check", "").splitlines()
    steps = [" ".join(line.split()) for line in lines]
    assert [step for step in steps if step in command.split(" && ")] == command.split(" && ")


def test_commands_for_windows_are_the_same_two():
    def for_windows(command):
        in_scripts = re.sub(r"\.venv/bin/", lambda _: ".venv\\Scripts\\", command)
        return in_scripts.replace("python3 -m venv", "python -m venv")

    assert blocks("bat") == [for_windows(command) for command in WITHOUT_MAKE]


def steps(job):
    """List the commands of a job of the workflow."""
    return [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]


def test_the_workflow_runs_the_commands_of_the_readme():
    assert steps("linux-and-macos") == ["make book", "make test"]
    assert {"make book", "make test"} <= set(MADE)
    assert steps("windows") == blocks("bat")


@pytest.mark.parametrize("job", WORKFLOW["jobs"])
def test_the_workflow_tries_every_python(job):
    assert WORKFLOW["jobs"][job]["strategy"]["matrix"]["python"] == PYTHONS


def test_the_workflow_tries_every_system():
    matrix = WORKFLOW["jobs"]["linux-and-macos"]["strategy"]["matrix"]
    assert matrix["system"] == ["ubuntu-latest", "macos-latest"]
    assert WORKFLOW["jobs"]["windows"]["runs-on"] == "windows-latest"


def test_the_hook_before_a_commit_is_a_command_of_the_makefile():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]  # others would be fetched
    for hook in hooks["repos"][0]["hooks"]:
        program, target = hook["entry"].split()
        assert program == "make" and f"\n{target}:" in MAKEFILE
        assert hook["language"] == "system"


def test_continuous_integration_runs_the_readmes_test_command():
    script = ROOT / ".ci" / "run"
    if not script.exists():
        pytest.skip("this copy has no .ci")
    assert script.read_text(encoding="utf-8").rstrip().splitlines()[-1] in MADE
