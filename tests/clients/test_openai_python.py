"""The `openai` package, as it is, against the server as a user starts it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from live import ServerProcess
from recordings import FRAME_MS, check_heard, frames, is_audible, silence, speech, words
from talkover.audio import samples_to_pcm16
from talkover.messages import Samples
from wire import Event, check_event, check_order

pytestmark = pytest.mark.slow

BYTES_PER_MS = 48


class Client:
    """A program built on the SDK: a microphone that always runs, and a loudspeaker that plays in real time."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Event] = []
        self.arrived_s: list[float] = []
        self._said: list[Samples] = []
        self._news = asyncio.Condition()

    async def read(self) -> None:
        while True:
            data = await self.connection.recv_bytes()
            self.connection.parse_event(data)
            event: Event = json.loads(data)
            check_event(event)
            assert event["type"] != "error", event
            async with self._news:
                self.events.append(event)
                self.arrived_s.append(time.monotonic())
                self._news.notify_all()

    async def run_microphone(self) -> None:
        due_s = time.monotonic()
        quiet = silence(FRAME_MS / 1000)
        while True:
            frame = self._said.pop(0) if self._said else quiet
            audio = base64.b64encode(samples_to_pcm16(frame)).decode()
            await self.connection.input_audio_buffer.append(audio=audio)
            due_s += FRAME_MS / 1000
            await asyncio.sleep(due_s - time.monotonic())

    def say(self, samples: Samples) -> None:
        self._said.extend(frames(samples))

    async def until(self, event_type: str, count: int = 1) -> Event:
        """The `count`-th event of this type since the beginning."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: len(self.of(event_type)) >= count), 20)
        return self.of(event_type)[count - 1]

    def of(self, event_type: str) -> list[Event]:
        return [event for event in self.events if event["type"] == event_type]

    def arrival_s(self, event: Event) -> float:
        return self.arrived_s[self.events.index(event)]

    def audio(self, response_id: str) -> bytes:
        deltas = self.of("response.output_audio.delta")
        return b"".join(base64.b64decode(event["delta"]) for event in deltas if event["response_id"] == response_id)

    def transcript(self, response_id: str) -> str:
        deltas = self.of("response.output_audio_transcript.delta")
        return "".join(event["delta"] for event in deltas if event["response_id"] == response_id)


@asynccontextmanager
async def connected(server: ServerProcess) -> AsyncIterator[Client]:
    openai = AsyncOpenAI(base_url=f"{server.http_url}/v1", api_key="none needed", max_retries=0)
    async with openai, openai.realtime.connect(model="gpt-realtime") as connection:
        client = Client(connection)
        reader = asyncio.create_task(client.read())
        try:
            await client.until("session.created")
            yield client
        finally:
            await stop(reader)
        check_order(client.events)


@asynccontextmanager
async def speaking(client: Client) -> AsyncIterator[None]:
    """The session of a voice application, with its microphone on."""
    await client.connection.session.update(
        session={
            "type": "realtime",
            "instructions": "Be brief.",
            "audio": {
                "input": {
                    "transcription": {"model": "gpt-4o-mini-transcribe"},
                    "turn_detection": {"type": "server_vad"},
                },
                "output": {"voice": "alloy"},
            },
        }
    )
    await client.until("session.updated")
    microphone = asyncio.create_task(client.run_microphone())
    try:
        yield
    finally:
        await stop(microphone)


async def stop(task: asyncio.Task[None]) -> None:
    """Raises what went wrong in it."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def run(server: ServerProcess, scenario: Callable[[Client], Awaitable[None]]) -> None:
    async def connect_and_run() -> None:
        async with connected(server) as client:
            await scenario(client)

    asyncio.run(connect_and_run())


def test_text_turn(embedded: ServerProcess):
    async def scenario(client: Client) -> None:
        connection = client.connection
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is Talkover?"}]}
        )
        await connection.response.create()
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"
        text = done["response"]["output"][0]["content"][0]["text"]
        assert "".join(event["delta"] for event in client.of("response.output_text.delta")) == text
        assert "voice" in text.lower()
        assert not client.of("response.output_audio.delta")

    run(embedded, scenario)


