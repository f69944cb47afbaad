"""CSM, Sesame's conversational speech model: the next clause is spoken in view of the text and the sound of the conversation so far."""
