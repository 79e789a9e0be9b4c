"""One libcurl handle with its connection, and what an answer brings."""

from __future__ import annotations

import io
import math
import os
import select
import sys

from qrmi.transport.libcurl import pycurl
from qrmi.transport.messages import USER_AGENT, Headers, Request, Response, Timeout
from qrmi.transport.network import Route
from qrmi.transport.outcomes import SendError, refused_by_proxy
from qrmi.transport.received import HeaderLines, LargeBody

__all__ = ["Line"]

_SLOWEST_UPLOAD_BYTES_PER_SECOND = 100_000
_NOT_SENT = {
    pycurl.E_COULDNT_RESOLVE_PROXY: "the proxy's name is unknown",
    pycurl.E_COULDNT_RESOLVE_HOST: "the host's name is unknown",
    pycurl.E_COULDNT_CONNECT: "no connection",
}
_PERMANENT = {
    pycurl.E_URL_MALFORMAT: "the URL is malformed",
    pycurl.E_SSL_CONNECT_ERROR: "the TLS connection was refused",
    pycurl.E_PEER_FAILED_VERIFICATION: "the server's certificate is not trusted",
    pycurl.E_SSL_CERTPROBLEM: "the client certificate cannot be used",
    pycurl.E_SSL_CACERT_BADFILE: "the trusted certificates cannot be read",
}
_BY_CALLBACK = (pycurl.E_WRITE_ERROR, pycurl.E_ABORTED_BY_CALLBACK)


