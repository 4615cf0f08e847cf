"""Which column of a Parquet file holds pictures."""

from __future__ import annotations

import pyarrow as pa

COLUMNS = ("bytes", "image", "jpg", "png")
"""Usual names, in the order in which they are looked for."""


def column_of(schema: pa.Schema, column: str, name: str) -> str:
    """The column with the pictures.

    It is binary, or a struct with a binary field `bytes`, as Hugging Face's datasets have it.

    Args:
        schema: of the file.
        column: its name if somebody has said it, else "".
        name: of the file.

    Raises:
        ValueError: there is none, or it cannot be told which one.
    """

    def holds(field: pa.Field) -> bool:
        kind = field.type
        if pa.types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0 and holds(kind.field("bytes"))
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    able = [field.name for field in schema if holds(field)]
    if column:
        able = [each for each in able if each == column]
    chosen = next((each for each in COLUMNS if each in able), able[0] if len(able) == 1 else None)
    if chosen is None:
        has = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise ValueError(
            f"{name}: {f'column {column!r} holds no' if column else 'no single column of'} bytes "
            f"(there are: {has}); name the right one with --column"
        )
    return chosen
