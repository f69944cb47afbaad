"""Text on its way to a voice or a screen. Pure, standard library only; every other package may import it."""
