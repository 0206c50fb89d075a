"""The documentation as a site in English and Korean, made from README.md and docs/: `make docs`."""
