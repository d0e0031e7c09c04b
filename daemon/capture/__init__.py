"""Takes in what coding agents write: from their own transcripts into the sessions of the store."""
