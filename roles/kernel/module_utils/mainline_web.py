"""Read one bounded answer over HTTP and say in a sentence what went wrong."""

import http.client
import socket
import ssl
import time
import urllib.error

from ansible.module_utils import urls

#: Statuses after which it makes sense to ask again. 410 says "gone for ever", but it is what the archive
#: answers to somebody who asks for too much at once.
_ASK_AGAIN = {408, 410, 425, 429}

#: An answer may take so many times the seconds that the server may be silent.
_PATIENCE = 4

_BLOCK = 1 << 16


class WebError(Exception):
    """An address could not be read; ``temporary``: ask again; ``status``: that of HTTP, or None."""

    def __init__(self, text, temporary, status=None):
        super().__init__(text)
        self.temporary = temporary
        self.status = status


def get(url, limit, timeout):
    """Read an address.

    Args:
        url: http or https; redirects are followed.
        limit: how many bytes the answer may have.
        timeout: for how many seconds the server may be silent. The whole answer may take four times as long.

    Returns:
        A pair: the address that answered in the end, and the bytes.

    Raises:
        WebError: it cannot be read.

    """
    deadline = time.monotonic() + _PATIENCE * timeout
    try:
        with urls.open_url(url, timeout=timeout, http_agent="uring-lab", decompress=False) as answer:
            body = b""
            while True:
                block = answer.read1(_BLOCK)
                body += block
                if not block:
                    break
                if len(body) > limit:
                    raise WebError(
                        f"{url} answers with more than the {limit >> 10} KiB that make sense", False
                    )
                if time.monotonic() > deadline:
                    raise WebError(f"{url} takes more than {_PATIENCE * timeout} seconds for an answer", True)
            promised = answer.headers.get("Content-Length") or ""
            if promised.isdigit() and len(body) < int(promised):
                raise WebError(f"{url} ended after {len(body)} of {promised} bytes", True)
            return answer.geturl(), body
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(url, error) from None
    except urllib.error.URLError as error:
        raise _unreached(url, error.reason) from None
    # ValueError: an address that is none. The second is what Ansible makes of a proxy's or TLS's refusal.
    except (OSError, http.client.HTTPException, urls.ConnectionError, ValueError) as error:
        raise _unreached(url, error) from None


def _refused(url, error):
    """Return the error for an answer that is not 200."""
    if 300 <= error.code < 400:
        return WebError(f"{url} sends us round in circles by redirects", False, error.code)
    if error.code == 404:
        return WebError(f"{url} is not there (404)", False, 404)
    if error.code == 407:
        return WebError(f"a proxy wants to know who asks for {url} (407): give it in https_proxy", False, 407)
    temporary = error.code in _ASK_AGAIN or error.code >= 500
    advice = (
        ": too much may have been asked of it at once; wait a few minutes" if error.code in _ASK_AGAIN else ""
    )
    return WebError(f"{url} answers {error.code}{advice}", temporary, error.code)


def _unreached(url, reason):
    """Return the error for an answer that did not come, or not whole."""
    if isinstance(reason, (ssl.SSLError, urls.SSLValidationError)):
        return WebError(f"{url} has no certificate that this computer trusts: {reason}", False)
    if isinstance(reason, socket.gaierror):
        temporary = reason.errno == socket.EAI_AGAIN
        return WebError(f"{url} has a name that cannot be looked up: {reason.strerror}", temporary)
    if isinstance(reason, (OSError, http.client.HTTPException)) and not isinstance(
        reason, http.client.InvalidURL
    ):
        return WebError(f"{url} cannot be read: {reason or type(reason).__name__}", True)
    return WebError(f"{url} cannot be read: {reason}", False)
