"""A user's file: run once per version, known when it is in use, carried by its models, trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models import (
    ModelError,
    UntrustedCode,
    UserCode,
    create_model,
    list_models,
    load_model,
    read_code,
    save_model,
    trust_all_code,
    use_code,
    user_code,
)
from models.weights import read_tensors
from tests.own_code import forgetting

NET = """
from torch import nn
from models import register_model

@register_model(task="colorizer", heads=("tanh",), image_sizes=range(8, 65))
def own_net(image_size, width=4):
    return nn.Conv2d(1, 2, {kernel}, padding="same")
"""


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    with forgetting():
        yield


def net(kernel: int, name: str = "net.py") -> UserCode:
    return UserCode(name, NET.format(kernel=kernel))


def kernel_of(model: torch.nn.Module) -> int:
    return model.body.kernel_size[0]  # type: ignore[union-attr,index,return-value]


def test_a_newer_version_of_a_file_replaces_the_older_one() -> None:
    for kernel in (3, 5, 3):
        use_code(net(kernel))
        assert list_models("colorizer").count("own_net") == 1
        assert kernel_of(create_model("own_net", head="tanh", image_size=8)) == kernel


def test_a_name_belongs_to_one_file() -> None:
    use_code(net(3))
    with pytest.raises(ModelError, match=r"^other.py: a model named 'own_net' is already"):
        use_code(net(5, "other.py"))
    with pytest.raises(ModelError, match=r"unet.py:5: ModelError: a model named 'unet' is already"):
        use_code(UserCode("unet.py", NET.format(kernel=3).replace("own_net", "unet")))
    assert kernel_of(create_model("own_net", head="tanh", image_size=8)) == 3


def test_a_model_carries_its_code_and_runs_it_only_if_trusted(tmp_path: Path) -> None:
    use_code(net(3))
    model = create_model("own_net", head="tanh", image_size=8)
    save_model(model, tmp_path / "old.safetensors")
    loaded = load_model(tmp_path / "old.safetensors")
    L = torch.rand(2, 1, 8, 8)
    assert torch.equal(loaded(L), model.eval()(L))
    assert loaded.code == net(3)
    save_model(loaded, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "old.safetensors"
    ).read_bytes()


def test_untrusted_code_of_a_model_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, trace = tmp_path / "old.safetensors", tmp_path / "it has run"
    old = f"from pathlib import Path\nPath({str(trace)!r}).touch()\n{net(3).source}"
    brought = UserCode("net.py", old)
    with forgetting():
        use_code(brought)
        save_model(create_model("own_net", head="tanh", image_size=8), file)
    monkeypatch.setattr(user_code, "_loaded", {})  # as in another process
    trace.unlink()
    digest = brought.digest[:12]
    with pytest.raises(UntrustedCode, match=rf"^it brings code: net.py \(sha256 {digest}\); if"):
        load_model(file, label="it")
    use_code(net(5))
    other = net(5).digest[:12]
    with pytest.raises(UntrustedCode, match=rf"{digest}\), but --import has .*\(sha256 {other}\)"):
        load_model(file)
    assert not trace.exists()
    # Both versions side by side: a model keeps its own, new ones take what is in use.
    trust_all_code()
    assert kernel_of(load_model(file)) == 3
    assert trace.exists()
    assert kernel_of(create_model("own_net", head="tanh", image_size=8)) == 5


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ({"name": "../net.py", "source": "x"}, "'../net.py' is no name of a Python file"),
        ({"name": "net.py"}, "'source'"),
        ({"name": "net.py", "source": "import nothing_at_all"}, "net.py:1: ModuleNotFoundError"),
        ({"name": "net.py", "source": "pass"}, "net.py registers no model"),
        ({"name": "net.py", "source": NET.format(kernel=3)}, r"unknown model of net.py \(sha256"),
    ],
)
def test_damaged_code_in_a_model_is_one_line(
    code: dict[str, str], complaint: str, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    save_model(create_model("unet", head="tanh", image_size=64, width=8), tmp_path / "unet")
    tensors, metadata = read_tensors(tmp_path / "unet")
    ((key, text),) = metadata.items()
    spec = json.loads(text)
    save_file(tensors, tmp_path / "bad", {key: json.dumps({**spec, "code": code})})
    with pytest.raises(ModelError, match=complaint) as raised:
        load_model(tmp_path / "bad", trust_code=True)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("x = (", "net.py:1: SyntaxError: '(' was never closed"),
        ("def f():\n    import nothing_at_all\n\nf()", "net.py:2: ModuleNotFoundError: No module"),
        ("import sys\nsys.exit('no')", "net.py:2: SystemExit: no"),
        ("x = 1", "net.py registers no model, loss or metric"),
        (NET.format(kernel=3).replace("colorizer", "colouriser"), "net.py:5: ModelError: unknown"),
        (NET.format(kernel=3).replace('("tanh",)', '("tan",)'), "did you mean 'tanh'"),
    ],
)
def test_an_error_in_a_file_is_one_line_with_its_place(
    source: str, complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "net.py"
    file.write_text(source)
    with pytest.raises(ModelError) as raised:
        use_code(read_code(str(file)))
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_module_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pack_of_nets").mkdir()
    (tmp_path / "pack_of_nets" / "__init__.py").write_text(NET.format(kernel=3))
    monkeypatch.syspath_prepend(tmp_path)
    code = read_code("pack_of_nets")
    assert (code.name, code.digest) == ("pack_of_nets.py", net(3).digest)
    with pytest.raises(ModelError, match="neither a file nor a module 'no_such_nets'"):
        read_code("no_such_nets")
    (tmp_path / "my_nets.py").write_text(NET.format(kernel=3))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(ModelError, match=r"'my_nets'; did you mean 'my_nets.py'\?"):
        read_code("my_nets")
    with pytest.raises(ModelError, match=r"no file no_such_nets.py"):
        read_code("no_such_nets.py")
