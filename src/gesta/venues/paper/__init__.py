"""The paper venue: orders matched against recorded, simulated or live quotes and trades. docs/paper-venue.md says what
it models and what it does not."""
