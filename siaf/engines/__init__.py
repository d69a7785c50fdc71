"""What a session speaks to: the interface of an engine, and engines other than siaf's own networks (`siaf.model`)."""
