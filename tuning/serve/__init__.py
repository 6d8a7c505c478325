"""The page and the HTTP API that colorize pictures."""
