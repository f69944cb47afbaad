"""One attempt at generating: text from a source, voiced clause by clause, encoded for the listener."""
