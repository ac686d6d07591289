"""The paper venue: matching against quotes and trades of a market that others make."""
