"""Virtual audio cables of this machine, and what its sound server says of devices.

- `pulse.read_sound_server()`: devices and streams, with what is known of each: Bluetooth, headphones, one of our own cables.
- `alsa_names.expose_devices()`: makes the devices visible to PortAudio by name.
- `watch.DeviceWatch`: reports devices that vanish or return, and streams that the server moves to another device.
- `cables.create()`, `listed()`, `remove()`: our two cables.

Laws: PulseAudio, and PipeWire through its PulseAudio protocol; elsewhere `other_systems` says what to install. `pulsectl`, and through it
libpulse, is imported when a server is first asked.
"""
