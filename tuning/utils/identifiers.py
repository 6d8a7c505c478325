"""Names that become files and folders, validated wherever a document holds one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

# No separator, no `..`, nothing hidden: such a name cannot lead out of its folder.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+=-]*$", max_length=200)]
