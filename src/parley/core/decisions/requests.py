"""Checks the requests of a client against the session's state and carries them out.

Laws: everything is checked before anything is changed, so that a refused request leaves no trace; a refusal is a
`PeerError` that names the field and the remedy; one answer to each request.
"""

from __future__ import annotations

from dataclasses import replace

from parley.core.decisions.client_items import accept_item, untranscribed_audio
from parley.core.decisions.compaction import Compaction
from parley.core.decisions.pinned_checks import check_item, check_model, check_response, check_session
from parley.core.decisions.responses import Responses
from parley.core.decisions.settings_checks import answers_to, check_change_of_pipeline, check_voice, checked
from parley.core.decisions.tool_checks import check_choice, check_tools, for_response
from parley.core.decisions.tools import ServerTools
from parley.core.decisions.turns import Turns
from parley.core.policy.kinds import policy_of
from parley.core.regions.attempt import Plan
from parley.core.regions.entry import Entry
from parley.core.state import State
from parley.core.words.effects import DropTranscription, FindPipeline, UsePipeline
from parley.core.words.errors import PeerError
from parley.core.words.events import (
    CancelRequested,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    ResponseRequested,
    SessionUpdateRequested,
)
from parley.core.words.items import (
    Item,
    ItemReference,
)
from parley.core.words.limits import MAX_SIDE_RESPONSES
from parley.core.words.notices import (
    ConversationCreated,
    ErrorRaised,
    ItemAdded,
    ItemDeleted,
    ItemDone,
    ItemRetrieved,
    ItemTruncated,
    Notice,
    SessionCreated,
    SessionUpdated,
)
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.words.rights import Rights, rights_of
from parley.core.words.settings import Settings, merged, rebased
from parley.core.words.work import ResponseParams


