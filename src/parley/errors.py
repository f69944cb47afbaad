"""The root of Parley's exceptions: what is wrong, and what to do about it.

ParleyError
  ConfigError                    config: the configuration cannot be served
    UnknownModel                 config: a request's `model` names no pipeline
  InvalidLayers                  config: the settings of some layers are invalid (internal to loading)
  EngineError                    engines: an engine failed; `code` is stable
    EngineUnavailable            engines: the engine cannot be opened (package, weights, endpoint, key)
      SettingUnsupported         runtime: an engine does not have the language or the voice that is asked of it
      SocketRefused              engines: no voice server can listen at a path, or be reached there
    ForwardFailed                engines: an endpoint failed that a request was forwarded to
    EngineRefused                engines: this one request cannot be served
      ForwardRefused             engines: an endpoint refused a request that was forwarded to it
      VoiceRefused               engines: what was asked of the own voices is not possible
    ChildLost                    engines: a translator's process ended
    DecoderLost                  engines: a recogniser's process ended
    ConverterLost                engines: a voice server is away, or says what it may not
    MoshiLinkLost                engines: a conversation with a Moshi server broke off
  FrameInvalid                   engines: bytes are no frame of a voice server's protocol
  StatusError                    engines: an HTTP status other than 2xx (internal to remote engines)
  StreamError                    engines: a failure reported inside an answer's stream (internal to remote engines)
  HistoryRefused                 engines: an upstream session lost what it was told (internal to remote engines)
  NothingMoreCame, TimeoutError  engines: an answer's stream stalled (internal to remote engines)
  EventTooLarge                  engines: a server-sent event is over its limit (internal to remote engines)
  InvalidAudio                   engines: bytes are not the audio they should be (internal to remote engines)
    NoAudio                      engines: an answer ended without a sample (internal to remote engines)
  InvalidOgg                     engines: a Moshi server's bytes are no Ogg (internal to that engine)
  InvalidOpus                    engines: a Moshi server's Ogg holds no Opus (internal to that engine)
  InvalidVoice                   engines: a file holds no voice of Kokoro (internal to that engine)
  ToolServerError                engines: an MCP server or its tool failed
  StrayCancellation              runtime: an engine's code raised CancelledError (internal to the runtime)
  LibraryError                   library: an argument or a call that is not possible
    FrameRefused, ValueError     library: a frame of another type, shape or rate
    SinkRefused                  library: the sink did not take the audio
    SessionBroken                library: the session ended by a fault of its own
    SessionClosed                library: the session, or its pipeline, was closed
  ModelError                     models: a model is unknown, or cannot be fetched
  AudioFileError, ValueError     audio: a file cannot be read or written as audio
    AudioTooLong                 audio: a file holds more audio than its reader takes
  ProcessingUnavailable          audio: the library for echo control and noise reduction does not load
  NotPrivate                     audio: a folder is not this user's alone (internal to what needs one)
  UnusableUrl                    client: a URL cannot be dialled
  ServerUnavailable              client: no session can be opened
  BacklogFull                    client: the server sent more audio than is kept
  DevicesUnavailable             talk: a sound device cannot be found or opened
  UnknownLanguage                interpret: what was typed is no language, or not two of them
  PromptInvalid                  interpret: a prompt cannot be used
  RecordingRefused               interpret: a folder cannot take the recording of a call
  NoSessionOpened                load: the server accepted no session of a load test
  NoSuchProcess                  load: the process to measure cannot be read
  UnusableRecording              load: the WAV cannot be used
  TooLarge                       server: a session does not fit into a client secret
  KeyHasPassword                 server: the TLS key is encrypted (internal to `tls`)
  Refused                        server: a REST request is refused with a `Refusal`
  Undescribed                    server: a route has no description for the API's document
  SoundServerUnavailable         cables: no sound server can be asked
    SoundServerRefused           cables: the sound server did not do what was asked
  AlsaPluginMissing              cables: PortAudio cannot reach the sound server
  NoSuchDevice                   cables: the sound server has no device of that name
  FolderRefused                  cables: a folder is not this user's alone
  CablesByHand                   cables: this system's cables are installed by the user
  CableNameTaken                 cables: another program made a device of a cable's name
  CablesBusy                     cables: another process makes or removes the cables
  PersistenceFailed              cables: the sound server's configuration cannot be changed
  StateUnwritable                cables: the file of remembered modules cannot be written
  CommandFailed                  cli: a command cannot do what was asked

Outside the tree: the core's `PeerError` (a client's event that cannot be honoured, answered with an `error` event) and
`InvariantBroken` (a bug), and the failed assertions of `parley.testing`.

Laws: standard library only, imports nothing of Parley. `message` and `remedy` are sentences for a person and hold no secret.
"""

from __future__ import annotations


class ParleyError(Exception):
    """An expected error. `message` says what is wrong and where, `remedy` what to change (may be empty)."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()
