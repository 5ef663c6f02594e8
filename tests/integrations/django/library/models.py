"""Books, of authors, in shops."""

from __future__ import annotations

from django.db import models


class Author(models.Model):  # type: ignore[misc] # Django ships no types
    """Has books."""

    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return str(self.name)


class Book(models.Model):  # type: ignore[misc] # as above
    """Is in shops."""

    title = models.CharField(max_length=50)
    pages = models.IntegerField(default=100)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")

    def __str__(self) -> str:
        return str(self.title)


class Shop(models.Model):  # type: ignore[misc] # as above
    """Has books."""

    books = models.ManyToManyField(Book)

    def __str__(self) -> str:
        return f"shop {self.pk}"
