"""The codec `pickle`: nearly any Python object. Reading a pickle can run any code, so it is only read when signed."""

from __future__ import annotations

import pickle
from typing import Any, Final

from cachegrid.codecs.protocol import Payload
from cachegrid.codecs.refusal import Refused
from cachegrid.errors import FrameError

__all__ = ["PickleCodec"]

_PROTOCOL: Final = 5  # said, not the newest there is: members of one grid may run different Pythons


class PickleCodec:
    """Pickles. Being `signed`, it gets no payload to read that was not written with the grid's secret."""

    id: Final = 4
    name: Final = "pickle"
    signed: Final = True

    def encode(self, value: Any) -> bytes:
        """The value pickled; `ValueRefused` if it cannot be."""
        try:
            return pickle.dumps(value, _PROTOCOL)
        except Exception as error:
            ways = "store what it is made of"
            raise Refused(type(value), f"pickling failed with {error!r}", ways).as_error(self.name) from error

    def decode(self, payload: Payload) -> object:
        """The object; `FrameError` if its class is gone, or has changed so that it cannot be made."""
        try:
            return pickle.loads(payload)  # noqa: S301 - the pipeline has checked the signature
        except Exception as error:
            raise FrameError(f"a pickle cannot be read: {error!r}") from error
