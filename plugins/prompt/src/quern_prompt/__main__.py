"""Starts the plugin, as `python -m quern_prompt`."""

from quern_prompt import main

main()
