"""The package index that this machine is configured for, and one archive from it.

This is the one place of the library that reads environment variables: `index_settings` looks at what pip and uv
look at, so that a machine with a mirror, a proxy certificate or a folder of archives needs no second configuration.
"""

from __future__ import annotations

import configparser
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from langfield.errors import EnvironmentProblem, FormatError

TIMEOUT_S = 20.0
PIP_SECTIONS = ("global", "download", "install")


@dataclass(frozen=True)
class IndexSettings:
    """Where packages are looked for."""

    index_urls: tuple[str, ...] = ()
    """Indexes beside or instead of the default one, first asked first."""
    find_links: tuple[str, ...] = ()
    """Folders, or pages of links."""
    trusted_hosts: tuple[str, ...] = ()
    certificate: str | None = None
    """Bundle of certificates to trust, a path."""
    use_default: bool = True
    """Ask the resolver library's own default index first."""


def index_settings(environ: Mapping[str, str] | None = None) -> IndexSettings:
    """Read pip's and uv's configuration.

    Environment: PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_NO_INDEX, PIP_FIND_LINKS, PIP_TRUSTED_HOST, PIP_CERT,
    PIP_CONFIG_FILE; UV_DEFAULT_INDEX, UV_INDEX, UV_INDEX_URL, UV_EXTRA_INDEX_URL, UV_NO_INDEX, UV_FIND_LINKS,
    UV_INSECURE_HOST, UV_CONFIG_FILE, UV_NO_CONFIG; SSL_CERT_FILE; XDG_CONFIG_HOME and XDG_CONFIG_DIRS to find the
    files. Files: pip.conf of the machine, the user and the environment; uv.toml of the machine and the user. A default
    index named by either tool replaces the library's; everything else is added together (the archive's hash is pinned,
    so it does not matter which of them serves it).

    Args:
        environ: environment to read; None for the process's own.
    """
    env = os.environ if environ is None else environ
    found = [_from_env(env), *map(_from_pip_conf, _pip_files(env)), *map(_from_uv_toml, _uv_files(env))]
    default = next((f["default"] for f in found if f.get("default")), ())
    indexes = [*default, *(url for f in found for url in f.get("extra", ()))]
    return IndexSettings(
        index_urls=tuple(dict.fromkeys(indexes)),
        find_links=tuple(dict.fromkeys(url for f in found for url in f.get("links", ()))),
        trusted_hosts=tuple(dict.fromkeys(host for f in found for host in f.get("hosts", ()))),
        certificate=next((f["cert"] for f in found if f.get("cert")), None),
        use_default=not default and not any(f.get("no_index") for f in found),
    )


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    def words(*names: str) -> list[str]:
        return [word.split("=", 1)[-1] if "://" in word else word for n in names for word in env.get(n, "").split()]

    return {
        "default": words("UV_DEFAULT_INDEX") or words("UV_INDEX_URL") or words("PIP_INDEX_URL"),
        "extra": words("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
        "links": [w for n in ("UV_FIND_LINKS", "PIP_FIND_LINKS") for w in env.get(n, "").replace(",", " ").split()],
        "hosts": words("UV_INSECURE_HOST", "PIP_TRUSTED_HOST"),
        "cert": env.get("PIP_CERT") or env.get("SSL_CERT_FILE"),
        "no_index": _truth(env.get("PIP_NO_INDEX")) or _truth(env.get("UV_NO_INDEX")),
    }


def _truth(value: str | None) -> bool:
    return (value or "").strip().lower() in {"1", "true", "yes", "on", "t", "y"}


def _config_roots(env: Mapping[str, str]) -> list[Path]:
    user = Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [user, *(Path(p) for p in (env.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if p), Path("/etc")]


def _pip_files(env: Mapping[str, str]) -> Iterator[Path]:
    given = env.get("PIP_CONFIG_FILE")
    if given == os.devnull:
        return
    roots = _config_roots(env)
    files = [Path(sys.prefix) / "pip.conf", roots[0] / "pip/pip.conf", Path.home() / ".pip/pip.conf"]
    files += [root / "pip/pip.conf" for root in roots[1:-1]] + [Path("/etc/pip.conf")]
    yield from (f for f in ([Path(given)] if given else []) + files if f.is_file())


def _uv_files(env: Mapping[str, str]) -> Iterator[Path]:
    if env.get("UV_NO_CONFIG"):
        return
    given = env.get("UV_CONFIG_FILE")
    files = [Path(given)] if given else [root / "uv/uv.toml" for root in _config_roots(env)]
    yield from (f for f in files if f.is_file())


def _from_pip_conf(path: Path) -> dict[str, Any]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise FormatError("pip's configuration is not readable", path, "repair or remove that file") from error

    def words(key: str) -> list[str]:
        lines = [parser.get(s, key, fallback="") for s in PIP_SECTIONS]
        return [word for line in lines for word in line.split()]

    return {
        "default": words("index-url")[:1],
        "extra": words("extra-index-url"),
        "links": words("find-links"),
        "hosts": words("trusted-host"),
        "cert": next(iter(words("cert")), None),
        "no_index": any(map(_truth, words("no-index"))),
    }


def _from_uv_toml(path: Path) -> dict[str, Any]:
    try:
        top = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise FormatError("uv's configuration is not readable", path, "repair or remove that file") from error
    found: dict[str, Any] = {"default": [], "extra": [], "links": [], "hosts": [], "no_index": False}
    for table in (top, top.get("pip", {})):
        entries = [e for e in table.get("index", []) if isinstance(e, dict) and isinstance(e.get("url"), str)]
        found["default"] += [e["url"] for e in entries if e.get("default")] + _texts(table.get("index-url"))
        found["extra"] += [e["url"] for e in entries if not e.get("default")] + _texts(table.get("extra-index-url"))
        found["links"] += _texts(table.get("find-links"))
        found["hosts"] += _texts(table.get("allow-insecure-host"))
        found["no_index"] |= table.get("no-index") is True
    return found


def _texts(value: Any) -> list[str]:
    values: Iterable[Any] = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, str)]


