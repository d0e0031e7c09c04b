"""`python -m acontext_fs` is `acontext-fs`."""

from acontext_fs.cli import main

if __name__ == "__main__":
    main()
