"""The dialect of translation sessions: events of `/v1/realtime/translations`."""
