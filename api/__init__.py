"""Reads. Imports acontext_fs, never acontext_fs.daemon."""
