"""Runs that cost something: their checkouts, the providers that take the money, and what is given back."""
