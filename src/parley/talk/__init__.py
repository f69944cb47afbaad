"""This machine's own microphone and loudspeaker: a conversation (`parley talk`), and a live voice (`parley voice convert --live`)."""
