"""Starts the plugin, as `python -m quern_inspect`."""

from quern_inspect import main

main()
