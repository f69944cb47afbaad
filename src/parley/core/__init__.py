"""The sans-IO core: a conversation as a state machine. Standard library only; no clock, no randomness, no I/O."""