class ClientRequests:
    """Owns the answers to a client's requests. Shares the session's state."""

    def __init__(
        self, state: State, responses: Responses, turns: Turns, tools: ServerTools, compaction: Compaction
    ) -> None:
        self.st = state
        self.responses = responses
        self.turns = turns
        self.tools = tools
        self.compaction = compaction

    # --- the session -----------------------------------------------------------------------------------------------------------

    def update(self, event: SessionUpdateRequested) -> None:
        """Change the settings; for another pipeline, look for it first and answer in `pipeline_found`."""
        st, old = self.st, self.st.settings
        if st.changing is not None:
            raise PeerError(
                f"The model is being changed to '{st.changing.patch.get('model')}'; wait for session.updated.",
                code="invalid_value",
                field="session",
            )
        rights = st.rights(event.asker)
        new = check_session(rights.pinned, merged(old, event.patch))
        self._check_kind(old, new)
        if new.kind == "translation" and new.model != old.model:
            raise PeerError(
                f"The model of a translation session is chosen when it is opened; this one goes on with '{old.model}'. Leave it out.",
                code="invalid_value",
                field="session.model",
            )
        if new.model != old.model and not answers_to(st.capabilities.models, new.model):
            check_model(rights.pinned)
            st.changing = event
            st.do(FindPipeline(new.model, new.kind))
            return
        self._become(checked(st, old, new, st.capabilities, rights), event)

    def _check_kind(self, old: Settings, new: Settings) -> None:
        st = self.st
        if new.kind != old.kind and (len(st.conversation) or st.input.received or st.responses.main is not None):
            raise PeerError(
                "The type of a session can only be set before it has received anything; open a new session.",
                code="invalid_value",
                field="session.kind",
            )

    def _become(self, new: Settings, event: SessionUpdateRequested) -> None:
        """Replace the settings as `event` asks."""
        st, old = self.st, self.st.settings
        if (new.kind, new.target_language) != (old.kind, old.target_language) and not st.custom_policy:
            st.policy = policy_of(new, st.owner)
        if (old.turn_detection is None) != (new.turn_detection is None):
            self.turns.stop_listening()
        if new.input_format is not old.input_format:
            st.input.change_format(new.input_format)
        st.settings = new
        if event.asker == "owner":
            st.owner = replace(st.owner, pinned=st.owner.pinned.follow(new, event.patch))
        self.responses.drop_speculation()
        st.tell(SessionUpdated(st.session_id, new, self._expires_in_ms(st.now)))
        self.tools.configure(new.tools)

    def introduction(self, now_ns: int) -> list[Notice]:
        st = self.st
        created = SessionCreated(st.session_id, st.settings, self._expires_in_ms(now_ns))
        return [created, ConversationCreated(st.conversation.id)]

    def _expires_in_ms(self, now_ns: int) -> int:
        st = self.st
        return max(0, st.owner.session_ms - (now_ns - st.started_ns) // 1_000_000)

    # --- another pipeline ------------------------------------------------------------------------------------------------------

    def pipeline_found(self, event: PipelineFound | PipelineNotFound) -> None:
        """Change to the found pipeline if that is still possible; else leave the session unchanged and send the reason."""
        st, changing = self.st, self.st.changing
        if changing is None:
            st.late += 1
            return
        st.changing = None
        try:
            if isinstance(event, PipelineNotFound):
                raise PeerError(event.fault.message, code=event.fault.code, field="session.model")
            self._change_pipeline(event, changing)
        except PeerError as error:
            st.tell(ErrorRaised(error.code, error.message, error.field, error.kind, changing.event_id))

    def _change_pipeline(self, found: PipelineFound, changing: SessionUpdateRequested) -> None:
        st, can = self.st, found.capabilities
        owner = replace(found.owner, pinned=st.owner.pinned)
        rights = rights_of(changing.asker, owner, can)
        check_change_of_pipeline(st, found.settings.model, can)
        defaults = owner.pinned.applied(found.settings)
        wanted = check_session(rights.pinned, merged(rebased(st.settings, st.defaults, defaults), changing.patch))
        self._check_kind(st.settings, wanted)
        new = checked(st, defaults, wanted, can, rights)
        st.defaults, st.owner, st.capabilities = defaults, owner, can
        self.compaction.drop()
        st.do(UsePipeline(found.pipeline))
        self._become(new, changing)

    # --- items -----------------------------------------------------------------------------------------------------------------

    def create_item(self, event: ItemCreateRequested) -> None:
        st = self.st
        check_item(st.rights(event.asker).pinned, event.item, "item")
        place = st.conversation.place(event.previous_item_id)
        st.conversation.check_capacity(event.item)
        entry = accept_item(self.st, event.item, "item")
        if entry.item.id in st.conversation:
            raise PeerError(
                f"An item with the id '{entry.item.id}' exists already; leave item.id out to have one made.",
                code="item_create_duplicate_item_id",
                field="item.id",
            )
        self.tools.check_item(entry.item)
        unheard = untranscribed_audio(entry.item)  # once in its place, an old item may lose its audio
        self._check_waiting([audio for _, audio in unheard], "item.content")
        previous = st.conversation.insert(entry, place)
        self._transcribe(entry, unheard)
        view = entry.view()
        st.tell(ItemAdded(view, previous))
        st.tell(ItemDone(view, previous))
        self.tools.item_accepted(entry.item)

    def _transcribe(self, entry: Entry, unheard: list[tuple[int, bytes]], *, private: bool = False) -> None:
        """Transcribe the audio parts of an item that came without a transcript."""
        for index, audio in unheard:
            entry.await_one()
            self.turns.transcripts.audio_part(entry, index, audio, private=private)

    def _check_waiting(self, parts: list[bytes], field: str) -> None:
        samples = sum(self.st.input.format.samples(len(audio)) for audio in parts)
        if samples:
            self.turns.transcripts.check_waiting(samples, field)

    def retrieve_item(self, event: ItemRetrieveRequested) -> None:
        entry = self.st.conversation.entry(event.item_id)
        if entry is None:
            raise _unknown_item(event.item_id, "item_retrieve_invalid_item_id")
        self.st.tell(ItemRetrieved(entry.with_audio(self.st.playback.retrieved_bytes)))

    def delete_item(self, event: ItemDeleteRequested) -> None:
        st = self.st
        entry = st.conversation.delete(event.item_id)
        if entry is None:
            raise _unknown_item(event.item_id, "item_delete_invalid_item_id")
        for pending in st.pending:
            if pending.entry is entry:
                st.pending.remove(pending.turn.id)
                st.do(DropTranscription(pending.turn.id))
        entry.await_nothing()
        st.tell(ItemDeleted(event.item_id))
        self.responses.start_waiting()

    def truncate_item(self, event: ItemTruncateRequested) -> None:
        st = self.st
        entry = st.conversation.entry(event.item_id) or st.reply_wait.entry(event.item_id)
        if entry is None:
            raise _unknown_item(event.item_id, "item_truncate_invalid_item_id")
        if entry.speech is not None and event.content_index != 0:
            raise PeerError("The item has only the content part 0.", code="invalid_value", field="content_index")
        self.responses.heard.cut_by_client(entry, event.audio_end_ms)
        self.responses.drop_speculation()
        st.tell(ItemTruncated(event.item_id, 0, event.audio_end_ms))

    # --- responses -------------------------------------------------------------------------------------------------------------

    def create_response(self, event: ResponseRequested) -> None:
        st, params = self.st, event.params
        if not st.policy.speaks:
            raise PeerError(
                "A transcription session makes no responses; open a session of type 'realtime'.",
                code="invalid_request",
                field="type",
            )
        if params.in_conversation and st.responses.main is not None:
            raise PeerError(
                f"Conversation already has an active response in progress: {st.responses.main.id}. Wait until the response is finished.",
                code="conversation_already_has_active_response",
            )
        if not params.in_conversation and len(st.responses.sides) >= MAX_SIDE_RESPONSES:
            raise PeerError(
                f"At most {MAX_SIDE_RESPONSES} out-of-band responses at once; wait for one to end.",
                code="rate_limit_exceeded",
                kind="rate_limit_error",
            )
        if params.tools is not None:
            params = replace(params, tools=for_response(params.tools, st.tools.listings))
        rights = st.rights(event.asker)
        params = check_response(rights.pinned, params)
        self._check_params(params, rights)
        entries = None if params.input is None else self._context(params.input)
        brought_now = [
            entry
            for entry, given in zip(entries or (), params.input or (), strict=True)
            if not isinstance(given, ItemReference)
        ]
        self._check_waiting(
            [audio for entry in brought_now for _, audio in untranscribed_audio(entry.item)], "response.input"
        )
        st.rate_limit.spend(st.now)
        for entry in brought_now:
            unheard = untranscribed_audio(entry.item)
            entry.become(entry.view())  # a model reads its words; no one can retrieve its audio
            self._transcribe(entry, unheard, private=True)
        self.responses.create(Plan(params, entries))

    def _check_params(self, params: ResponseParams, rights: Rights) -> None:
        st, settings = self.st, self.st.settings
        if params.voice is not None and params.voice != settings.voice:
            if params.in_conversation and st.conversation.spoken:
                raise PeerError(
                    "Cannot update a conversation's voice if assistant audio is present.",
                    code="cannot_update_voice",
                    field="response.voice",
                )
            check_voice(st.capabilities, params.voice, "response.voice")
        tools = settings.tools if params.tools is None else params.tools
        choice = settings.tool_choice if params.tool_choice is None else params.tool_choice
        if params.tools is not None:
            check_tools(tools, "response", rights.tool_server_urls)
        check_choice(choice, tools, "session" if params.tool_choice is None else "response")
        if params.reasoning_effort and not st.capabilities.reasoning:
            raise PeerError(
                "The language model of this pipeline takes no reasoning effort; leave response.reasoning out.",
                code="invalid_value",
                field="response.reasoning_effort",
            )

    def _context(self, given: tuple[Item | ItemReference, ...]) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        for index, item in enumerate(given):
            if isinstance(item, ItemReference):
                entry = self.st.conversation.entry(item.id)
                if entry is None:
                    raise PeerError(
                        f"The item with id '{item.id}' does not exist.",
                        code="invalid_item_reference",
                        field=f"response.input[{index}].id",
                    )
                entries.append(entry)
            else:
                entries.append(accept_item(self.st, item, f"response.input[{index}]"))
        return tuple(entries)

    def cancel_response(self, event: CancelRequested) -> None:
        st = self.st
        found = st.responses.main if event.response_id is None else st.responses.get(event.response_id)
        if found is None:
            raise PeerError(
                "Cancellation failed: no active response found", code="response_cancel_not_active", field="response_id"
            )
        self.responses.cancel(found)

    def clear_output(self) -> None:
        st = self.st
        if not st.playback.holds_buffer:
            raise PeerError(
                "output_audio_buffer.clear is for links whose audio the server plays (WebRTC); "
                "over WebSocket the client holds the buffer.",
                code="invalid_value",
                field="type",
            )
        if st.playback.sounding:
            self.responses.silence("client_cancelled")


def _unknown_item(item_id: str, code: str) -> PeerError:
    return PeerError(f"The item with id '{item_id}' does not exist.", code=code, field="item_id")
