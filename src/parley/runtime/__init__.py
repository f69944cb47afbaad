"""The asynchronous shell: carries events into a session and performs its effects; knows no transport and decides nothing."""
