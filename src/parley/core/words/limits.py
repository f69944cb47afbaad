"""Every limit of a session, with its reason."""

from __future__ import annotations

SAMPLE_RATE = 24_000
"""The clock of all positions: 24 kHz samples, whatever the wire's encoding."""

SAMPLES_PER_MS = 24

MIN_COMMIT_MS = 100
"""OpenAI refuses to commit less than 100 ms of audio."""

MAX_APPEND_BYTES = 15 * 1024 * 1024
"""The documented limit of one `input_audio_buffer.append`."""

MAX_BUFFERED_MS = 10 * 60 * 1000
"""Uncommitted audio: ten minutes is 28.8 MB of PCM, longer than anybody's turn and short enough to hold."""

MAX_TURN_MS = 5 * 60 * 1000
"""A turn that voice activity never ends (music, a fan) is committed by force after this."""

KEPT_AUDIO_BYTES = 16 * 1024 * 1024
"""Audio of past items kept for `conversation.item.retrieve`: about five minutes; older items keep their words only."""

MAX_RETRIEVED_AUDIO_BYTES = 700 * 1024
"""Audio in one `conversation.item.retrieved`: as base64 it stays under the 1 MiB at which a common client closes
the socket. Even, so that no sample is cut in two."""

MAX_RETRIEVED_CALL_AUDIO_BYTES = 160 * 1024
"""The same where the audio goes as media and events on a data channel: browsers take messages of 256 KiB there. Three seconds of PCM."""

MAX_PROMPT_AUDIO_TURNS = 3
"""The user's last turns that a model which hears is given as sound: enough to compare two of them; each costs tokens in every prompt."""

MAX_PROMPT_AUDIO_MS = 30_000
"""One turn's sound in a prompt: what Whisper's encoder, which most such models have, takes at once. A longer turn is its transcript."""

MAX_HEARD_CONTEXT_MS = 180_000
"""Sound of the conversation that a conversational synthesizer is given: models of that kind attend to two or three minutes."""

AUDIO_DELTA_BYTES = 48_000
"""One audio delta at the most: a second of PCM, 64 kB of base64; far under every client's receive limit."""

MAX_HELD_BYTES = 4 * 1024 * 1024
"""A held (speculative) attempt's output: over a minute of audio, more than any pause lasts; a larger attempt is dropped."""

MAX_ITEMS = 2_000
"""Items in one conversation; an hour of brisk talk makes about 1,500."""

MAX_ITEM_TEXT = 1024 * 1024
"""Characters of text in one item: more than any model's context."""

MAX_AUDIO_PARTS = 16
"""Parts of audio in one item: the recogniser takes each for a turn, and fewer than `MAX_PENDING_TURNS` may wait at once."""

MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""One image's URL, base64 included; the limit of the large hosted models."""

MAX_BROUGHT_CHARACTERS = 64 * 1024 * 1024
"""Words and images a client may have in one conversation: two hundred large photographs, many times a model's context."""

MIN_SHOWN_CHARACTERS = 400
"""A text that does not fit into the model's context is shortened to no fewer characters than these: a few sentences, from which the
model can tell what it was. Where even they do not fit, the response fails."""

COMPACT_ABOVE = 0.7
"""The share of the items' room in the context above which older items are summed up: the reply that follows still fits beside them."""

KEPT_BY_COMPACTION = 0.3
"""The share of that room which the last items keep, word for word: what is being talked about now."""

SUMMARY_SHARE = 0.1
"""The share of that room which a summary takes at the most."""

MAX_SUMMARY_TOKENS = 600
"""A summary's tokens, in a large context too: a page, which a local model writes while a reply is heard."""

MIN_SUMMARY_CHARACTERS = 200
"""What a summary may have in the smallest context: two sentences."""

SUMMARY_WAIT_NS = 60 * 1_000_000_000
"""A summary that has not come by then has failed; older items are left out of the prompt instead, as without compaction."""

MAX_SUMMARY_DELAYS = 2
"""How often in a row a reply takes the model from the summary, which is begun again after it; the next time both run at once."""

MAX_TOOLS = 128
"""Functions in one session: the limit hosted models state."""

MAX_TOOL_SERVERS = 8
"""MCP servers in one session: each is a connection kept open, and a list of tools that the model reads every time."""

MAX_MCP_TOOLS = 256
"""Tools of one MCP server; models lose their way among far fewer."""

MAX_RUNNING_CALLS = 32
"""Calls of MCP tools at once; a model that makes more in one breath is looping."""

MAX_TOOL_ROUNDS = 16
"""Replies in a row that only went on because a tool had answered: a model that calls tools forever is stopped."""

