"""Fragments of templates that are kept in a grid."""

from __future__ import annotations

import enum
import hashlib
import threading
import uuid
from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias

from jinja2 import Environment, TemplateSyntaxError, Undefined, nodes
from jinja2.ext import Extension
from jinja2.nativetypes import NativeEnvironment
from jinja2.parser import Parser
from jinja2.runtime import Context
from markupsafe import Markup

from cachegrid import AsyncCache, SyncCache
from cachegrid.errors import ConfigError, KeyRefused

__all__ = ["CacheExtension", "cache_fragments"]

_SETTINGS: Final = ("ttl", "idle", "tags")  # what the tag takes by name
Source: TypeAlias = tuple[str, str, int, int]  # a template, a digest of its text, the line of a tag, and its number
_PLAIN: Final = (str, bytes, int, bool, float, type(None), Decimal, uuid.UUID, date, datetime, time, timedelta)


def cache_fragments(environment: Environment, cache: SyncCache | AsyncCache, *, version: int | str = 1) -> None:
    """
    Teach an environment the tag `cache`; what it holds is rendered once for all processes, and kept in `cache`.

    An environment with `enable_async=True` takes a cache of `aconnect()`, another one that of `connect()`. Raise
    `version` where fragments change in ways that no template shows: a filter, a global, an included template.
    Raises ConfigError for a cache of the other colour, or one that loads in the background (`grace`, `early`), and for
    a NativeEnvironment, which makes no text.
    """
    if isinstance(environment, NativeEnvironment):
        want = "one whose templates make text: what a NativeEnvironment makes may be anything"
        raise ConfigError("the environment of fragments", environment, want)
    if not isinstance(cache, AsyncCache if environment.is_async else SyncCache):
        way = "cachegrid.aconnect()" if environment.is_async else "cachegrid.connect()"
        want = f'one of {way}, as the environment\'s enable_async says, such as grid.cache("fragments")'
        raise ConfigError("the cache of fragments", cache, want)
    if cache.policy.grace is not None or cache.policy.early:
        # What a fragment is made from is there while its request is: a database session, a translation.
        want = "without grace and early: a fragment can be rendered only while its request lasts"
        raise ConfigError("the cache of fragments", cache, want)
    environment.add_extension(CacheExtension)
    vars(environment).update(fragments=cache, fragments_version=str(version))  # `extend` would keep what is there


