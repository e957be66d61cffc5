"""Starts the plugin, as `python -m quern_lm_eval`."""

from quern_lm_eval import main

main()
