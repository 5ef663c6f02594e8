"""Files for TLS that cannot be used are named with the setting that says them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cachegrid.engines.valkey.target import TlsFiles
from cachegrid.errors import ConfigError
from cachegrid.testing.certificates import make_certificates


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
@pytest.mark.parametrize(("wrong", "said"), [("gone.pem", "No such file"), ("", "Is a directory"), ("text.pem", "")])
def test_the_file_that_is_wrong_is_named(name: str, wrong: str, said: str, tmp_path: Path) -> None:
    """
    One that is missing, a folder, or one with something else in it.
    """
    (tmp_path / "text.pem").write_text("hello")
    right = make_certificates(tmp_path)
    place = str(tmp_path / wrong)
    files: dict[str, Any] = {"ca": str(right.ca), "cert": str(right.cert), "key": str(right.key)} | {name: place}
    with pytest.raises(ConfigError, match=rf"^{name} is |^cert and key is .*text\.pem") as caught:
        TlsFiles(**files).context()
    assert re.search(f"{re.escape(place)}.*{said}", str(caught.value))


def test_a_key_of_another_certificate_is_told_with_both(tmp_path: Path) -> None:
    """
    Either may be the wrong one.
    """
    mine, other = make_certificates(tmp_path / "mine"), make_certificates(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"cert and key is '.*mine.*, .*other.*'; .* that belong together"):
        TlsFiles(cert=str(mine.cert), key=str(other.key)).context()
    assert TlsFiles(ca=str(mine.ca), cert=str(mine.cert), key=str(mine.key)).context().check_hostname
