"""Where the time of a file goes: by stage, block and kind of op, and why int8 is slower or faster."""