def test_spoken_turn(embedded: ServerProcess):
    async def scenario(client: Client) -> None:
        async with speaking(client):
            client.say(speech("what_is_talkover_slt"))
            heard = await client.until("conversation.item.input_audio_transcription.completed")
            done = await client.until("response.done")
        assert {"what", "is"} <= set(words(heard["transcript"]))
        assert done["response"]["status"] == "completed"
        answer = done["response"]["output"][0]["content"][0]["transcript"]
        assert answer == client.transcript(done["response"]["id"])
        assert {"talkover", "voice"} <= set(words(answer))
        audio = client.audio(done["response"]["id"])
        assert is_audible(audio)
        assert len(audio) / BYTES_PER_MS > 200 * len(words(answer))

    run(embedded, scenario)


def test_barge_in(embedded: ServerProcess):
    async def scenario(client: Client) -> None:
        async with speaking(client):
            client.say(speech("story_slt"))
            first = await client.until("response.output_audio.delta")
            response_id, item_id = first["response_id"], first["item_id"]
            began_s = client.arrival_s(first)
            await asyncio.sleep(2.5)
            client.say(speech("time_slt"))
            started = await client.until("input_audio_buffer.speech_started", 2)
            played_ms = round((client.arrival_s(started) - began_s) * 1000)
            await client.connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=played_ms)
            truncated = await client.until("conversation.item.truncated")
            cancelled = await client.until("response.done")
            answered = await client.until("response.done", 2)
            await client.connection.conversation.item.retrieve(item_id=item_id)
            retrieved = await client.until("conversation.item.retrieved")

        response = cancelled["response"]
        assert (response["id"], response["status"]) == (response_id, "cancelled")
        assert response["status_details"]["reason"] == "turn_detected"
        assert client.arrival_s(cancelled) - client.arrival_s(started) < 0.2
        deltas = [event for event in client.of("response.output_audio.delta") if event["response_id"] == response_id]
        assert client.events.index(deltas[-1]) < client.events.index(started)

        heard = retrieved["item"]["content"][0]["transcript"]
        said = client.transcript(response_id)
        assert 2000 < truncated["audio_end_ms"] <= played_ms
        check_heard(embedded.http_url, said, heard, truncated["audio_end_ms"], "alloy")

        assert answered["response"]["status"] == "completed"
        answer = client.transcript(answered["response"]["id"])
        assert {"morning", "afternoon", "evening", "night", "midnight", "noon"} & set(words(answer)), answer

    run(embedded, scenario)


def test_function_call(embedded: ServerProcess):
    """The embedded responder calls what it is told to call; the client answers and asks again."""

    async def scenario(client: Client) -> None:
        connection = client.connection
        tool = {"type": "function", "name": "lights", "description": "Switch the lights.", "parameters": {}}
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"], "tools": [tool]})
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Lights on, please."}]}
        )
        await connection.response.create(response={"tool_choice": {"type": "function", "name": "lights"}})
        done = await client.until("response.done")
        call = done["response"]["output"][-1]
        assert (call["type"], call["name"]) == ("function_call", "lights")
        assert isinstance(json.loads(call["arguments"]), dict)
        await connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call["call_id"], "output": '{"lights": "on"}'}
        )
        await connection.response.create()
        assert (await client.until("response.done", 2))["response"]["status"] == "completed"

    run(embedded, scenario)


def test_out_of_band_response_leaves_the_conversation_alone(embedded: ServerProcess):
    async def scenario(client: Client) -> None:
        await client.connection.response.create(
            response={
                "conversation": "none",
                "output_modalities": ["text"],
                "metadata": {"purpose": "title"},
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "What is Talkover?"}],
                    }
                ],
            }
        )
        done = await client.until("response.done")
        assert done["response"]["metadata"] == {"purpose": "title"}
        assert done["response"]["conversation_id"] is None
        assert not client.of("conversation.item.added")

    run(embedded, scenario)


def test_manual_turns_without_turn_detection(embedded: ServerProcess):
    """Push to talk: the client commits and asks."""

    async def scenario(client: Client) -> None:
        connection = client.connection
        session = {"type": "realtime", "audio": {"input": {"turn_detection": None, "transcription": {"model": "x"}}}}
        await connection.session.update(session=session)
        for piece in frames(np.concatenate([speech("what_is_talkover_slt"), silence(0.3)])):
            await connection.input_audio_buffer.append(audio=base64.b64encode(samples_to_pcm16(piece)).decode())
        await connection.input_audio_buffer.commit()
        await connection.response.create(response={"output_modalities": ["text"]})
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert {"what", "is"} <= set(words(heard["transcript"]))
        done = await client.until("response.done")
        assert "voice" in done["response"]["output"][0]["content"][0]["text"].lower()
        assert not client.of("input_audio_buffer.speech_started")

    run(embedded, scenario)
