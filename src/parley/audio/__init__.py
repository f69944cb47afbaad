"""Pure signal code: sample formats, G.711, resampling, framing, levels, audio files. Knows no session and no engine."""
