"""What starts runs besides a call: events, webhooks, schedules."""
