"""A long message is understood piece by piece as it would be whole, and refused before it is built where it would cost too much."""

from __future__ import annotations

import base64
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parley.core.words.events import AudioArrived, ClientErred, ClientEvent, ItemCreateRequested
from parley.core.words.items import InputAudio, InputImage, Message
from parley.core.words.limits import MAX_APPEND_BYTES
from parley.wire import limits
from parley.wire.dialects import GA
from parley.wire.long_message import LongMessage

MIB = 1024 * 1024
PIECE = 16 * 1024
MARK = "unguessable"


def understood(data: bytes, piece: int = PIECE) -> tuple[ClientEvent, LongMessage, int]:
    """The event, its message, and the steps it took to decode."""
    message = GA.long_message(MARK)
    for at in range(0, len(data), piece):
        message.push(data[at : at + piece])
    steps = sum(1 for _ in message.decode())
    return message.event, message, steps


texts = st.one_of(
    st.text(max_size=40), st.sampled_from(["\\", '"', '\\"', "\\\\", "a" * 30, "\0" + "0", "\u00e9" * 9, "\U0001f600"])
)
audios = st.binary(max_size=90).map(lambda audio: base64.b64encode(audio).decode())
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-99, 99), texts, audios),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
events = st.one_of(
    st.fixed_dictionaries({"type": st.just("input_audio_buffer.append"), "audio": st.one_of(audios, texts)}),
    st.fixed_dictionaries({"type": st.just("session.update"), "session": values, "event_id": texts}),
    st.fixed_dictionaries(
        {
            "type": st.just("conversation.item.create"),
            "item": st.fixed_dictionaries(
                {
                    "type": st.just("message"),
                    "role": st.just("user"),
                    "content": st.lists(
                        st.one_of(
                            st.fixed_dictionaries({"type": st.just("input_audio"), "audio": audios}),
                            st.fixed_dictionaries({"type": st.just("input_text"), "text": texts}),
                        ),
                        max_size=4,
                    ),
                }
            ),
        }
    ),
    values,
)


