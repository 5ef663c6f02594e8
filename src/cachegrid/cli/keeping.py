"""`cachegrid backup` and `cachegrid restore`: the entries of any grid in a folder, and back, while programs use it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cachegrid.cli.exits import Exit, ending_cleanly, fail, saying_if_stopped
from cachegrid.cli.options import Config, Json, Name, Url
from cachegrid.cli.rebalance import DryRun

if TYPE_CHECKING:
    from cachegrid.cli.reached_target import Meant
    from cachegrid.cluster.keeping.backup import BackupPlan
    from cachegrid.cluster.keeping.files import CacheTold, Manifest
    from cachegrid.cluster.keeping.restore import Restored, RestorePlan

__all__ = ["backup", "restore"]

OneCache = Annotated[str | None, typer.Option("--cache", metavar="NAME", help="Only this cache.")]


def backup(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    *,
    cache: OneCache = None,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """
    Keep the entries of a grid in a folder.

    While programs use it; also of a grid or a server that others run. DIR is there when the backup is whole.
    Interrupted, the same command begins anew.
    """
    from cachegrid.cli.operating import bar
    from cachegrid.cli.reached_target import grid_meant
    from cachegrid.cluster.keeping.backup import backup as take

    grid = grid_meant(url, name, config)
    told: list[BackupPlan] = []
    begun = time.monotonic()

    def tell(plan: BackupPlan) -> None:
        told.append(plan)
        if not as_json:
            print(_backup_text(plan), flush=True)

    stopping = saying_if_stopped(partial(_unkept_text, folder))
    with ending_cleanly(), bar("entries", quiet=as_json or dry_run) as progress, stopping:
        manifest = take(
            grid.target,
            Path(folder),
            grid=grid.name or grid.url,
            cache=grid.cache(cache),
            is_rehearsal=dry_run,
            tell=tell,
            progress=progress or (lambda *_: None),
        )
    seconds = time.monotonic() - begun
    if as_json:
        print(json.dumps(_backup_told(grid, told[0], manifest, seconds), indent=2))
    elif manifest:
        print(_kept_text(manifest, folder, seconds))


def restore(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of a backup.")],
    *,
    cache: OneCache = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Where caches have entries: let them be as in the backup.")
    ] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Where caches have entries: keep those, and bring back what is missing.")
    ] = False,
    resume_times: Annotated[
        bool, typer.Option("--resume-times", help="Times to live go on where they were when the backup was made.")
    ] = False,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """
    Bring the entries of a backup back into a grid.

    Into this one or another, of whatever size. The backup is checked before anything is written. Entries end when they
    would have ended. The exit code is 1 if not all could be brought back. Interrupted, it may be run again.
    """
    from cachegrid.cli.operating import bar
    from cachegrid.cli.reached_target import grid_meant
    from cachegrid.cluster.keeping.restore import CLEARING, Mode
    from cachegrid.cluster.keeping.restore import restore as bring
    from cachegrid.errors import ConfigError

    if replace and merge:
        raise ConfigError("--merge", True, "left out where --replace is said: they are opposites")
    mode = Mode.REPLACE if replace else Mode.MERGE if merge else Mode.EMPTY
    grid = grid_meant(url, name, config)
    told: list[RestorePlan] = []
    steps: set[str] = set()
    begun = time.monotonic()

    def tell(plan: RestorePlan) -> None:
        told.append(plan)
        if not as_json:
            print(_restore_text(plan), flush=True)

    with ending_cleanly(), bar("checking", quiet=as_json or dry_run) as progress:

        def step(what: str, done: int, total: int) -> None:
            steps.add(what)
            if progress:
                progress(what, done, total)

        try:
            done = bring(
                grid.target,
                Path(folder),
                grid=grid.name or grid.url,
                cache=grid.cache(cache),
                mode=mode,
                secret=grid.secret,
                goes_on=resume_times,
                is_rehearsal=dry_run,
                tell=tell,
                progress=step,
            )
        except BaseException as error:
            if CLEARING in steps or isinstance(error, KeyboardInterrupt | SystemExit):
                fail(_stopped_text(mode is Mode.EMPTY, is_shown=CLEARING in steps))
            raise
    seconds = time.monotonic() - begun
    if as_json:
        print(json.dumps(_restore_told(grid, told[0], done, seconds), indent=2))
    else:
        print(_restored_text(done, seconds, grid.option) if done else "all its files are whole; nothing was written")
    if done and (done.unsigned or done.evicted or done.cleared or done.unreplicated):
        raise typer.Exit(Exit.NO)


def _backup_text(plan: BackupPlan) -> str:
    from cachegrid._core.units import size_text
    from cachegrid.cli.show import counted

    what = f"cache {plan.cache.partition(':')[2]}" if plan.cache else "all caches"
    there = f"{counted(plan.owners, 'owner')} with about {counted(plan.entries, 'entry')} in {size_text(plan.bytes)}"
    return f"keep {what} of {plan.grid}, which has {there}, in {plan.folder}"


def _kept_text(manifest: Manifest, folder: str, seconds: float) -> str:
    from cachegrid._core.units import size_text
    from cachegrid.cli.show import counted

    size = size_text(sum(part.size for part in manifest.parts))
    what = f"{counted(manifest.entries, 'entry')} of {counted(len(manifest.caches), 'cache')}"
    line = f"{'' if manifest.is_exact else 'up to '}{what} kept in {folder} ({size}) after {seconds:.1f} s"
    left_out = [f"{count:,} {what}" for what, count in manifest.left_out.items()]
    return f"{line}\nnot kept: {', '.join(left_out)}" if left_out else line


def _unkept_text(folder: str) -> str:
    """What a backup that was stopped has left."""
    if Path(folder).exists():  # it was given its name in that very moment
        return f"stopped when {folder} was there already: the backup is whole"
    return f"stopped: nothing is kept, and {folder} is not there; run it again, it begins anew"


def _restore_text(plan: RestorePlan) -> str:
    from cachegrid._core.units import size_text
    from cachegrid.cli.show import counted

    made = datetime.fromtimestamp(plan.backup.ended / 1000, UTC).astimezone().isoformat(" ", "seconds")
    what = f"{counted(plan.entries, 'entry')} ({size_text(plan.bytes)}) of {counted(len(plan.caches), 'cache')}"
    lines = [f"bring {what} back into {plan.grid}, as of {made}:"]
    lines += [f"  {cache.name.partition(':')[2]}  {counted(cache.entries, 'entry')}" for cache in plan.caches]
    if plan.room is not None and plan.bytes > plan.room:
        lines.append(f"there is room for {size_text(plan.room)}: entries will be evicted, or refused")
    return "\n".join(lines)


def _restored_text(done: Restored, seconds: float, which: str) -> str:
    from cachegrid.cli.show import counted

    lines = [f"{counted(done.restored, 'entry')} restored after {seconds:.1f} s"]
    told = {
        "were there already, and stayed": done.kept,
        "not: their time was over": done.passed,
        "not: they are signed with a secret that is not this grid's (see the setting secret)": done.unsigned,
        "were evicted meanwhile: the grid is too small": done.evicted,
    }
    lines += [f"{count:,} {what}" for what, count in told.items() if count]
    lines += [f"cache {name.partition(':')[2]} was cleared meanwhile, and so it is empty" for name in done.cleared]
    if done.unreplicated:
        lines.append(
            f"perhaps not with {', '.join(done.unreplicated)}: away, or far behind: see cachegrid doctor{which}"
        )
    return "\n".join(lines)


def _stopped_text(begins_anew: bool, *, is_shown: bool) -> str:
    if is_shown:
        return "stopped when all was restored and seen by programs: only clearing up was not ended"
    return "stopped: run it again, it begins anew" if begins_anew else "stopped: run it again to go on"


def _backup_told(grid: Meant, plan: BackupPlan, manifest: Manifest | None, seconds: float) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": grid.name,
        "url": grid.url,
        "folder": str(plan.folder),
        "dry_run": manifest is None,
        "planned": {"owners": plan.owners, "entries": plan.entries, "memory_bytes": plan.bytes},
    }
    if manifest is None:
        return told
    size = sum(part.size for part in manifest.parts)
    return told | {
        "entries": manifest.entries,
        "exact": manifest.is_exact,
        "bytes": manifest.bytes,
        "file_bytes": size,
        "caches": [_cache_told(cache) for cache in manifest.caches],
        "left_out": manifest.left_out,
        "seconds": round(seconds, 3),
    }


def _restore_told(grid: Meant, plan: RestorePlan, done: Restored | None, seconds: float) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": grid.name,
        "url": grid.url,
        "folder": str(plan.folder),
        "dry_run": done is None,
        "mode": plan.mode.value,
        "made": datetime.fromtimestamp(plan.backup.ended / 1000, UTC).isoformat(),
        "caches": [_cache_told(cache) for cache in plan.caches],
        "entries": plan.entries,
        "bytes": plan.bytes,
        "room_bytes": plan.room,
    }
    if done is None:
        return told
    return told | {
        "restored": done.restored,
        "kept": done.kept,
        "passed": done.passed,
        "unsigned": done.unsigned,
        "evicted": done.evicted,
        "cleared": [name.partition(":")[2] for name in done.cleared],
        "unreplicated": list(done.unreplicated),
        "seconds": round(seconds, 3),
    }


def _cache_told(cache: CacheTold) -> dict[str, Any]:
    return {"cache": cache.name.partition(":")[2], "entries": cache.entries, "bytes": cache.bytes}
