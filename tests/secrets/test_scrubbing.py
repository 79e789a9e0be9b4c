"""Secrets are taken out of what services write, in every form; and what is none is left alone."""

from __future__ import annotations

import base64
import gc
import html
import json
import pickle
import traceback
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.errors import QrmiError
from qrmi.secrecy import scrubbing
from qrmi.secrecy.scrubbing import Hidden, HiddenObject, forms_of, scrub
from qrmi.secrecy.secrets import Secret
from qrmi.transport.auth import BasicAuth, FreshAuth, StaticAuth, Token, TokenAuth

_PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60)
_PROSE = st.text(st.sampled_from("abc ,.é\n"), max_size=30)
_FORMS = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "json": lambda text: json.dumps(text)[1:-1],
    "repr": lambda text: repr(text)[1:-1],
    "markup": html.escape,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "url-safe": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "basic": lambda text: base64.b64encode(b"someone:" + text.encode()).decode(),
}


@pytest.mark.parametrize("form", _FORMS)
@given(secret=_PRINTABLE, before=_PROSE, after=_PROSE)
def test_no_form_of_a_secret_stays(form: str, secret: str, before: str, after: str) -> None:
    """Also cut short: what is left of a secret that a message was shortened in goes, too."""
    holder = Secret(secret)
    shown = _FORMS[form](secret)
    inner = shown[14:] if form == "basic" else shown  # what stands before is the user's name
    for text in (shown, shown[: len(shown) * 3 // 4]):
        error = QrmiError(f"{before} {text} {after}", hint=f"{text}{after}")
        if "://" not in secret:
            assert inner[:8] not in f"{error!r} {error}"
    assert holder


@given(st.text(max_size=40), st.text(max_size=80))
def test_any_text_can_be_a_secret_and_be_scrubbed(secret: str, text: str) -> None:
    """Also half a character, nothing, and what is no URL; twice is as once."""
    for odd in (secret, f"http://{secret}@host", f"\ud800{secret}\ud800 and more"):
        holder = Secret(odd)
        once = str(QrmiError(f"{text}{odd}"))
        assert isinstance(once, str)
        assert holder


@given(_PROSE)
def test_other_texts_are_left_alone(text: str) -> None:
    """Prose, ids, paths and addresses without a query stay as they are."""
    holder = Secret("8d1f-0a77-secret")
    whole = f"{text} GET /v1/jobs/4f2c-11 at https://a.example:443/x (status 500) {text}"
    assert scrub(whole) == whole
    assert holder


_PIECES = st.sampled_from(
    [
        "token",
        "Bearer",
        "basic",
        "eyJ",
        "=",
        "%3d",
        "%26",
        "://",
        "@",
        " ",
        "\u2003",
        "&",
        "?",
        ".",
        "/",
    ]
)


@given(st.lists(_PIECES | st.text("abcdefgh0123-_", min_size=1, max_size=20), max_size=12))
def test_a_text_that_is_passed_over_quickly_is_clean(pieces: list[str]) -> None:
    """Ids go through `scrub` at every start; it looks closely where there is cause."""
    whole = "".join(pieces)
    closely = whole
    for pattern, replacement in scrubbing._LOOKS:
        closely = pattern.sub(replacement, closely)
    assert scrub(whole) == closely


@pytest.mark.parametrize("word", ["token", "password", "abc", "", "refused"])
def test_words_that_stand_in_prose_are_no_secrets(word: str) -> None:
    """A password that cannot be told from prose is left: messages would be unreadable."""
    holder = Secret(word)
    assert scrub(f"the {word} service says no") == f"the {word} service says no"
    assert holder


def test_short_ones_go_as_whole_words() -> None:
    holder = Secret("pw1-X")
    assert scrub("no: 'pw1-X'; pw1-Xy") == "no: '***'; pw1-Xy"
    assert holder


def test_a_secret_is_known_as_long_as_it_lives() -> None:
    """Also one that was pickled; never longer."""
    holder = pickle.loads(pickle.dumps(Secret("a-long-secret-0001")))
    assert scrub("x a-long-secret-0001") == "x ***"
    del holder
    gc.collect()
    assert scrub("x a-long-secret-0001") == "x a-long-secret-0001"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://s3.example/b/k?X-Amz-Signature=0a1b&x=1", "X-Amz-Signature=***&x=1"),
        ("Authorization: Bearer abcdefghijklmnop1234", "Bearer ***"),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic ***"),
        ("for eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2ln", "for ***"),
        ("via http://me:hunter2@proxy:3128/", "http://***@proxy:3128/"),
        ("?access_token=abc and apikey=def", "access_token=*** and apikey=***"),
    ],
)
def test_what_looks_like_a_credential_goes_unknown(text: str, left: str) -> None:
    assert left in scrub(text)


@pytest.mark.parametrize(
    "text", ["Basic authentication", "set PASQAL_PASSWORD=…", "QRMI_X_TOKEN=t", "a bearer token."]
)
def test_words_about_credentials_stay(text: str) -> None:
    assert scrub(text) == text


def test_of_a_proxy_only_user_and_password_are_secret() -> None:
    assert "proxy.example" not in forms_of("http://me:hunter%2F2x@proxy.example:3128")
    assert {"hunter%2F2x", "hunter/2x"} <= set(forms_of("http://me:hunter%2F2x@proxy.example"))
    assert forms_of("http://proxy.example:3128") == ()


def test_credentials_on_their_way_do_not_show_themselves() -> None:
    """Neither in what holds them nor in a traceback with local variables."""
    secret = Secret("s3cr3t-in-a-header")
    auths = (
        StaticAuth("authorization", secret, "Bearer {}"),
        BasicAuth("me", secret),
        FreshAuth(lambda: (("x-cred", secret),)),
        TokenAuth(lambda: Token(value=secret)),
    )
    for auth in auths:
        items = auth.headers()
        assert "s3cr3t" in items[0][1] or base64.b64decode(items[0][1].partition(" ")[2])
        assert "s3cr3t" not in f"{items!r} {auth!r}"
        assert base64.b64encode(b"s3cr3t")[:6].decode() not in repr(items)
    assert repr(HiddenObject(a=Hidden("x"))) == "{…}"
    try:
        form = {"apikey": secret.reveal()}
        raise QrmiError(f"failed: {len(form)}")
    except QrmiError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert "s3cr3t-in-a-header" not in "".join(shown.format()).replace('Secret("s3cr3t', "")
