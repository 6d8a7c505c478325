"""A picture's colours are those of its sRGB PNG, whatever the file that holds it."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from data_prep import PrepareSettings, image_formats, prepare
from data_prep.color import is_grayscale, rgb_to_lab
from data_prep.decode import UnusableError, decode_rgb
from tests.data_prep.builders import saved
from tests.data_prep.profiles import P3, SRGB_CURVE, gray_profile, matrix_profile, profile
from tests.data_prep.scene import (
    SIDE,
    SPACES,
    WRITTEN,
    Bytes,
    Case,
    Tolerance,
    cases,
    cmyk_profile,
    in_mode,
    inks,
    png,
    profiled,
    rgb,
    save,
    scene,
    tiff,
)
from tuning.inference.inputs import list_jobs
from tuning.inference.pipeline import Colorized, colorize_files
from tuning.inference.predict import Colorizer, Prediction
from tuning.serve.limits import ServeSettings
from tuning.serve.model_cache import ModelCache
from tuning.serve.upload import colorize_upload
from tuning.tracking.registry.catalog import ModelCard
from tuning.tracking.registry.model_choice import Choice

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

CASES = cases()


def differences(found: Bytes, case: Case) -> npt.NDArray[np.float64]:
    """How far L, a and b are off in each pixel."""
    return np.abs(rgb_to_lab(found).astype(float) - rgb_to_lab(case.shown))


def assert_alike(found: Bytes, case: Case) -> None:
    off = differences(found, case)
    allowed: Tolerance = case.tolerance
    assert off.mean((0, 1)).max() <= allowed.mean, off.mean((0, 1))
    assert off.max() <= allowed.most, off.max((0, 1))


@pytest.mark.parametrize("name", CASES)
def test_decoded(name: str) -> None:
    case = CASES[name]
    picture = decode_rgb(case.data)
    assert_alike(picture.rgb, case)
    assert picture.notes == ((case.note,) if case.note else ())


def write_all(folder: Path) -> dict[str, Case]:
    """Write every file, named by its number: contents say what a file is, not its name."""
    written = {}
    for number, case in enumerate(CASES.values()):
        path = folder / f"s{number % 9 + 1}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.data)
        written[path.relative_to(folder).as_posix()] = case
    return written


def test_prepared(tmp_path: Path) -> None:
    written = write_all(tmp_path / "source")
    settings = PrepareSettings("faces", size=SIDE, augment=1)
    prepared = prepare(settings, tmp_path / "data", source=tmp_path / "source")
    manifest = prepared.dataset.manifest
    skipped = {entry.name: entry.reason for entry in manifest.skipped}
    assert set(skipped) == {name for name, case in written.items() if is_grayscale(case.shown)}
    assert all(reason.startswith("grayscale") for reason in skipped.values())
    assert {(entry.name, entry.note) for entry in manifest.notes} == {
        (name, case.note) for name, case in written.items() if case.note and name not in skipped
    }
    assert f"; {len(manifest.notes)} with several frames" in prepared.summary
    for entry in manifest.files:
        planes = prepared.dataset.planes(entry.split)
        row = [plane[entry.row].astype(float) for plane in (planes.L, planes.a, planes.b)]
        case = written[entry.name]
        off = np.abs(np.stack(row, -1) - rgb_to_lab(case.shown))
        assert off.mean((0, 1)).max() <= case.tolerance.mean
        assert off.max() <= case.tolerance.most


class PaintsTheScene:
    """Stands for a network: it predicts the colours of the scene."""

    ab = rgb_to_lab(rgb())[..., 1:].transpose(2, 0, 1).astype(np.float32) / 255

    def predict(self, L: Bytes) -> Prediction:  # noqa: ARG002
        return Prediction(self.ab, None)


def test_colorized_and_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing the sheets takes three quarters of the time.
    monkeypatch.setattr("tuning.inference.pipeline.picture_grid", lambda *_, **__: rgb())
    written = write_all(tmp_path / "in")
    jobs = list_jobs([tmp_path / "in"], tmp_path / "out").jobs
    network = cast(Colorizer, PaintsTheScene())
    results = list(colorize_files(jobs, network, caption="", evaluate=True))
    card = ModelCard("models:/m/1", "m", 1, "faces", "colorizer")
    choice = Choice(card, None)
    cache = SimpleNamespace(choose=lambda *_: choice, load=lambda _: network)
    assert len(results) == len(CASES)
    for result in results:
        assert isinstance(result, Colorized)
        case = written[result.job.name]
        with Image.open(result.job.picture) as image:
            painted = np.asarray(image)
        off = np.abs(rgb_to_lab(painted)[..., 0].astype(float) - rgb_to_lab(case.shown)[..., 0])
        # Painting keeps L to within one level.
        assert off.mean() <= case.tolerance.mean + 1
        assert off.max() <= case.tolerance.most + 1
        assert bool(result.scores) != is_grayscale(case.shown)
        assert result.notes == ((case.note,) if case.note else ())
        body, headers = colorize_upload(
            case.data, None, "models:/m/1", cast(ModelCache, cache), ServeSettings()
        )
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), painted)
        assert headers["Chromatune-Notes"] == case.note


def test_the_encodings_of_a_space_are_what_its_profile_says() -> None:
    """Without its profile, each is a different picture: the matrix cannot pass by chance."""
    for space in SPACES:
        with Image.open(io.BytesIO(profiled("PNG", space).data)) as image:
            stored = np.asarray(image)
        assert np.abs(rgb_to_lab(stored).astype(float) - rgb_to_lab(rgb())).mean() > 3, space


BAD = "unusable color profile, sRGB assumed"


# A curve that ends at a third.
DIM = b"curv" + struct.pack(">II2H", 0, 2, 0, 65535 // 3)


@pytest.mark.parametrize(
    ("image", "profile", "problem"),
    [
        (scene(), b"no profile", "it is damaged"),
        (scene(), matrix_profile(P3, SRGB_CURVE) + bytes(10_000_000), "it is over 10 MB"),
        (scene(), matrix_profile(P3, SRGB_CURVE)[:300], "it is damaged"),
        (scene(), matrix_profile(P3, b"data" * 4), "it is damaged"),
        (scene(), cmyk_profile(), "it is for CMYK, the pixels are RGB"),
        (scene(), gray_profile(SRGB_CURVE), "it is for L, the pixels are RGB"),
        (scene(), profile(b"HSV ", {}), "it is for HSV"),
        (scene(), matrix_profile(P3, DIM), "it does not map white to white"),
        (inks(), matrix_profile(P3, SRGB_CURVE), "it is for RGB, the pixels are CMYK"),
    ],
)
def test_an_unusable_profile_is_told(image: Image.Image, profile: bytes, problem: str) -> None:
    picture = decode_rgb(save(image, "TIFF", icc_profile=profile))
    assert picture.notes == (f"{BAD} ({problem})",)
    assert np.array_equal(picture.rgb, np.asarray(image.convert("RGB")))


def test_a_profile_that_cannot_be_unpacked_is_told_too() -> None:
    broken = png(8, 2, rgb(), (b"iCCP", b"profile\0\0" + b"no zlib data"))
    assert decode_rgb(broken).notes == (f"{BAD} (it is damaged)",)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (save(Image.fromarray(np.ones((9, 9), np.int32)), "TIFF"), "32-bit or signed integers"),
        (tiff(np.ones((9, 9), np.int16)), "32-bit or signed integers"),
        (tiff(np.full((9, 9), -0.5, np.float32)), "floating-point values outside 0 to 65535"),
        (tiff(np.full((9, 9), np.nan, np.float32)), "floating-point values outside 0 to 65535"),
        (tiff(np.ones((9, 9, 3), np.float32), photometric="rgb"), "not a readable image (a dama"),
        (tiff(np.ones((9, 9), np.float64)), "not a readable image"),
        (tiff(np.ones((9, 9), np.float16)), "not a readable image"),
        (tiff(np.ones((9, 9, 3), np.uint8), photometric="icclab"), "not a readable image"),
        (tiff(np.ones((9, 9, 3), np.uint16), photometric="cielab"), "not a readable image"),
        (tiff(np.ones((9, 9, 5), np.uint8), photometric="separated", extrasamples=[2]), "not a r"),
        (CASES["HEIF RGB"].data[:60], "not a readable image (a damaged HEIF)"),
        (tiff(np.ones((9, 9, 2), np.uint16), extrasamples=["unassalpha"]), "not a readable image"),
        *(
            (saved(scene(), container), "not a readable image (unknown format)")
            for container in ("EPS", "PDF", "ICNS", "ICO", "SPIDER")
        ),
    ],
)  # fmt: skip
def test_what_is_not_read_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(UnusableError) as caught:
        decode_rgb(data)
    assert str(caught.value).startswith(reason)


def test_heif_without_its_reader_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    image_formats._registers_heif.cache_clear()
    with pytest.raises(UnusableError, match=r"pip install 'chromatune\[heic\]'.*save it as JPEG"):
        decode_rgb(CASES["HEIF RGB"].data)
    image_formats._registers_heif.cache_clear()


def test_the_pages_count_the_matrix() -> None:
    for page in ("images.md", "reliability.md"):
        text = (Path(__file__).parents[2] / "docs" / page).read_text()
        assert f"{len(CASES)} files" in text, page


def test_every_mode_that_pillow_writes_is_in_the_matrix() -> None:
    modes = WRITTEN["TIFF"].split()
    for container in set(WRITTEN) - {"GIF", "WEBP", "AVIF", "HEIF"}:
        for mode in set(modes) - set(WRITTEN[container].split()):
            with contextlib.suppress(OSError, ValueError, KeyError):
                data = save(in_mode(mode), container)
                # Written in another mode, or refused when read.
                with Image.open(io.BytesIO(data)) as image:
                    assert image.mode != mode, f"{container} {mode}"
