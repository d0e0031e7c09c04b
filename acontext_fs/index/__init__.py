"""The index: a disposable DuckDB database of everything in a store, brought up to date from files.

`schema` says what the tables are, `rows` derives them from a session, `units` finds what changed,
`engine` alone knows DuckDB, `search` alone the full-text index. `Index` puts them together.
"""
