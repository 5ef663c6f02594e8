"""Registered classes: kept by name, and never imported because stored bytes say so."""

from __future__ import annotations

import abc
import enum
from collections.abc import Iterator
from dataclasses import dataclass, field, make_dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import pytest

from cachegrid.codecs import kinds, register, registry
from cachegrid.codecs.plain import PlainCodec
from cachegrid.errors import ConfigError, FrameError, ValueRefused
from cachegrid.testing.codec_contract import difference
from tests.unit.codec_values import Colour, Frozen, Level, Mark, Pair, Place, Rights, Slotted, Tone

PLAIN = PlainCodec()


def round_trip(value: Any) -> Any:
    return PLAIN.decode(PLAIN.encode(value))


def enum_of(name: str, members: list[str]) -> type[enum.Enum]:
    """One that is made where a checker cannot see it."""
    make: Any = enum.Enum
    made: type[enum.Enum] = make(name, members)
    return made


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What a test registers is gone after it."""
    tables: list[tuple[dict[Any, Any], dict[Any, Any]]] = [
        (table, dict(table)) for table in (kinds.KINDS, registry._BY_NAME)
    ]
    yield
    for table, before in tables:
        table.clear()
        table.update(before)


@pytest.mark.parametrize(
    "value",
    [
        *Colour,
        *Level,
        *Tone,
        Rights.READ,
        Rights.READ | Rights.WRITE,
        Rights(0),
        Place("x", at=(1.0, 2.0)),
        Frozen(Frozen(None)),
        Slotted(1, [2]),
        Pair(1, Pair(2, 3)),
        Mark("text"),
    ],
    ids=repr,
)
def test_registered_classes_are_kept(value: Any) -> None:
    """
    Alone, among others, as keys and as parts of each other; enum members are the very members.
    """
    assert difference(value, round_trip(value)) is None
    for nest in ([value], (value,), {"a": value}, Place(value), [{"column": value}] * 9):
        assert difference(nest, round_trip(nest)) is None
    if isinstance(value, enum.Enum):
        assert value is round_trip(value)
        assert {value: value} == round_trip({value: value})


def test_init_is_not_run_again() -> None:
    """
    A dataclass comes back field by field: what `__init__` would change or forbid is as it was.
    """

    @register
    @dataclass
    class Ticket:
        """Its constructor may run once in its life."""

        number: int
        used: list[str] = field(default_factory=list)
        checked: bool = field(init=False, default=False)

        def __post_init__(self) -> None:
            assert not Ticket.sealed

        sealed = False

    ticket = Ticket(7, ["gate"])
    ticket.checked = True
    Ticket.sealed = True
    assert difference(ticket, round_trip(ticket)) is None


def test_cached_properties_are_no_fields() -> None:
    """
    What a cached property has put beside the fields is left out, and computed again.
    """
    place = Place("x")
    assert "the place x" == place.label
    got = round_trip(place)
    assert "label" not in vars(got)
    assert "the place x" == got.label


def test_other_fields_are_a_miss() -> None:
    """
    A value that was stored when its class had other fields is never filled into the new ones.
    """
    register(make_dataclass("Order", ["number", "total"]), "order")
    old = PLAIN.encode(registry._BY_NAME["order"].cls(1, 2))
    del registry._BY_NAME["order"]
    register(make_dataclass("Order", ["total", "number"]), "order")
    with pytest.raises(FrameError, match="'order' had other fields"):
        PLAIN.decode(old)


def test_a_member_that_is_gone_is_a_miss() -> None:
    """
    A stored enum member that the class no longer has is a FrameError.
    """
    sizes = register(enum_of("Size", ["S", "M"]), "size")
    old = PLAIN.encode(sizes["M"])
    del registry._BY_NAME["size"]
    register(enum_of("Size", ["S", "L"]), "size")
    with pytest.raises(FrameError, match="'M'"):
        PLAIN.decode(old)


def test_a_class_made_anew_takes_over_its_name() -> None:
    """
    Reloading a module registers its classes again: what was stored is read as the new class.
    """

    def load() -> Any:
        @register
        @dataclass
        class Reloaded:
            """Made anew by each call."""

            part: int

        return Reloaded

    first, second = load(), load()
    assert first is not second
    got = PLAIN.decode(PLAIN.encode(first(1)))
    assert second is type(got)


def test_a_name_is_given_once() -> None:
    """
    Two classes of one name would be taken for each other, so that the second is refused.
    """
    register(make_dataclass("Mine", ["a"]), "shared name")
    with pytest.raises(ConfigError, match="shared name"):
        register(make_dataclass("Yours", ["a"]), "shared name")


class Abstract(abc.ABC):
    """A class without instances."""

    @abc.abstractmethod
    def act(self) -> None: ...


@dataclass
class Listing(list[int]):
    """A list with a field beside its members."""

    title: str = ""


@pytest.mark.parametrize("cls", [object, type("Bare", (), {}), Listing, dataclass(Abstract), int, list, dict, tuple])  # type: ignore[type-abstract]
def test_a_class_that_cannot_be_kept_is_refused(cls: type) -> None:
    """
    What is not made of its fields alone needs functions of its own; what plain keeps anyway needs nothing.
    """
    with pytest.raises(ConfigError):
        register(cls)
    with pytest.raises(ConfigError):
        register(cls, pack=str)


def test_any_class_can_be_kept_by_functions() -> None:
    """
    `pack` gives a value that plain keeps, `unpack` makes an equal object of that; either failing is told.
    """
    register(Fraction, pack=lambda value: (value.numerator, value.denominator), unpack=lambda parts: Fraction(*parts))
    assert difference([Fraction(1, 3)], round_trip([Fraction(1, 3)])) is None
    assert Fraction(2, 3) == round_trip(Fraction(2, 3))

    register(Listing, pack=lambda value: value.gone, unpack=Listing)  # type: ignore[attr-defined]
    for value in (Listing(), [Listing()]):
        with pytest.raises(ValueRefused, match="its registered pack failed: AttributeError") as caught:
            PLAIN.encode(value)
        assert Listing is caught.value.kind
        assert isinstance(caught.value.__cause__, AttributeError)

    register(Abstract, pack=id, unpack=Abstract)  # type: ignore[type-abstract, arg-type]
    concrete = type("Concrete", (Abstract,), {"act": int})
    register(concrete, pack=lambda value: [type(value)], unpack=concrete)
    with pytest.raises(ValueRefused) as caught:
        PLAIN.encode([concrete()])
    assert "value[0].pack()[0]" == caught.value.path


def test_unpack_failing_is_a_miss() -> None:
    """
    A function that cannot read what was stored makes the entry a FrameError that names the reason.
    """
    register(Fraction, "fraction", pack=str, unpack=lambda text: Fraction(text.missing))
    with pytest.raises(FrameError, match="missing"):
        PLAIN.decode(PLAIN.encode([Fraction(1, 3)]))


def test_a_named_tuple_with_attributes_is_refused() -> None:
    """
    A subclass of a named tuple may have attributes besides, which would be lost.
    """

    class Base(NamedTuple):
        """The fields."""

        a: int

    @register
    class Extended(Base):
        """Has a dictionary, as classes do."""

    value = Extended(1)
    assert difference(value, round_trip(value)) is None
    value.note = "x"  # type: ignore[attr-defined]
    with pytest.raises(ValueRefused, match="note"):
        PLAIN.encode(value)


def test_descriptors_under_the_names_of_fields_are_obeyed() -> None:
    """
    A field that is kept by a property is read and written through it.
    """

    @register
    @dataclass
    class Clamped:
        """Its field lives elsewhere."""

        __slots__ = ("_level",)
        level: int

    Clamped.level = property(  # type: ignore[assignment]
        lambda self: self._level, lambda self, level: object.__setattr__(self, "_level", min(level, 9))
    )
    register(Clamped)
    assert 9 == round_trip(Clamped(12)).level
    assert difference(Clamped(5), round_trip(Clamped(5))) is None


def test_a_field_that_is_not_set_is_refused() -> None:
    """
    An object whose field was deleted has no value to keep.
    """
    value = Slotted(1)
    del value.left
    with pytest.raises(ValueRefused, match="left"):
        PLAIN.encode([value])
