"""Artifacts put into an app: the folder that every app reads, and what each kind of app adds to it."""
