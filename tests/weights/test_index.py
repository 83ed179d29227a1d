"""What pip and uv are configured for is what weights are fetched from."""

from __future__ import annotations

import pytest

from langfield.errors import FormatError
from langfield.weights.index import index_settings


@pytest.fixture
def homes(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    user, system = tmp_path / "user", tmp_path / "system"
    for folder in (user / "pip", user / "uv", system / "pip"):
        folder.mkdir(parents=True)
    return user, system, {"XDG_CONFIG_HOME": str(user), "XDG_CONFIG_DIRS": str(system), "PIP_CONFIG_FILE": ""}


def test_nothing_configured_means_the_default(homes):
    found = index_settings(homes[2])
    assert found.use_default or found.index_urls  # the machine's own /etc may name one


def test_files_and_environment_add_up(homes):
    user, system, env = homes
    (user / "pip/pip.conf").write_text(
        "[global]\nextra-index-url = http://a/simple\n  http://b/simple\nno-index = false\n"
    )
    (system / "pip/pip.conf").write_text("[install]\nfind-links = /one\n[global]\ntrusted-host = b\n")
    (user / "uv/uv.toml").write_text('find-links = ["/two"]\n[[index]]\nname = "x"\nurl = "http://c/simple"\n')
    found = index_settings({**env, "PIP_FIND_LINKS": "/zero", "UV_INDEX": "named=http://d/simple"})
    assert found.index_urls[:4] == ("http://d/simple", "http://a/simple", "http://b/simple", "http://c/simple")
    assert found.find_links[:3] == ("/zero", "/one", "/two")
    assert found.trusted_hosts[:1] == ("b",)


def test_a_named_default_replaces_the_librarys(homes):
    user, _, env = homes
    (user / "pip/pip.conf").write_text("[global]\nindex-url = http://mirror/simple\n")
    found = index_settings(env)
    assert found.index_urls[0] == "http://mirror/simple"
    assert not found.use_default
    assert index_settings({**env, "UV_DEFAULT_INDEX": "http://uv/simple"}).index_urls[0] == "http://uv/simple"


def test_no_index_is_honoured(homes):
    assert not index_settings({**homes[2], "PIP_NO_INDEX": "1"}).use_default


def test_unreadable_configuration_is_said(homes):
    user, _, env = homes
    (user / "uv/uv.toml").write_text("index = [")
    with pytest.raises(FormatError, match="uv's configuration is not readable"):
        index_settings(env)
