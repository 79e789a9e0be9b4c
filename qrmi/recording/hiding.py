"""Taking secrets and session tokens out of everything that is recorded.

Only what is known to be secret is taken out, so that everything else stays as it is to the byte.
"""

from __future__ import annotations

import hashlib
import re

from qrmi.secrecy.scrubbing import MASK, holders
from qrmi.settings import Settings

__all__ = ["Scrubber", "shown_settings"]

_SHORT = 8  # a shorter secret counts only where it is a word by itself
_PRIVATE_KEY = re.compile(r"TOKEN|SESSION_ID|PASSWORD|SECRET|CREDENTIAL")
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_PLACEHOLDER = re.compile(r"session-[0-9a-f]{8}")


class Scrubber:
    """Replaces secrets by ``***`` and session tokens by placeholders.

    Secrets are what any `qrmi.settings.Secret` of this process holds. A token's placeholder is the
    same in every process, and says nothing about the token.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def learn(self, settings: Settings) -> None:
        """Hide the values of settings that hold a session's token."""
        for attribute, declaration in settings.declarations().items():
            value = getattr(settings, attribute)
            if isinstance(value, str) and _PRIVATE_KEY.search(declaration.key):
                self.token(value)

    def token(self, value: str) -> str:
        """The placeholder of a session's token, which is hidden from now on."""
        if not value or _PLACEHOLDER.fullmatch(value):
            return value
        name = "session-" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:8]
        self._tokens = {**self._tokens, str(value): name}
        return name

    def clean(self, text: str) -> str:
        """The text without any of them."""
        for holder in holders():
            for form in holder.forms():
                if form in text:
                    text = _without(text, form, MASK)
        for token, name in self._tokens.items():
            if token in text:
                text = _without(text, token, name)
        return text


def _without(text: str, form: str, instead: str) -> str:
    if len(form) >= _SHORT:
        return text.replace(form, instead)
    return re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", instead, text)


def shown_settings(settings: Settings) -> dict[str, str]:
    """What of the settings a recording may show: no secret, no token, no user of a URL."""
    return {
        key: _USER_IN_URL.sub(f"{MASK}@", text)
        for key, text in settings.export().items()
        if not _PRIVATE_KEY.search(key)
    }
