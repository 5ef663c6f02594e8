"""Compiled templates that all processes share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket, bc_magic

from cachegrid import SyncCache
from cachegrid.errors import ConfigError, EngineTimeout, Unreachable

__all__ = ["GridBytecodeCache"]

_FORMAT: Final = 2  # of what our own tag is compiled to; another one is other code
# What code is compiled by, besides the text of a template: the same text gives other code where one of these differs.
_OPTIONS: Final = (
    *("block_start_string", "block_end_string", "variable_start_string", "variable_end_string"),
    *("comment_start_string", "comment_end_string", "line_statement_prefix", "line_comment_prefix"),
    *("trim_blocks", "lstrip_blocks", "newline_sequence", "keep_trailing_newline", "optimized", "is_async"),
    *("sandboxed", "intercepted_binops", "finalize", "code_generator_class"),
)


class GridBytecodeCache(BytecodeCache):
    """
    Compiled templates, kept in a grid: a process that starts finds what another has compiled.

    `cache` is one of `connect()` with `codec="pickle"`, which signs what it stores with the grid's secret: this is
    code, and only who knows the secret may write what others run. Others raise ConfigError. Where the grid cannot
    answer that raises, unless the cache's policy says `on_outage="load"`: then templates are compiled as without it.
    """

    def __init__(self, cache: SyncCache) -> None:
        if not isinstance(cache, SyncCache):
            raise ConfigError("the cache of compiled templates", cache, "one of connect(): Jinja2 loads in sync code")
        if cache.policy.codec != "pickle":
            want = 'one with codec="pickle", which signs what it stores: compiled templates are code that others run'
            raise ConfigError("the cache of compiled templates", cache, want)
        self._cache = cache

    def get_bucket(self, environment: Environment, name: str, filename: str | None, source: str) -> Bucket:
        """The bucket of a template, filled if it was compiled before, from this text, in such an environment."""
        checksum = self.get_source_checksum(source)
        bucket = Bucket(environment, _code_key(environment, name, filename, checksum), checksum)
        self.load_bytecode(bucket)
        return bucket

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill a bucket, if its template was compiled before."""
        code = self._past_outages(self._cache.get, bucket.key)
        if code is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._past_outages(self._cache.set, bucket.key, bucket.bytecode_to_string())

    def clear(self) -> None:
        """Drop all of them, for everybody."""
        self._cache.clear()

    def _past_outages(self, act: Callable[..., Any], *args: Any) -> Any:
        try:
            return act(*args)
        except (EngineTimeout, Unreachable):
            if self._cache.policy.on_outage != "load":
                raise
            return None


def _code_key(environment: Environment, name: str, filename: str | None, checksum: str) -> str:
    """Jinja2's own key is a template's name; its code depends on its text, the environment and the Python, too."""
    options = [_said(getattr(environment, option, None)) for option in _OPTIONS]
    escapes = environment.autoescape(name) if callable(environment.autoescape) else environment.autoescape
    form = (_FORMAT, name, filename, checksum, bool(escapes), options, sorted(environment.extensions), bc_magic)
    return hashlib.sha256(repr(form).encode("utf-8", "surrogatepass")).hexdigest()


def _said(option: Any) -> str:
    """An option, the same in every process."""
    if isinstance(option, frozenset):
        return repr(sorted(option))
    if callable(option):
        code = getattr(option, "__code__", None)
        return f"{option.__module__}.{option.__qualname__} {code and (code.co_code, code.co_names)}"
    return repr(option)