MAX_SIDE_RESPONSES = 8
"""Out-of-band responses at once: each is a model request; a client that wants more is looping."""

MAX_RESPONSE_TEXT = 256 * 1024
"""Characters one response may generate before it is cut as incomplete: a model that never stops."""

MAX_RESPONSE_AUDIO_MS = 30 * 60 * 1000
"""Audio one response may generate; half an hour of monologue is a loop."""

MAX_PENDING_TURNS = 64
"""Committed turns whose transcript is still to come; a recogniser this far behind is stuck."""

MAX_PENDING_WORK = 64
"""Translations and utterances that wait to be spoken: minutes of speech; a policy that causes more never catches up."""

CONSIDER_EVERY_MS = 200
"""How often a policy that waits is asked about the stable words: OpenAI's translation sessions advance in steps of 200 ms."""

MAX_UNSTABLE_TEXT = 2_000
"""Characters of the words that may still change, the last of which are sent: two minutes of speech. They are sent whole each time that they
change, and a turn that its client ends may last for `MAX_BUFFERED_MS`."""

MERGE_AFTER_NS = 6 * 1_000_000_000
"""Translations that have waited this long are merged into one request: one sentence costs less than two halves, and a listener who is six
seconds late no longer gains from hearing them apart."""

MAX_MERGED_TEXT = 1_000
"""Characters of translations that are merged into one request: about a minute of speech, which every translator takes."""

INTERPRETED_ITEMS = 64
"""Items that a translation session keeps: nothing refers to older ones, and a session of an hour makes thousands."""

TRANSLATION_CONTEXT = 4
"""Texts translated before that a translation model is given: pronouns and terms rarely refer further back."""

MAX_WAITING_MS = 3 * 60 * 1000
"""Audio of committed turns and brought items that waits for its words: a recogniser six times faster than speech needs all of
`TRANSCRIPT_WAIT_NS` for three minutes; what comes behind them would be given up anyway."""

METADATA_PAIRS = 16
METADATA_KEY = 64
METADATA_VALUE = 512

ONSET_FRAMES = 2
"""Voiced 32 ms frames in a row before speech counts as begun: one alone is a click."""

OFF_THRESHOLD_DROP = 0.15
"""Voice ends this much below the threshold at which it began (the hysteresis that Silero's authors use)."""

MANUAL_FEED_MS = 200
"""With manual turns, audio goes to the recogniser in pieces of this length."""

CONFIRM_SPEECH_MS = 700
"""`barge_in = "confirmed"`: voice this long over a reply takes the floor with any words (backchannels last
under 600 ms)."""

CONFIRM_WORDS = 2
"""... or this many words that are not all backchannels."""

REJECT_PAUSE_MS = 300
"""... and a pause this long before either means it was a backchannel: the reply continues."""

ANSWERING_MS = 1_000
"""A "yes" over the last second of a reply answers it, as people answer questions before they have quite ended (most
overlaps are shorter: Stivers et al. 2009); earlier it only says "I am listening"."""

IDLE_MIN_MS, IDLE_MAX_MS = 5_000, 30_000
"""The accepted range of `idle_timeout_ms`."""

TRANSCRIPT_WAIT_NS = 30 * 1_000_000_000
"""A turn's transcript that has not come by then has failed: users do not wait longer for an answer."""

GENERATION_SILENCE_NS = 60 * 1_000_000_000
"""An attempt that has produced nothing for this long has failed."""

LIST_TOOLS_WAIT_NS = 30 * 1_000_000_000
"""An MCP server that has not listed its tools by then counts as unreachable."""

TOOL_CALL_WAIT_NS = 60 * 1_000_000_000
"""A tool's answer that takes longer has failed: users on a call do not wait a minute."""

FOLLOW_UP_WAIT_NS = 300 * 1_000_000
"""When a tool has answered, some clients ask for the reply themselves and some wait for it: so long a client's own
`response.create` is waited for before the reply is made without it (a round trip, and some)."""

JUDGE_AFTER_MS = 64
"""A pause this long is worth asking the turn judge about; shorter ones lie between words."""

JUDGE_AUDIO_MS = 8_000
"""What a turn judge hears at the most: the last eight seconds, the window such models are made for."""

STALLED_MICROPHONE_NS = 3 * 1_000_000_000
"""Audio that stops in the middle of a turn for this long ended it: links stall for less, and a client that sent a
file waits no longer."""

SPEECH_MS_PER_CHARACTER = 65
"""How long a character of a clause is spoken, where the clause is not finished and nothing has been measured: about
15 a second."""
