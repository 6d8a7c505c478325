"""The examples as a user has them: in an empty folder, from an installed wheel."""

from __future__ import annotations

import colorsys
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from chromatune import ROOT
from data_prep.synthetic.fruits import CATEGORIES, draw_fruit
from models import read_code, use_code
from tests.installed import Installed
from tests.own_code import forgetting
from tuning.training.tasks import METRICS

EXAMPLES = Path(ROOT) / "examples"


@pytest.mark.slow
def test_the_examples_run_from_a_wheel(installed: Installed) -> None:
    here = installed.folder
    (here / "my photos" / "été").mkdir(parents=True)
    for i in range(12):
        image = Image.fromarray(draw_fruit(0, CATEGORIES[i % 6], i, 40))
        image.save(here / "my photos" / "été" / f"{i}.png")
    shell = installed.shell
    shell("chromatune examples --copy .")
    where = shell("python3 -c 1; chromatune examples; command -v chromatune")
    assert str(installed.command) in where
    assert all(file.name in where for file in here.glob("*.py"))
    small = "--set search.space.epochs=1 --set search.space.model_kwargs.width=8 --backend serial"
    found = shell(f'sh own_pictures.sh "my photos" -c own_search.yaml --num-samples 1 {small}')
    assert "hue_error" in found
    own = "--import own_network.py --import own_metric.py"
    promoted = shell(
        f"chromatune promote colorizer --dataset my-photos --force {own} --format json"
    )
    assert re.search(r'"test_hue_error": \d', promoted)
    shell("chromatune colorize 'my photos/été/3.png' --mode my-photos --import own_network.py")
    assert len(list((here / "Recon").glob("*.png"))) == 1
    (launch,) = (here / "ray_results").iterdir()
    versions = yaml.safe_load((launch / "search" / "best.yaml").read_text())["import"]
    assert [Path(name).name for name in versions] == ["own_network.py", "own_metric.py"]


def test_the_hue_error_is_that_of_colorsys() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 3, 3, 3), dtype=np.uint8)
    hues = [[colorsys.rgb_to_hsv(*map(float, pixel))[0] * 360 for pixel in image.reshape(-1, 3)]
            for image in pixels]  # fmt: skip
    turns = [min(abs(a - b), 360 - abs(a - b)) for a, b in zip(*hues, strict=True)]
    weights = [float(max(pixel)) - min(pixel) for pixel in pixels[1].reshape(-1, 3)]
    with forgetting():
        use_code(read_code(str(EXAMPLES / "own_metric.py")))
        measured = METRICS["hue_error"].function(pixels[0], pixels[1])
    # Hues on the hexagon of HSV and on a circle differ by up to a degree.
    assert measured == pytest.approx(np.average(turns, weights=weights), abs=2)


def test_lpips_is_that_of_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layers = {
        "slice1.0": nn.Conv2d(3, 64, 11, 4, 2),
        "slice2.3": nn.Conv2d(64, 192, 5, 1, 2),
        "slice3.6": nn.Conv2d(192, 384, 3, 1, 1),
        "slice4.8": nn.Conv2d(384, 256, 3, 1, 1),
        "slice5.10": nn.Conv2d(256, 256, 3, 1, 1),
    }
    tensors = {f"net.{n}.{k}": v for n, m in layers.items() for k, v in m.state_dict().items()}
    lins = [torch.rand(1, m.out_channels, 1, 1) for m in layers.values()]
    tensors |= {f"lin{number}.model.1.weight": lin for number, lin in enumerate(lins)}
    save_file(tensors, tmp_path / "lpips.safetensors")
    monkeypatch.setenv("LPIPS_WEIGHTS", str(tmp_path / "lpips.safetensors"))

    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = 0.0
    with torch.inference_mode():
        x, y = (((torch.from_numpy(i) / 255 - mean) / spread).permute(0, 3, 1, 2) for i in images)
        for (name, layer), lin in zip(layers.items(), lins, strict=True):
            if name in ("slice2.3", "slice3.6"):
                x, y = nn.MaxPool2d(3, 2)(x), nn.MaxPool2d(3, 2)(y)
            x, y = layer(x).relu(), layer(y).relu()
            apart = nn.functional.normalize(x, dim=1) - nn.functional.normalize(y, dim=1)
            expected += float((apart.square() * lin).sum(dim=1).mean())
    with forgetting():
        use_code(read_code(str(EXAMPLES / "lpips_metric.py")))
        lpips = METRICS["lpips"].function
        assert lpips(images[0], images[0]) == 0
        assert lpips(images[0], images[1]) == pytest.approx(expected, rel=1e-3)