def open_finder(settings: IndexSettings) -> Any:
    """Give unearth's package finder (and with it its HTTP session) for these settings.

    Raises:
        EnvironmentProblem: the certificate bundle cannot be read.
    """
    import ssl

    from unearth import PackageFinder
    from unearth.auth import MultiDomainBasicAuth
    from unearth.fetchers import PyPIClient

    default = [str(s["url"]) for s in PackageFinder().sources] if settings.use_default else []
    indexes = [*default, *settings.index_urls]
    try:
        verify = ssl.create_default_context(cafile=settings.certificate) if settings.certificate else True
    except OSError as error:
        raise EnvironmentProblem("the certificate bundle cannot be read", settings.certificate) from error
    session = PyPIClient(
        trusted_hosts=settings.trusted_hosts, verify=verify, timeout=TIMEOUT_S, follow_redirects=True,
    )  # fmt: skip
    session.auth = MultiDomainBasicAuth(index_urls=indexes)
    links = [link for link in settings.find_links if "://" in link or Path(link).exists()]
    finder = PackageFinder(cast(Any, session), index_urls=indexes, find_links=links, ignore_compatibility=True)
    if not indexes and not links:
        finder.sources.clear()
    return finder


def find_archive(finder: Any, package: str, version: str, archive: str) -> Any:
    """Give the link of one archive, or None where no source offers it.

    Args:
        finder: what `open_finder` gave.
        package: name on the index.
        version: exact version.
        archive: file name of the archive.
    """
    requirement = f"{package}=={version}"
    try:
        matches = finder.find_matches(requirement, allow_yanked=True, allow_prereleases=True)
    except (OSError, ValueError, finder_errors()):
        return None
    return next((m.link for m in matches if m.link is not None and m.link.filename == archive), None)


def finder_errors() -> type[Exception]:
    """Give the base class of what the HTTP session raises when a host cannot be reached."""
    import httpx2

    return httpx2.HTTPError
