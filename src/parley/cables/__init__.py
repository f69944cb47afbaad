"""Virtual audio cables of this machine: created, listed, remembered and removed."""
