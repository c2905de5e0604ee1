"""Commands for people who run, test and develop Tessera."""
