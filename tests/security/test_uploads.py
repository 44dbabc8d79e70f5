"""What is uploaded: names that lead elsewhere, files that are more than they seem, and too much of everything."""

from __future__ import annotations

import io
import socket
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed

from attacker import Answer, ask, dial, read_answer, request
from fakes import fake_engines
from knowledge_files import W, archive
from live import InProcessServer
from talkover.config import load_settings
from talkover.knowledge.loading import load_document
from talkover.knowledge.unreadable import Unreadable
from talkover.loading import build_retriever
from talkover.rest.audio_files import AudioTooLong, UnreadableAudio, read_audio
from talkover.rest.limits import MAX_UPLOAD_MIB
from talkover.tts.voice_clip import ClipRefused, read_clip
from wire import WireClient

BOUNDARY = "x" * 20
ROOM_MB = 400
"""what one upload may take while it is read"""


@pytest.fixture
def peak_mb() -> Iterator[None]:
    """Fails when the test takes more memory than one upload may."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert peak < ROOM_MB, f"{peak:.0f} MB were taken"


def upload(server: InProcessServer, path: str, name: str, content: bytes) -> Answer:
    form = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()  # fmt: skip
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return ask(server, path, headers, method="POST", body=form)


def pdf_bomb(megabytes: int) -> bytes:
    """One page whose content unpacks to so much."""
    packer = zlib.compressobj(1)
    content = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] /Contents 4 0 R >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    data, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (count, len(data))
    return data + b"xref\n0 %d\n0000000000 65535 f \n" % count + table + trailer


def audio(samples: np.ndarray, rate_hz: int, container: str) -> bytes:
    """Written piece by piece: libsndfile's Vorbis encoder overruns its stack on long blocks."""
    buffer = io.BytesIO()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(buffer, "w", rate_hz, channels, format=container) as file:
        for at in range(0, len(samples), rate_hz * 10):
            file.write(samples[at : at + rate_hz * 10])
    return buffer.getvalue()


@pytest.mark.usefixtures("library_threads")
def test_a_document_is_written_nowhere_but_into_its_folder(serve, tmp_path: Path):
    folder, uploads = tmp_path / "documents", tmp_path / "uploads"
    folder.mkdir()
    (folder / "open.md").write_text("# Open\n\nWe open at nine.\n")
    settings = (f"knowledge.path={folder}", f"knowledge.uploads={uploads}", "knowledge.embeddings=none")
    engines = fake_engines()
    retriever = build_retriever(load_settings(None, settings, {}), engines.llm)
    server = serve(replace(engines, retriever=retriever))
    assert upload(server, "/v1/documents", "plain.md", b"# Plain\n\nText.\n").status == 201
    assert (uploads / "plain.md").is_file()
    for name in ("../escape.md", "/etc/x.md", "..\\escape.md", "%2e%2e/x.md", "a\x00.md", ".x.md"):
        upload(server, "/v1/documents", name, b"# Escaped\n\nText.\n")
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and uploads not in path.parents]
    assert outside == [folder / "open.md"]
    assert ask(server, "/v1/documents/..%2fdocuments%2fopen.md", method="DELETE").status == 404
    assert (folder / "open.md").is_file()
    retriever.close()


def test_a_body_without_an_end_is_cut_off(serve):
    """Its length is not declared: what is counted is what came."""
    server = serve(fake_engines())
    with dial(server) as connection:
        head = {"Host": "localhost", "Transfer-Encoding": "chunked", "Content-Type": "application/json"}
        connection.sendall(request("POST", "/v1/audio/speech", head))
        piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        with suppress(ConnectionError):
            for _ in range(MAX_UPLOAD_MIB + 10):
                connection.sendall(piece)
        assert read_answer(connection).status in (413, 0)


def test_a_declared_length_is_believed_before_anything_is_read(serve):
    server = serve(fake_engines())
    with dial(server) as connection:
        connection.sendall(request("POST", "/v1/audio/speech", {"Host": "localhost", "Content-Length": str(10**12)}))
        assert read_answer(connection).status == 413


