"""Who may use the server: addresses, names, tokens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.tuning.serve.builders import TOKEN
from tuning.errors import ChromatuneError
from tuning.serve.access import check_hosts, read_token
from tuning.serve.server import address_of, open_socket
from tuning.utils.hosts import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_on_loopback_nothing_is_required(host: str) -> None:
    assert is_loopback(host)
    assert check_hosts(host, [], None) >= {"localhost", "127.0.0.1", "[::1]"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.example", ""])
@pytest.mark.parametrize(("names", "token"), [([], None), (["box"], None), ([], TOKEN)])
def test_open_to_others_it_requires_names_and_a_token(
    host: str, names: list[str], token: str | None
) -> None:
    with pytest.raises(
        ChromatuneError, match=r"--allowed-hosts NAME, .* CHROMATUNE_SERVE_TOKEN or"
    ):
        check_hosts(host, names, token)


def test_with_both_it_answers_to_plain_names() -> None:
    assert "box.example" in check_hosts("0.0.0.0", ["Box.Example"], TOKEN)
    with pytest.raises(ChromatuneError, match=r"'\*' is a pattern"):
        check_hosts("0.0.0.0", ["*"], TOKEN)


def test_the_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHROMATUNE_SERVE_TOKEN", raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("CHROMATUNE_SERVE_TOKEN", TOKEN)
    assert read_token(None) == TOKEN
    (tmp_path / "token").write_text(f"{TOKEN[::-1]}\n")
    assert read_token(tmp_path / "token") == TOKEN[::-1]


@pytest.mark.parametrize("text", ["", "short", "with spaces in its middle", "ü" * 20, "a\nb" * 9])
def test_a_weak_or_unsendable_token_is_rejected_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(ChromatuneError, match=r"token-file .* cannot be read"):
        read_token(tmp_path / "token")
    (tmp_path / "token").write_text(text)
    with pytest.raises(ChromatuneError, match="at least 16 ASCII letters") as caught:
        read_token(tmp_path / "token")
    assert not text or text not in str(caught.value)


def test_a_taken_port_or_unknown_host_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ChromatuneError, match=f"port {port} on 127.0.0.1 cannot be used"):
            open_socket("127.0.0.1", port)
    with pytest.raises(ChromatuneError, match=r"port 0 on no\.such\.host\.invalid cannot be used"):
        open_socket("no.such.host.invalid", 0)


def test_a_free_port_is_found_and_can_be_opened() -> None:
    with open_socket("127.0.0.1", 0) as listener:
        assert address_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
        # Nobody is turned away while the server is still starting.
        socket.create_connection(listener.getsockname(), timeout=10).close()
    with open_socket("0.0.0.0", 0) as listener:
        assert address_of(listener).startswith("http://127.0.0.1:")
