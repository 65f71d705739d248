"""Image files of every format that is read, and files that are written byte for byte alike."""