class Line:
    """One libcurl handle with its connection; used by one thread at a time.

    Args:
        route: the way to the one host that it is used for.
    """

    def __init__(self, route: Route) -> None:
        self._curl = pycurl.Curl()
        self._headers: Headers | None = None
        self._timeout: Timeout | None = None
        self._request: Request | None = None
        self._url = ""
        self._method = "GET"
        self._is_fresh = False
        self._is_lean = False
        self._is_large = False
        self._has_pulse = False
        self._limit_ms = 0
        self._body_size = -1
        self._descriptor = -1
        self._poll = select.poll()
        self._lines: list[bytes] = []
        self._body = io.BytesIO()
        self._large = LargeBody(self._lines)
        self._set_up(route)

    def _set_up(self, route: Route) -> None:
        put = self._curl.setopt
        put(pycurl.NOSIGNAL, 1)
        put(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        put(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        put(pycurl.MAXCONNECTS, 1)  # a fresh connection replaces the kept one, which is closed
        put(pycurl.FOLLOWLOCATION, 0)
        put(pycurl.PATH_AS_IS, 1)
        put(pycurl.ACCEPT_ENCODING, "gzip, deflate")
        put(pycurl.BUFFERSIZE, 64 * 1024)
        put(pycurl.USERAGENT, USER_AGENT)
        put(pycurl.HTTPGET, 1)
        put(pycurl.HEADERFUNCTION, self._lines.append)
        put(pycurl.WRITEFUNCTION, self._body.write)  # a large body comes in many pieces
        put(pycurl.XFERINFOFUNCTION, _pulse)
        put(pycurl.PROXY, route.proxy or "")
        if route.certificates is None:
            put(pycurl.SSL_VERIFYPEER, 0)
            put(pycurl.SSL_VERIFYHOST, 0)
        else:
            is_folder = os.path.isdir(route.certificates)  # noqa: PTH112 (a text from settings)
            put(pycurl.CAPATH if is_folder else pycurl.CAINFO, route.certificates)
        if route.client_certificate:
            put(pycurl.SSLCERT, route.client_certificate)
        if route.client_key:
            put(pycurl.SSLKEY, route.client_key)

    def close(self) -> None:
        """Close the connection; the line is of no use any more."""
        self._curl.close()

    def send(
        self, request: Request, headers: Headers, timeout: Timeout, *, lean: bool = False
    ) -> Response:
        """The answer, whatever its status; a lean one has only the headers that libcurl reads.

        Raises:
            SendError: there was none; the line is of no use any more.
            BaseException: what a signal's handler raised meanwhile; the same holds.
        """
        curl = self._curl
        if headers is not self._headers:
            curl.setopt(pycurl.HTTPHEADER, [*headers.lines, "expect:"])
            self._headers = headers
        if timeout is not self._timeout:
            self._set_timeout(timeout)
        if lean is not self._is_lean:
            self._set_lean(lean)
        try:
            if request is not self._request:  # a request that is polled is the same each time
                self._set_request(request, timeout)
            curl.perform()
        except pycurl.error as error:
            raise self._failure(error) from None
        except UnicodeError:
            raise SendError("the URL is malformed", sent=False, permanent=True) from None
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        known = self._essentials(status) if lean else HeaderLines(self._lines)
        self._lines.clear()
        if self._is_large:
            return Response(status, known, self._large.content())
        body = self._body.getvalue()  # not copied: the buffer is given away
        self._body.seek(0)
        self._body.truncate()
        return Response(status, known, body)

    def _set_request(self, request: Request, timeout: Timeout) -> None:
        is_get = request.method == "GET"
        self._request = request if is_get else None  # a body is not kept
        pulse = request.hold_seconds > 0 or not is_get
        if pulse is not self._has_pulse:
            self._has_pulse = pulse
            self._curl.setopt(pycurl.NOPROGRESS, int(not pulse))
        if request.large is not self._is_large:
            self._is_large = request.large
            takes = self._large if request.large else self._body
            self._curl.setopt(pycurl.WRITEFUNCTION, takes.write)
        if not is_get or self._method != "GET":
            self._set_method(request, timeout)
        if request.url != self._url:
            self._curl.setopt(pycurl.URL, request.url)
            self._url = request.url

    def _set_lean(self, lean: bool) -> None:
        if lean:
            self._curl.unsetopt(pycurl.HEADERFUNCTION)
        else:
            self._curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        self._is_lean = lean

    def _essentials(self, status: int) -> dict[str, str]:
        """The headers that libcurl itself reads; a redirect's is made absolute."""
        read = self._curl.getinfo_raw
        kind = read(pycurl.CONTENT_TYPE)
        found = {} if kind is None else {"content-type": kind.decode("latin-1")}
        if status >= 300:
            if location := read(pycurl.REDIRECT_URL):
                found["location"] = location.decode("latin-1")
            if seconds := read(pycurl.RETRY_AFTER):
                found["retry-after"] = str(seconds)
        return found

    def _set_timeout(self, timeout: Timeout) -> None:
        connect = max(int(timeout.connect_seconds * 1000), 1)
        self._curl.setopt(pycurl.CONNECTTIMEOUT_MS, connect)
        self._curl.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        self._curl.setopt(pycurl.LOW_SPEED_TIME, max(math.ceil(timeout.read_seconds), 1))
        self._timeout = timeout

    def _set_method(self, request: Request, timeout: Timeout) -> None:
        method, fresh, limit_ms = request.method, False, 0
        if method != self._method:
            self._change_method(method)
        if method not in ("GET", "HEAD"):
            body = request.body or b""
            self._set_body(body)
            # libcurl counts what is sent as progress: silence is seen by the time of the whole
            seconds = timeout.read_seconds
            sending = len(body) / _SLOWEST_UPLOAD_BYTES_PER_SECOND
            if sending > 1:
                seconds += timeout.connect_seconds + sending
            limit_ms = int(seconds * 1000)
            fresh = not request.idempotent and (not body or self._is_closed())
        if fresh is not self._is_fresh:
            self._curl.setopt(pycurl.FRESH_CONNECT, int(fresh))
            self._is_fresh = fresh
        if limit_ms != self._limit_ms:
            self._curl.setopt(pycurl.TIMEOUT_MS, limit_ms)
            self._limit_ms = limit_ms

    def _change_method(self, method: str) -> None:
        put = self._curl.setopt
        self._curl.unsetopt(pycurl.CUSTOMREQUEST)
        if method == "HEAD":
            put(pycurl.NOBODY, 1)
        elif method == "GET":
            put(pycurl.HTTPGET, 1)
        else:
            put(pycurl.POST, 1)
            if method != "POST":
                put(pycurl.CUSTOMREQUEST, method)
        self._method = method

    def _set_body(self, body: bytes) -> None:
        """Bodies are read from a stream that cannot be rewound.

        libcurl sends a request anew when a kept connection turns out to be closed; it cannot do so
        with a body that it has begun to send. A request that must not be sent twice gets a new
        connection when the kept one is closed already, or when it has no body.
        """
        if len(body) != self._body_size:
            self._body_size = len(body)
            self._curl.setopt(pycurl.POSTFIELDSIZE_LARGE, self._body_size)
        self._curl.setopt(pycurl.READFUNCTION, io.BytesIO(body).read)

    def _is_closed(self) -> bool:
        """Whether the server has closed the connection that is kept."""
        descriptor = self._curl.getinfo(pycurl.ACTIVESOCKET)
        if descriptor < 0:
            return False
        if descriptor != self._descriptor:
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLIN)
            self._descriptor = descriptor
        return bool(self._poll.poll(0))

    def _failure(self, error: Exception) -> BaseException:
        code = error.args[0]
        if code in _BY_CALLBACK and (raised := _raised_meanwhile()) is not None:
            return raised
        proxy_status = self._curl.getinfo(pycurl.HTTP_CONNECTCODE)
        if proxy_status >= 400:
            return refused_by_proxy(proxy_status)
        if code in _PERMANENT:
            return SendError(_PERMANENT[code], sent=False, permanent=True)
        if code in _NOT_SENT:
            return SendError(_NOT_SENT[code], sent=False)
        if code == pycurl.E_OPERATION_TIMEDOUT:
            if self._curl.getinfo(pycurl.PRETRANSFER_TIME) == 0:
                return SendError("no connection in time", sent=False)
            return SendError("no answer in time", sent=True)
        return SendError("the connection broke off", sent=True)


def _pulse(_total: int, _received: int, _whole: int, _sent: int) -> int:
    """Called by libcurl while it waits, so that Python sees Ctrl-C.

    That costs a GET that is answered at once more than it is worth.
    """
    return 0


_CALLBACKS = (_pulse.__code__, LargeBody.write.__code__)


def _raised_meanwhile() -> BaseException | None:
    """What a signal's handler raised in a callback, which pycurl prints and does not pass on.

    It passes on `KeyboardInterrupt` and `SystemExit`.
    """
    raised: BaseException | None = getattr(sys, "last_value", None)  # what was printed last
    trace = raised.__traceback__ if raised is not None else None
    return raised if trace is not None and trace.tb_frame.f_code in _CALLBACKS else None
