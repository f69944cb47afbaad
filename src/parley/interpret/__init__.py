"""The call interpreter: two people, two languages, one call; a direction for each of them."""
