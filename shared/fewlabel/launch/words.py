"""Words of a command line on their way to MONAI, whose command line is Fire's."""

from __future__ import annotations

import re
import shlex

# the last word of keys whose value is a path or a name, and the files that an evaluation scores, by names of one's own
_TEXT = re.compile(
    r"(^|[_#:-])(checkpoint|dir|file|history|image|name|path|root|text|title|uri)$|(^|[#:])checkpoints(#|::)\w+$"
)


def is_option(word: str) -> bool:
    """Return whether Fire takes a word for an option, not for the value of the one before it.

    >>> is_option("--seed"), is_option("-s"), is_option("-1"), is_option("c#1")
    (True, True, False, False)
    """
    return word.startswith("--") or re.match(r"-[a-zA-Z]", word) is not None


def split_option(word: str) -> tuple[str, str | None]:
    """Split ``--key=value``; the value is None where the next word holds it.

    >>> split_option("--seed=1"), split_option("--seed")
    (('--seed', '1'), ('--seed', None))
    """
    key, sign, value = word.partition("=")
    return key, (value if sign else None)


def is_text(key: str) -> bool:
    """Return whether the value of a key is a path or a name.

    >>> is_text("dataset_dir"), is_text("evaluation#checkpoints#mine"), is_text("paper#steps")
    (True, True, False)
    """
    return _TEXT.search(key) is not None


def quoted(text: str) -> str:
    """Return a text as it is written in a shell for Fire, which takes quotes off and leaves what they hold.

    >>> print(quoted("1234"))
    "'1234'"
    """
    written = repr(text)
    return shlex.quote(written) if set('"$`\\!') & set(written) else f'"{written}"'


def as_typed(key: str, value: str) -> str:
    """Return a value such that a path, a name or a word reaches the config as it was typed.

    Fire reads a value as Python, so ``1234`` is a number and the rest of ``c#1`` a comment; and MONAI reads ``#`` in a
    text as ``::``. That is right for numbers, lists, ``None``, ``True`` and references, which are left to them; not for
    a folder called ``2024_02_02``, which would be 20240202, ``[x]``, or ``c#1``. These are put in quotes, and a number
    sign is written as its code in an expression. Values in quotes, and references and expressions, are left as they
    are, and so are values in brackets of keys that hold no path or name.

    Args:
        key: the option; the value of ``--dataset_dir``, ``--train#dataset#cache_dir`` and the like is a path.
        value: what was typed.

    >>> as_typed("--dataset_dir", "2024_02_02"), as_typed("--labeled_cases", "7"), as_typed("--split", "all")
    ("'2024_02_02'", '7', 'all')
    """
    from fire.parser import DefaultParseValue

    if value[:1] in tuple("'\"$@%"):
        return value
    named = is_text(key)
    if value[:1] in tuple("[{") and not named:
        return value
    read = DefaultParseValue(value)
    if not (named or isinstance(read, str) or "#" in value) or (read is None and not named):
        return value
    if "#" in value:
        # MONAI resolves @ and % in an expression
        return repr("$" + repr(value).replace("#", r"\x23").replace("@", r"\x40").replace("%", r"\x25"))
    return value if read == value else repr(value)
