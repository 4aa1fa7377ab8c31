"""Fixtures that every test may use."""

from __future__ import annotations

import inspect
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import settings

from stackclip.cli import cli
from stackclip.registry import SHELVES, forget, use_workspace

if TYPE_CHECKING:  # tests of what is light load no torch
    from playwright.sync_api import Browser, Page
    from torch import Tensor

    from stackclip.benchmarks.plan import Plan
    from stackclip.benchmarks.runner import Bench
    from stackclip.cache import Store
    from stackclip.clip import TextEncoder, Tower
    from stackclip.clip.positions import Positions
    from stackclip.data import Dataset
    from stackclip.methods import Detector, Moment

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads: no spinning threads on a busy machine
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores, and print as if nobody watched
    _cores, _workers = os.cpu_count() or 1, int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores // _workers)))
    os.environ.pop("COLUMNS", None)
for _name in [name for name in os.environ if name.startswith("STACKCLIP_")]:
    if _name not in (
        "STACKCLIP_BROWSER",
        "STACKCLIP_FAULTS",
        "STACKCLIP_KEEP_FIGURES",
        "STACKCLIP_SHARED",
        "STACKCLIP_TOWERS",
    ):  # the tests' own; defaults of commands are not for them
        del os.environ[_name]
os.environ["STACKCLIP_RECALL"] = "off"  # commands of tests answer themselves
settings.register_profile("the same each time", derandomize=True, print_blob=True)
settings.load_profile("the same each time")  # a commit passes or fails; `--hypothesis-profile default` draws anew
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material beside the repository (`STACKCLIP_SHARED` names another place)."""
    folder = Path(os.environ.get("STACKCLIP_SHARED", ROOT.parent / "shared")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no reference material at {folder}: set STACKCLIP_SHARED to run this test")
    return folder


@pytest.fixture(scope="session")
def plant() -> Callable[..., Path]:
    """`plant(root, *names)`: an empty file of each name below a folder, which is returned."""

    def plant(root: Path, *names: str) -> Path:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        return root

    return plant


class Stored(Mapping[str, Any]):
    """The arrays of a golden file: `[...]` is what released code said, `given` what went into it.

    A test that compares with an array is run again with that array 2 % off, and must fail.
    """

    opened: ClassVar[WeakSet[Stored]] = WeakSet()

    def __init__(self, path: Path) -> None:
        self._arrays, self.read, self.off = np.load(path), set[str](), ""
        self.opened.add(self)

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        array = self._arrays[name]
        return array if name != self.off else array * 1.02 if array.any() else array + 0.02

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays.files)

    def __len__(self) -> int:
        return len(self._arrays.files)

    def __hash__(self) -> int:
        return id(self)

    def given(self, name: str) -> Any:
        return self._arrays[name]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a test that compares with golden arrays once more for each of them, with the array 2 % off."""
    for stored in Stored.opened:
        stored.read.clear()
    result = yield
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    for stored in list(Stored.opened):
        for name in sorted(stored.read):
            stored.off = name
            try:
                pyfuncitem.obj(**arguments)
            except AssertionError:  # as it must: the array is another
                continue
            finally:
                stored.off = ""
            pytest.fail(f"passes with {name!r} 2 % off: it is not compared, or too coarsely", pytrace=False)
    return result


@dataclass(frozen=True)
class Golden:
    """A case that released code ran on a small random tower: what went in, and all that came out (`stored`)."""

    stored: Stored
    config: Mapping[str, Any]
    weights: Path
    images: Tensor  # (3, 3, S, S)
    shots: Tensor  # (2, 3, S, S)
    masks: Tensor  # (3, S, S) of the images
    labels: tuple[int, ...]  # of the images
    anchors: Tensor  # (3, 2, D), one for each image
    tokens: Tensor  # (8, 77)

    def tower(self, position_embedding: Positions = "bicubic-antialias") -> Tower:
        """Our tower with its weights, its position embedding resized as the released code does."""
        import torch

        from stackclip.clip import assemble_tower

        arrays = np.load(self.weights)
        return assemble_tower(
            json.loads(str(arrays["__config__"]))["open_clip_cfg"],
            {name: torch.from_numpy(arrays[name]).float() for name in arrays.files if name != "__config__"},
            name=self.config["tower"],
            activation=self.config["activation"].replace("_", "-"),
            image_size=self.config["image_size"],
            position_embedding=position_embedding,
            device="cpu",
        )


@pytest.fixture(scope="session")
def at() -> Callable[..., Moment]:
    """`at(detector)`, a moment in the training of a detector; of one without stages in a stage that is none."""
    from stackclip.methods import Moment, Stage

    def at(detector: Detector, stage: int = 0, step: int = 0, epoch: int = 0, last: bool = False) -> Moment:
        stages = detector.stages or (Stage("none", epochs=1, batch=1),)
        return Moment(stages[stage], epoch, step, last)

    return at


@pytest.fixture(scope="session")
def golden_arrays(shared: Path) -> Callable[[str], Stored]:
    """`golden_arrays(name)`, a file of the reference material."""
    folder = shared / "reference" / "golden"
    if not folder.is_dir():
        pytest.skip(f"no golden cases at {folder}")
    return lambda name: Stored(folder / f"{name}.npz")


