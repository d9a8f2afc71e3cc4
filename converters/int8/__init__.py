"""int8 from one calibration set, for every target."""
