"""Trading: the one way from an intent to the record. Intent, journal, venue, events, record, in that order."""
