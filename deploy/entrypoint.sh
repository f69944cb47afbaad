#!/bin/sh
# Starts `parley` in a container. A secret may come as a file, such as a Docker secret: PARLEY_API_KEY_FILE=/run/secrets/api_key stands for
# PARLEY_API_KEY, and so do the same names of the other secrets below.
set -eu

for name in PARLEY_API_KEY PARLEY_SECRET_KEY PARLEY_LLM_API_KEY PARLEY_STT_API_KEY PARLEY_TTS_API_KEY PARLEY_SPEECH_API_KEY \
    PARLEY_WEBRTC_ICE_CREDENTIAL OPENAI_API_KEY; do
    eval "file=\${${name}_FILE:-}"
    [ -n "$file" ] || continue
    [ -r "$file" ] || {
        echo "parley: ${name}_FILE names $file, which user $(id -u) cannot read" >&2
        exit 2
    }
    value=$(cat "$file")
    [ -n "$value" ] || {
        echo "parley: ${name}_FILE names $file, which is empty" >&2
        exit 2
    }
    export "$name=$value"
    unset "${name}_FILE"
done
unset value

exec parley "$@"
