"""What ships with the package: the starter space in `_template/` and the demo in `_demo/`."""