@pytest.fixture(params=[8, limits.LIFTED_BYTES])
def short_strings_are_long(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strings that are kept apart, without megabytes of them."""
    monkeypatch.setattr(limits, "LIFTED_BYTES", request.param)
    monkeypatch.setattr(limits, "LIFTED_SLICE", 16)


@pytest.mark.usefixtures("short_strings_are_long")
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=events, piece=st.integers(1, 50), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_a_message_in_pieces_is_the_message(event: Any, piece: int, ascii_only: bool, indent: int | None) -> None:
    data = json.dumps(event, ensure_ascii=ascii_only, indent=indent).encode()
    assert understood(data, piece)[0] == GA.decode(data)


@pytest.mark.usefixtures("short_strings_are_long")
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=events, piece=st.integers(1, 50), cut=st.integers(0, 300), junk=st.binary(max_size=6))
def test_a_damaged_message_in_pieces_is_damaged_as_it_would_be_whole(
    event: Any, piece: int, cut: int, junk: bytes
) -> None:
    data = json.dumps(event).encode()
    data = data[:cut] + junk + data[cut + 1 :]
    found, whole = understood(data, piece)[0], GA.decode(data)
    if isinstance(whole, ClientErred):
        assert isinstance(found, ClientErred)
        assert (found.code, found.path) == (whole.code, whole.path)
    else:
        assert found == whole


def filled(pattern: bytes, before: bytes = b"[", after: bytes = b"1]", size: int = 4 * MIB) -> bytes:
    return before + pattern * ((size - len(before) - len(after)) // len(pattern)) + after


INSTRUCTIONS = b'{"type":"response.create","event_id":"e1","response":{"instructions":"'
PART = b'{"type":"input_text","text":"a"}'


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (filled(b"[],"), "JSON values"),
        (filled(b"{},"), "JSON values"),
        (filled(b'"",'), "JSON values"),
        (filled(b'"",[{}],'), "JSON values"),
        (filled(b"["), "JSON values"),
        (filled(b'{"a":'), "JSON values"),
        (filled(b'"a":1,', b'{"type":"session.update",', b'"b":1}'), "JSON values"),
        (filled(b"9" * 4_000 + b","), "digits"),
        (filled(b"9", b'{"type":', b"}"), "digits"),
        (filled(b"9", b'{"type":0.', b"}"), "digits"),
        (filled(b" ", b'{"type":"response.create"', b"}"), "outside of strings"),
        (filled(b"\\n", INSTRUCTIONS, b'"}}'), "escapes"),
        (filled(b"\\u0041", INSTRUCTIONS, b'"}}', 8 * MIB), "escapes"),
        (filled(b"\\ud83d\\ude00", INSTRUCTIONS, b'"}}', 8 * MIB), "escapes"),
        (filled("\U0001f600".encode(), INSTRUCTIONS, b'"}}', 8 * MIB), "not ASCII"),
        (filled(b"\xff", INSTRUCTIONS, b'"}}', 8 * MIB), "not ASCII"),
        (
            filled(
                b'{"type":"message","role":"user","content":[' + b",".join([PART] * 256) + b"]},",
                b'{"type":"response.create","event_id":"e1","response":{"input":[',
                b"0]}}",
            ),
            "JSON values",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_message_that_would_take_long_is_refused_before_any_of_it_is_built(data: bytes, named: str) -> None:
    message = GA.long_message(MARK)
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
    tracemalloc.start()
    for piece in pieces:
        message.push(piece)
    kept, _ = tracemalloc.get_traced_memory()
    steps = sum(1 for _ in message.decode())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    refused = message.event
    assert isinstance(refused, ClientErred)
    assert (refused.code, steps) == ("message_too_large", 1)
    assert named in refused.message
    assert refused.event_id == ("e1" if b'"e1"' in data else None)
    assert kept < 128 * 1024, "what is refused is not kept"
    assert peak < 10 * MIB


def test_values_are_counted_until_the_piece_that_is_one_too_many() -> None:
    _, message, _ = understood(filled(b"[],"))
    assert limits.MAX_VALUES < message.values <= limits.MAX_VALUES + PIECE


def test_commas_and_brackets_in_strings_are_no_values() -> None:
    text = "[{,}]" * 100_000
    data = json.dumps({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [
        {"type": "input_text", "text": text}]}}).encode()  # fmt: skip
    event, message, _ = understood(data)
    assert isinstance(event, ItemCreateRequested)
    assert message.values == 8


def test_the_largest_legal_append_is_decoded_in_slices() -> None:
    audio = bytes(range(256)) * (MAX_APPEND_BYTES // 256)
    data = b'{"type":"input_audio_buffer.append","audio":"%b","event_id":"e1"}' % base64.b64encode(audio)
    event, _, steps = understood(data)
    assert event == AudioArrived(audio, "e1")  # type: ignore[arg-type]
    assert steps > MAX_APPEND_BYTES * 4 // 3 // (limits.LIFTED_SLICE + PIECE)


def test_no_step_of_decoding_builds_more_than_a_few_slices() -> None:
    audio = base64.b64encode(bytes(MAX_APPEND_BYTES))
    image = b'{"type":"input_image","image_url":"data:image/png;base64,%b"}' % (b"A" * 8 * MIB)
    item = b'{"type":"message","role":"user","content":[%b]}' % image
    for data in (
        b'{"type":"input_audio_buffer.append","audio":"%b"}' % audio,
        b'{"type":"conversation.item.create","item":%b}' % item,
        b'{"type":"session.update","session":{"instructions":"%b"}}' % audio,
    ):
        message = GA.long_message(MARK)
        for at in range(0, len(data), PIECE):
            message.push(data[at : at + PIECE])
        tracemalloc.start()
        try:
            for _ in message.decode():
                tracemalloc.reset_peak()
                before, _ = tracemalloc.get_traced_memory()
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < 2 * MIB, "the last step"
        finally:
            tracemalloc.stop()


def test_audio_and_an_image_in_one_item_arrive_as_they_were_sent() -> None:
    audio, image = bytes(300_000), "data:image/png;base64," + "A" * 400_000
    parts = [
        {"type": "input_audio", "audio": base64.b64encode(audio).decode()},
        {"type": "input_image", "image_url": image},
    ]
    item = {"type": "message", "role": "user", "content": parts}
    event, *_ = understood(json.dumps({"type": "conversation.item.create", "item": item}).encode())
    assert isinstance(event, ItemCreateRequested)
    assert isinstance(event.item, Message)
    assert event.item.content == (InputAudio(audio=audio), InputImage(image))


def test_base64_with_padding_in_its_middle_is_refused_in_slices_too() -> None:
    broken = base64.b64encode(bytes(limits.LIFTED_SLICE)).decode() + base64.b64encode(bytes(100_000)).decode()
    data = json.dumps({"type": "input_audio_buffer.append", "audio": broken, "event_id": "e1"}).encode()
    event, *_ = understood(data)
    assert event == GA.decode(data)
    assert isinstance(event, ClientErred)
    assert (event.code, event.path) == ("invalid_value", "audio")
