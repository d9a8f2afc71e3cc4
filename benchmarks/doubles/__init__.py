"""Stand-ins that ship beside the real things: an ADB device, fake hosts, simulated series."""
