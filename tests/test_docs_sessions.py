"""The tutorial's code runs as it stands there, in its order, each block as a script of its own."""

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from support.command import arguments_of, environment
from support.site import serving

TUTORIAL = Path(__file__).parents[1] / "docs/sessions.md"
BLOCK = re.compile(r"^```(python|console)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SITE = "https://app.example.com/"

PAGE = """<!doctype html><title>Mail</title>
<form><label>User <input></label><button>Log in</button></form><p></p>
<script>
const greet = () => { document.querySelector('p').textContent = 'Hello ' + localStorage.user };
if (localStorage.user) greet();
document.querySelector('form').onsubmit = (event) => {
    event.preventDefault();
    localStorage.user = document.querySelector('input').value;
    greet();
};
</script>"""


@pytest.fixture
def site():
    with serving(PAGE) as url:
        yield url


@pytest.fixture
def variables(tmp_path):
    """The reader's environment; browsers that a failed test leaves behind are ended."""
    variables = environment(HOME=str(tmp_path))
    yield variables
    store = tmp_path / ".raptor/sessions"
    names = [path.stem for path in store.glob("*.json")]
    if names:
        subprocess.run(
            arguments_of("session", "close", "--yes", *names), env=variables, check=False, capture_output=True
        )


def test_the_tutorial_runs_from_top_to_bottom(site, variables, tmp_path):
    printed = []
    for language, file, code in BLOCK.findall(TUTORIAL.read_text("utf-8")):
        for arguments in commands(language, file, code.replace(SITE, site), tmp_path):
            printed += run(arguments, variables, tmp_path)
    everything = "".join(printed)
    for expected in ("Hello ann", "Mail", "1 passed", "connected dead", "launch_browser()", "news deleted"):
        assert expected in everything
    assert list((tmp_path / ".raptor/browsers").iterdir()) == []


def commands(language, file, code, directory):
    """What to run for a block of the tutorial."""
    if language == "console":
        return [arguments_of(*line.removeprefix("$ raptor-exporter ").split()) for line in code.splitlines()]
    if not file:
        return [[sys.executable, "-c", code]]
    (directory / file).write_text(code)
    installed = any(e.value == "raptor_exporter.pytest_plugin" for e in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "raptor_exporter.pytest_plugin"]
    return [[sys.executable, "-m", "pytest", "-q", *plugin, file]] * 2  # the first makes, the second finds


def run(arguments, variables, directory):
    done = subprocess.run(
        arguments, env=variables, cwd=directory, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_problem_is_in_the_table():
    from raptor_exporter.browser import Trouble

    text = TUTORIAL.read_text("utf-8")
    of_saving = {"not_a_page", "closed_page", "no_browser", "vanishing_context", "no_endpoint"}
    assert [str(t) for t in Trouble if str(t) not in of_saving and f"`{t}`" not in text] == []
