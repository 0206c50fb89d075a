"""Forms of a signature. A module of its own, so that the command line knows them without what signs."""

from enum import StrEnum


class Form(StrEnum):
    """The guide's hex with a secret key, Toss's v1 with a security key, or no signature at all."""

    HEX = "hex"
    V1 = "v1"
    NONE = "none"
