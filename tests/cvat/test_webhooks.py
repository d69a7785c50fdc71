"""Deliveries that are none: the receiver answers, and goes on."""

import socket

import pytest

from siaf.cvat.server.webhooks import WebhookReceiver


@pytest.mark.parametrize("length", ["²", "-1", "", "1e3", "9" * 5000, "+5"])
def test_an_odd_content_length_is_refused(length: str) -> None:
    receiver = WebhookReceiver("127.0.0.1:0", "s3cret", lambda job: None)
    try:
        with socket.create_connection(("127.0.0.1", receiver.port), 5) as connection:
            connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
            assert connection.recv(100).split(b"\r\n")[0].split()[1] == b"413"
    finally:
        receiver.close()


@pytest.mark.parametrize(
    "body", [b"[" * 10**5, b'{"event": "update:job", "job": {"id": 1e999}}', b'{"event": "update:job", "job": [1]}']
)
def test_what_names_no_job_is_passed_over(body: bytes) -> None:
    heard: list[int] = []
    WebhookReceiver._take(body, heard.append)
    assert heard == []
