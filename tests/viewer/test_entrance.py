"""Opening a page: what is said of it, and what is refused before anything is served."""

import pytest

from langfield.errors import EnvironmentProblem, SettingsError
from langfield.viewer.entrance import ViewerSettings, check_address, check_viser, invitation, invite, is_loopback
from langfield.viewer.gate import Gate, Key


def test_the_invitation_names_tunnel_and_danger():
    local = "\n".join(invitation("http://127.0.0.1:7007", 7007, "127.0.0.1"))
    assert "ssh -L 7007:127.0.0.1:7007 " in local
    assert "WARNING" not in local
    assert "WARNING" in "\n".join(invitation("http://localhost:7007", 7007, "0.0.0.0"))  # noqa: S104
    assert ViewerSettings().host == "127.0.0.1"
    assert not ViewerSettings().allow_network
    assert all(is_loopback(h) for h in ("127.0.0.1", "::1", "localhost"))
    assert not any(is_loopback(h) for h in ("0.0.0.0", "10.0.0.1", "example"))  # noqa: S104


def test_an_unsafe_viser_or_a_foreign_address_is_refused():
    check_viser("1.1.1")
    check_viser("1.0.25")
    for old in ("0.2.7", "1.0.24"):
        with pytest.raises(EnvironmentProblem, match="every file"):
            check_viser(old)
    check_address("127.0.0.1")
    with pytest.raises(EnvironmentProblem, match="cannot listen"):
        check_address("192.0.2.1", allow_network=True)
    with pytest.raises(SettingsError, match="--allow-network"):
        check_address("0.0.0.0")  # noqa: S104


class Page:
    """Is served, as far as it says."""

    port = 7007

    def __init__(self) -> None:
        self.gate = Gate()

    def link(self, key: Key) -> str:
        return f"http://{key.role}/{key.secret}"


def test_a_link_to_look_around_is_made_only_when_asked_for(capsys: pytest.CaptureFixture[str]):
    page = Page()
    invite(page, "127.0.0.1", None)
    told = capsys.readouterr().err
    assert f"http://owner/{page.gate.owner.secret}" in told
    assert "http://reader/" not in told
    invite(page, "127.0.0.1", 5)
    assert "to look around only, for 5 minutes: http://reader/" in capsys.readouterr().err
