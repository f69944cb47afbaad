"""A load driver for any Realtime server: paced speech on many sessions at once, and the times of the answers.

Read in this order: `recording` (what is said), `conversation` (one session's script, no I/O), `link` (its socket),
`drive` (all of them). It knows nothing of Parley's own server: only the GA protocol, so that servers can be compared.
"""
