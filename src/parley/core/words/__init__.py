"""The values of a session: settings, items, events, effects, notices, ids, errors and limits."""
