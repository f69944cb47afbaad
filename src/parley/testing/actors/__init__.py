"""The surroundings of a simulated session: a user with a client and a link, engines, tool servers, a loudspeaker."""
