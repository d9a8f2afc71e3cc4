"""What is put into each process of a command: on PYTHONPATH, so that processes that it starts have it too."""
