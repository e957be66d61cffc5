"""What users see of exceptions."""

from __future__ import annotations

import errno
import os

import pytest

from quern.plugin import Error
from quern.plugin._errors import diagnostic


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_comes_first(number):
    full = OSError(number, os.strerror(number), "x.arrow")
    d = diagnostic(full)
    assert d.summary == "the disk is full"
    assert d.detail == f"{full}. Free some space and run the command again: completed work is kept."


def test_a_full_disk_comes_first_as_a_cause():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as e:
            raise Error("cannot write the index\nof the column", argument="text") from e
    except Error as e:
        d = diagnostic(e)
    assert (d.summary, d.argument) == ("the disk is full", "text")
    assert d.detail.startswith("cannot write the index of the column. Free some space")


def test_other_errors_of_the_system_keep_their_text():
    d = diagnostic(OSError(errno.ENOENT, "No such file or directory", "x"))
    assert "FileNotFoundError" in d.summary
    assert "disk" not in d.summary
