"""The stages on many processes and machines, through Ray: extra `langfield[cluster]`. Nothing else imports Ray."""
