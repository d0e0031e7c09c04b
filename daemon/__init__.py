"""Moves data one way: from session files to commits. Imports acontext_fs, never acontext_fs.api."""
