"""`parley talk`: a conversation at this machine's own microphone and loudspeaker."""