def test_a_packed_body_is_not_unpacked(serve):
    server = serve(fake_engines())
    packed = zlib.compress(b'{"input": "' + b"a" * 10_000_000 + b'"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = ask(server, "/v1/audio/speech", headers, method="POST", body=packed)
    assert answer.status == 400


def test_frames_are_not_unpacked(serve):
    """A compressed frame of a kilobyte can hold a megabyte: the extension is not even negotiated."""
    server = serve(fake_engines())
    with dial(server) as connection:
        connection.sendall(
            b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        )
        answer = read_answer(connection)
        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers


def test_a_frame_in_pieces_is_no_larger_than_one_in_one(serve):
    """Each piece is within the limit, and the end never comes."""
    server = serve(fake_engines(), "server.max_frame_mib=1")
    with WireClient(server.ws_url) as client:
        client.next()
        with suppress(ConnectionClosed):
            client.connection.send("a" * (300 << 10) for _ in range(8))
        assert client.closed()[0] == 1009


@pytest.mark.usefixtures("peak_mb")
def test_a_word_document_that_unpacks_to_gigabytes_is_refused():
    bomb = archive({"word/document.xml": b"<w/>", **{f"word/media/{at}.bin": bytes(50 << 20) for at in range(5)}})
    assert len(bomb) < 2 << 20
    with pytest.raises(Unreadable, match="unpacks to more"):
        load_document("bomb.docx", bomb)


@pytest.mark.usefixtures("peak_mb")
def test_an_archive_that_lies_about_its_size_is_refused():
    honest = archive({"word/document.xml": bytes(60 << 20)})
    lying = honest.replace((60 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lying != honest
    with pytest.raises(Unreadable):
        load_document("bomb.docx", lying)


def test_a_word_document_with_a_picture_elsewhere_makes_nobody_fetch_it():
    """Its address could be one inside of the network, or a file of the server."""
    office = "http://schemas.openxmlformats.org"
    drawing = f"{office}/drawingml/2006"
    picture = '<wp:inline><a:graphic><a:graphicData><pic:pic><pic:blipFill><a:blip r:link="away"/></pic:blipFill>'
    picture += "</pic:pic></a:graphicData></a:graphic></wp:inline>"
    words = "<w:r><w:t>Have a look.</w:t></w:r>"
    spaces = f'xmlns:w="{W}" xmlns:a="{drawing}/main" xmlns:pic="{drawing}/picture" '
    spaces += f'xmlns:wp="{drawing}/wordprocessingDrawing" xmlns:r="{office}/officeDocument/2006/relationships"'
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.2)
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/inside.png"
        relation = f'Id="away" Type="{office}/officeDocument/2006/relationships/image" Target="{address}"'
        document = archive(
            {
                "word/document.xml": f"<w:document {spaces}><w:body><w:p>{words}<w:r><w:drawing>{picture}</w:drawing>"
                "</w:r></w:p></w:body></w:document>",
                "word/_rels/document.xml.rels": f'<Relationships xmlns="{office}/package/2006/relationships">'
                f'<Relationship {relation} TargetMode="External"/></Relationships>',
            }
        )
        socket.setdefaulttimeout(0.5)  # for whoever does fetch it
        try:
            (section,) = load_document("look.docx", document).sections
        finally:
            socket.setdefaulttimeout(None)
        assert section.sentences[0].text == "Have a look."
        with pytest.raises(TimeoutError):
            elsewhere.accept()


@pytest.mark.usefixtures("peak_mb")
def test_a_pdf_whose_page_unpacks_to_more_than_the_memory_is_refused():
    bomb = pdf_bomb(200)
    assert len(bomb) < 2 << 20
    with pytest.raises(Unreadable):
        load_document("bomb.pdf", bomb)


@pytest.mark.usefixtures("peak_mb")
@pytest.mark.parametrize("container", ["FLAC", "OGG"])
def test_long_audio_in_a_small_file_stops_at_the_limit(container: str):
    bomb = audio(np.zeros(8_000 * 600, np.float32), 8_000, container)
    assert len(bomb) < 1 << 20
    with pytest.raises(AudioTooLong):
        read_audio(bomb, max_duration_s=10)


def test_a_clip_for_a_voice_is_unpacked_no_further_than_it_may_be_long():
    bomb = audio(np.zeros(16_000 * 600, np.int16), 16_000, "FLAC")
    tracemalloc.start()
    with pytest.raises(ClipRefused):
        read_clip(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


@pytest.mark.usefixtures("peak_mb")
def test_audio_of_a_thousand_channels_takes_no_more_memory_than_its_file():
    """A block of so many frames would be a thousand times what it is for one voice."""
    wide = audio(np.zeros((2_000, 1024), np.int16), 16_000, "WAV")
    with suppress(UnreadableAudio):
        assert read_audio(wide, max_duration_s=10).size <= 2_000


@pytest.mark.parametrize("rate_hz", [1, 100, 4_000_000])
def test_audio_of_an_absurd_rate_is_refused_or_read_and_nothing_else(rate_hz: int):
    strange = audio(np.zeros(4_000, np.int16), rate_hz, "WAV")
    with suppress(UnreadableAudio, AudioTooLong):
        assert read_audio(strange, max_duration_s=900).size < 20_000_000