@pytest.fixture(scope="session")
def golden(shared: Path, golden_arrays: Callable[[str], Stored]) -> Callable[[str], Golden]:
    """`golden(case)`, a case of the reference material by the name of its file."""
    import torch

    folder = shared / "reference" / "golden"

    def case(name: str) -> Golden:
        stored, inputs = golden_arrays(name), np.load(folder / "inputs.npz")
        config = json.loads(str(stored.given("__config__")))
        side, tower = config["image_size"], config["tower"]
        return Golden(
            stored,
            config,
            folder / f"tower_{tower}.npz",
            torch.from_numpy(inputs[f"images_{side}"]).float(),
            torch.from_numpy(inputs[f"shots_{side}"]).float(),
            torch.from_numpy(inputs[f"masks_{side}"])[:, 0].float(),
            tuple(inputs["labels"].tolist()),
            torch.from_numpy(inputs[f"anchors_{tower}"]).float().mT.contiguous(),
            torch.from_numpy(inputs["tokens"]),
        )

    return case


@pytest.fixture(autouse=True)
def _denormals_count() -> Iterator[None]:
    """Undo what a command does to this thread: numbers below 1e-38 are zero while a tower is in use."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@contextmanager
def _logging_kept() -> Iterator[None]:
    logger = logging.getLogger("stackclip")
    before = logger.level, logger.propagate, list(logger.handlers)
    try:
        yield
    finally:
        for handler in set(logger.handlers) - set(before[2]):
            handler.close()
        level, logger.propagate, logger.handlers[:] = before
        logger.setLevel(level)  # loggers below it remember what it let through until they are told


@contextmanager
def _registry_kept() -> Iterator[None]:
    modules = set(sys.modules)
    forget(SHELVES)
    try:
        yield
    finally:
        use_workspace(None)
        forget(SHELVES)
        for name in set(sys.modules) - modules:
            if name.startswith(("stackclip_workspace_", "stackclip_plugin_")):
                del sys.modules[name]


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """The handlers and the level that a test gives to our logger go with it."""
    with _logging_kept():
        yield


@pytest.fixture
def registry_as_it_was() -> Iterator[None]:
    """The components that a test adds to those of the package go with it."""
    with _registry_kept():
        yield


@pytest.fixture(scope="session")
def stackclip() -> Callable[..., Result]:
    """`stackclip(workspace, *words, env=None)`: run a command line in this process, and leave that as it was.

    No traceback and no stray exception may come of it.
    """

    def run(workspace: Path | None, *words: str, env: Mapping[str, str] | None = None) -> Result:
        place = [] if workspace is None else ["--workspace", str(workspace)]
        with _logging_kept(), _registry_kept():
            logging.getLogger("stackclip").propagate = False  # pytest listens at the root, where else nobody does
            result = CliRunner(env=env).invoke(cli, [*place, *words], auto_envvar_prefix="STACKCLIP")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert "Traceback" not in result.output
        return result

    return run


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser of this machine (`STACKCLIP_BROWSER` names one), started once."""
    path = os.environ.get("STACKCLIP_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser at hand, looked for {', '.join(BROWSERS)}: set STACKCLIP_BROWSER to run this test")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with api.sync_playwright() as started:
        found = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield found
        found.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`visit(file, **context)`: a page as a browser without a network shows it.

    Whatever it says on its console, every error, and each request for anything outside the file fails the test.
    """
    wrong, contexts = list[str](), []

    def open_page(file: Path, **how: Any) -> Page:
        context = browser.new_context(offline=True, **how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", lambda asked: wrong.append(asked.url[:200]) if not _own(asked.url) else None)
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def _own(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:"))


TRAINING = "synthetic[categories=2,per_category=4,train_good=4,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=4,size=56]"


@dataclass(frozen=True)
class Small:
    """Two data sets, all of whose pictures are encoded."""

    tower: Tower
    encode: TextEncoder
    store: Store
    training: Dataset
    tested: Dataset

    def plan(self, *methods: str, **words: Any) -> Plan:
        """A plan with one epoch."""
        from stackclip.benchmarks.plan import Plan

        given = {"train_on": (self.training,), "test_on": (self.tested,), "epochs": 1, "batch_size": 3, **words}
        return Plan(methods=methods, **given)


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A small store of two generated data sets."""
    from stackclip.cache import Store, extract
    from stackclip.clip import TextEncoder, random_tower
    from stackclip.data import open_dataset
    from stackclip.types import CLS, MASK

    root = tmp_path_factory.mktemp("small")
    training, tested = (open_dataset(text, generated=root / "data") for text in (TRAINING, TESTED))
    tower = random_tower(image_size=56)
    store = Store.create(root / "features", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    extract(store, tower, [*training, *tested], {CLS, MASK, *tower.spec.taps})
    return Small(tower, TextEncoder(tower), store, training, tested)


@pytest.fixture
def bench(small: Small, tmp_path: Path) -> Callable[..., Bench]:
    """`bench(plan)` over the small store; rows and heads in a folder of the test's own, or in `place`.

    With `alone`, phrases are encoded anew, as another process would.
    """
    from stackclip.benchmarks.rows import RowFolder
    from stackclip.benchmarks.runner import Bench
    from stackclip.clip import TextEncoder

    def make(plan: Plan, place: str = "here", *, alone: bool = False, **words: Any) -> Bench:
        folder = tmp_path / place
        encode = TextEncoder(small.tower) if alone else small.encode
        return Bench(plan, small.tower, encode, small.store, RowFolder(folder / "rows"), folder / "heads", **words)

    return make
