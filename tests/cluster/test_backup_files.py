"""What is written into a backup is what is read from it, or it is refused, file by file."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachegrid.cluster.keeping import files
from cachegrid.cluster.keeping.files import (
    MANIFEST,
    CacheTold,
    Manifest,
    Part,
    Record,
    Writer,
    check,
    read_manifest,
    records,
    write_manifest,
)
from cachegrid.errors import GridError

RECORDS = [Record(b"cg:prices:1:$%d" % number, b"x" * 300, number) for number in range(2_000)]


def written(folder: Path, entries: list[Record]) -> tuple[Part, ...]:
    """Write entries into a folder."""
    writer = Writer(folder)
    for entry in entries:
        writer.add(entry)
    return writer.close()


def manifest(parts: tuple[Part, ...]) -> Manifest:
    """One for these parts."""
    told = CacheTold(name="cg:prices", epoch=1, entries=len(RECORDS), bytes=7)
    return Manifest(grid="a", server="9", begun=1, ended=2, epochs={"cg:prices": 1}, caches=(told,), parts=parts)


def read(folder: Path, parts: tuple[Part, ...]) -> list[Record]:
    """All that is in parts."""
    return [record for part in parts for page in records(folder, part) for record in page]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.binary(max_size=60), st.binary(max_size=3_000), st.integers(0, 1 << 63)), max_size=30))
def test_any_entries_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[bytes, bytes, int]]
) -> None:
    """
    In the same order.
    """
    folder = tmp_path_factory.mktemp("backup")
    expected = [Record(*entry) for entry in entries]
    assert expected == read(folder, written(folder, expected))


def test_many_entries_make_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each knows how many it has, and only their owner can read them."""
    monkeypatch.setattr(files, "PART", 1)
    monkeypatch.setattr(files, "BLOCK", 100_000)
    parts = written(tmp_path, RECORDS)
    assert RECORDS == read(tmp_path, parts)
    assert len(parts) > 3
    assert len(RECORDS) == sum(part.entries for part in parts)
    assert {0o600} == {(tmp_path / part.file).stat().st_mode & 0o777 for part in parts}
    check(tmp_path, parts)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    """All that it says."""
    expected = manifest(written(tmp_path, RECORDS))
    write_manifest(tmp_path, expected)
    assert expected == read_manifest(tmp_path)
    assert 0o600 == (tmp_path / MANIFEST).stat().st_mode & 0o777


def test_a_folder_without_a_manifest_is_no_backup(tmp_path: Path) -> None:
    """Parts alone are what a backup has left that was cut short."""
    written(tmp_path, RECORDS)
    with pytest.raises(GridError, match="did not come to its end"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"ended": 3}, {"format": 2}, {"parts": [{"file": "../secrets", "size": 1, "sha256": "", "entries": 1}]}],
    ids=["changed", "a newer one", "another file"],
)
def test_a_manifest_that_was_changed_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """By its checksum."""
    write_manifest(tmp_path, manifest(written(tmp_path, RECORDS)))
    told = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(told | change))
    with pytest.raises(GridError, match="cannot be used"):
        read_manifest(tmp_path)


def test_a_manifest_names_only_files_of_its_folder(tmp_path: Path) -> None:
    """Whoever wrote its checksum."""
    write_manifest(tmp_path, manifest((Part(file="../secrets", size=1, sha256="", entries=1),)))
    with pytest.raises(GridError, match="names files"):
        read_manifest(tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which."""
    monkeypatch.setattr(files, "FORMAT", 2)
    write_manifest(tmp_path, manifest(()))
    monkeypatch.setattr(files, "FORMAT", 1)
    with pytest.raises(GridError, match="format 2"):
        read_manifest(tmp_path)


def test_what_is_cut_short_damaged_or_missing_is_found(tmp_path: Path) -> None:
    """Each names the file."""
    (part,) = written(tmp_path, RECORDS)
    path, whole = tmp_path / part.file, (tmp_path / part.file).read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(GridError, match=f"{part.file} has .* bytes, and had"):
        check(tmp_path, [part])
    path.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    with pytest.raises(GridError, match=f"{part.file} is damaged"):
        check(tmp_path, [part])
    path.unlink()
    with pytest.raises(GridError, match="cannot be read: No such file"):
        check(tmp_path, [part])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([b"", files.HEAD]))
def test_any_bytes_are_entries_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, head: bytes
) -> None:
    """
    With nothing but GridError.
    """
    folder = tmp_path_factory.mktemp("backup")
    (folder / "entries-00001").write_bytes(head + raw)
    with suppress(GridError):
        read(folder, (Part(file="entries-00001", size=0, sha256="", entries=0),))
