"""A trained network at work: pictures in, colours out, files and exports."""
