"""What a session is described in: settings, items, events, effects, notices, ids, errors and limits."""
