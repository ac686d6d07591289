"""The five dialects. Each is `routes`, `codec`, `errors`, `models`, and knows nothing of the others."""
