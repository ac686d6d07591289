"""The market as the server sees it now: instruments, quotes, bars, and who is told of them."""
