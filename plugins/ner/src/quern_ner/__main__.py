"""Starts the plugin, as `python -m quern_ner`."""

from quern_ner import main

main()
