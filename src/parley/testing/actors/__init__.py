"""Who lives in the simulated world: a person with a client and a link, ears, a model with a voice, a loudspeaker."""
