"""What a command does from its beginning to its end, one module a command."""
