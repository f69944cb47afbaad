"""Voice conversion as a server of its own: any program on this machine converts speech through a Unix socket (`parley voice serve`)."""