class CacheExtension(Extension):
    """The tag `cache`: a name, what the fragment varies on, and `ttl=`, `idle=` and `tags=` as for `cache.set`."""

    tags = {"cache"}  # noqa: RUF012 - so it is asked for

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._source = threading.local()  # of the template that this thread compiles

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Note which text is compiled: a fragment of another text is another fragment."""
        self._source.tags = 0
        self._source.digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
        return source

    def parse(self, parser: Parser) -> nodes.Node:
        """Make a call of the tag, with its inside as what is called where nothing is kept."""
        line = next(parser.stream).lineno
        self._source.tags += 1
        source = nodes.Const((parser.name or "", self._source.digest, line, self._source.tags))
        values, settings = _arguments(parser)
        body = parser.parse_statements(("name:endcache",), drop_needle=True)
        _refuse_blocks(parser, body)
        call = self.call_method("_fragment", [nodes.ContextReference(), source, nodes.List(values)], settings)
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _fragment(self, context: Context, source: Source, values: list[Any], *, caller: Any, **settings: Any) -> Any:
        """The text of a fragment; it is rendered where nobody has, and an error in it is kept by nobody."""
        cache = getattr(self.environment, "fragments", None)
        if cache is None:
            raise ConfigError("the cache of fragments", None, "given by cache_fragments(environment, cache)")
        is_safe = bool(context.eval_ctx.autoescape)
        form = (self.environment.fragments_version, is_safe)  # type: ignore[attr-defined] # by `extend`
        key = _key(source, (*form, *[_part(value) for value in values]))
        return (_rendered_async if self.environment.is_async else _rendered)(cache, key, caller, settings, is_safe)


def _arguments(parser: Parser) -> tuple[list[nodes.Expr], list[nodes.Keyword]]:
    """What stands in the tag: expressions, of which the first is the name, and settings. Raises TemplateSyntaxError."""
    values: list[nodes.Expr] = []
    settings: list[nodes.Keyword] = []
    stream = parser.stream
    while stream.current.type != "block_end":
        if values or settings:
            stream.expect("comma")
        if stream.current.type == "name" and stream.look().type == "assign":
            name, line = stream.current.value, stream.current.lineno
            if name not in _SETTINGS or name in {setting.key for setting in settings}:
                parser.fail(f"the tag cache takes {', '.join(_SETTINGS)} by name, each once, and got {name!r}", line)
            stream.skip(2)
            settings.append(nodes.Keyword(name, parser.parse_expression(), lineno=line))
        elif settings:
            parser.fail("what a fragment varies on comes before what is said by name", stream.current.lineno)
        else:
            values.append(parser.parse_expression())
            if len(values) == 1:
                _check_name(parser, values[0])
    if not values:
        parser.fail('a fragment needs a name: {% cache "sidebar" %}', exc=TemplateSyntaxError)
    return values, settings


def _refuse_blocks(parser: Parser, body: list[nodes.Node]) -> None:
    """Raise TemplateSyntaxError for what another template may fill: it would be shown by all that extend this one."""
    inside = nodes.Template(body)
    strays = [*inside.find_all(nodes.Block), *[name for name in inside.find_all(nodes.Name) if name.name == "self"]]
    if strays:
        what = "a block, which templates that extend this one fill differently: put the fragment into the block"
        parser.fail(f"a fragment cannot hold {what}", strays[0].lineno)


def _check_name(parser: Parser, first: nodes.Expr) -> None:
    """Whoever knows another tag of this name says a time first, and would get a fragment that lives for ever."""
    if isinstance(first, nodes.Const) and not isinstance(first.value, str):
        want = f'{{% cache "footer", ttl={first.value!r} %}}'
        parser.fail(f"a fragment has its name first, and its time behind ttl=: {want}", first.lineno)


def _rendered(
    cache: SyncCache,
    key: tuple[str, str],
    caller: Callable[[], str],
    settings: dict[str, Any],
    is_safe: bool,  # noqa: FBT001
) -> str:
    text = cache.get_or_load(key, lambda: _bare(caller()), **settings)
    return Markup(text) if is_safe else text  # noqa: S704 - so it was when it was rendered


async def _rendered_async(
    cache: AsyncCache,
    key: tuple[str, str],
    caller: Callable[[], Awaitable[str]],
    settings: dict[str, Any],
    is_safe: bool,  # noqa: FBT001
) -> str:
    async def load() -> str:
        return _bare(await caller())

    text = await cache.get_or_load(key, load, **settings)
    return Markup(text) if is_safe else text  # noqa: S704 - so it was when it was rendered


def _bare(text: str) -> str:
    """A text of the plain type, which is what a grid keeps."""
    return str.__str__(text)


def _key(source: Source, parts: tuple[Any, ...]) -> tuple[str, str]:
    digest = hashlib.sha256(repr((source, parts)).encode("utf-8", "surrogatepass")).hexdigest()
    return source[0][:200], digest


def _part(value: Any) -> tuple[str, Any]:
    """
    A value as a part of a key, the same in every process. Raises KeyRefused for what may not be one.

    What is undefined is refused as well: a misspelt name would give everybody the fragment of the first.
    """
    if isinstance(value, Undefined):
        str(value)  # raises, where the environment is strict
        why = value._undefined_message  # noqa: SLF001 - which says what is, in the words of all its other errors
        raise KeyRefused(
            f"a fragment cannot vary on what is undefined: {why}; give None, or a default, if that is meant"
        )
    if isinstance(value, enum.Enum):
        return f"{type(value).__module__}.{type(value).__qualname__}", value.name
    if isinstance(value, (tuple, list)):
        return "several", tuple([_part(item) for item in value])
    if isinstance(value, str):  # or text that is safe to show as it is, which looks otherwise
        return type(value).__qualname__, _bare(value)
    if type(value) in _PLAIN:
        return type(value).__name__, repr(value)
    raise KeyRefused(
        f"a fragment cannot vary on {value!r:.80}, a {type(value).__name__}: say which part of it, or str(...)"
    )
