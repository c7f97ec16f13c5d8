"""Which headers pass, and which are ours to say."""

from typing import Any

from genonaut.gateway.routing.headers import to_client, to_service


def scope(*headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"headers": list(headers), "scheme": "http", "client": ("192.0.2.7", 5), **more}


def test_ordinary_headers_pass_with_their_repeats() -> None:
    headers, length = to_service(scope((b"accept", b"a"), (b"accept", b"b"), (b"x-user-id", b"u")), {})
    assert headers.getall("Accept") == ["a", "b"]
    assert headers["X-User-ID"] == "u"
    assert length == 0


def test_the_client_is_stated_as_it_is_known() -> None:
    headers, _ = to_service(scope((b"host", b"api.example"), (b"x-forwarded-for", b"10.0.0.1")), {"X-Request-ID": "r"})
    assert dict(headers) == {
        "X-Forwarded-Host": "api.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-For": "192.0.2.7",
        "X-Request-ID": "r",
    }


def test_a_client_without_an_address_is_not_invented() -> None:
    headers, _ = to_service(scope(client=None), {})
    assert "X-Forwarded-For" not in headers


def test_headers_of_the_connection_stay_on_it() -> None:
    headers, _ = to_service(
        scope(
            (b"connection", b"keep-alive, X-Secret"),
            (b"x-secret", b"1"),
            (b"keep-alive", b"1"),
            (b"te", b"trailers"),
            (b"upgrade", b"h2c"),
            (b"proxy-authorization", b"Basic x"),
            (b"expect", b"100-continue"),
        ),
        {},
    )
    assert set(headers) == {"X-Forwarded-Proto", "X-Forwarded-For"}


def test_the_length_of_the_body() -> None:
    assert to_service(scope((b"content-length", b"12")), {})[1] == 12
    assert to_service(scope((b"transfer-encoding", b"chunked")), {})[1] is None


def test_bytes_stay_the_same() -> None:
    headers, _ = to_service(scope((b"x-a", "é".encode()), (b"x-b", b"\xe9")), {})
    assert headers["X-A"].encode() == "é".encode()
    assert headers["X-B"] == "é"


def test_what_the_client_gets_and_what_the_gateway_reads() -> None:
    answered = to_client(
        (
            (b"Content-Type", b"Application/Problem+JSON; charset=utf-8"),
            (b"Date", b"now"),
            (b"Server", b"uvicorn"),
            (b"X-Genonaut-Route", b"/api/v1/content/{id}"),
            (b"Connection", b"close, X-Hop"),
            (b"X-Hop", b"1"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Set-Cookie", b"a=1"),
            (b"Set-Cookie", b"b=2"),
        ),
        200,
    )
    assert answered.to_client == [
        (b"content-type", b"Application/Problem+JSON; charset=utf-8"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]
    assert answered.route == "/api/v1/content/{id}"
    assert answered.media_type == b"application/problem+json"


def test_an_answer_without_a_body_has_no_length() -> None:
    assert to_client([(b"Content-Length", b"7")], 304).to_client == []
    assert to_client([(b"Content-Length", b"7")], 200).to_client == [(b"content-length", b"7")]
