"""quern.testing, with the real program."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import sample_plugin

from quern.testing import Pipeline, QuernError, check

PIPELINE = """
source "sample_numbers" "some" {
  rows = ROWS
}

transform "sample_double" "double" {
  input = source.some
  n     = row.n
  fault = "FAULT"
}

evaluate "sample_sum" "sum" {
  dataset = transform.double
  value   = row.double
}
"""

pytestmark = pytest.mark.skipif(not (os.environ.get("QUERN") or shutil.which("quern")), reason="quern is not built")


def files(rows=200, fault=""):
    return {"main.quern.hcl": PIPELINE.replace("ROWS", str(rows)).replace("FAULT", fault)}


def test_a_good_plugin_passes():
    pipeline = check(sample_plugin.p, files())
    assert pipeline.rows("transform.double")[-1] == {"n": 199, "double": 398}
    assert '"sum": 39800' in pipeline.digests()["the values of evaluate.sum"].replace("39800.0", "39800")


def test_a_result_that_depends_on_the_process_is_found():
    with pytest.raises(AssertionError, match="transform.double.* differ after it was run again in another folder"):
        check(sample_plugin.p, files(rows=20, fault="process"))


def test_a_failure_is_quoted(tmp_path):
    path = Path(sample_plugin.__file__)
    (tmp_path / "sample.py").write_text(path.read_text().replace("return os.getpid()", "raise KeyError('x')\n        return os.getpid()"))
    pipeline = Pipeline(tmp_path / "sample.py", {"main.quern.hcl": PIPELINE.replace("ROWS", "3").replace("FAULT", "")}, tmp_path / "p")
    with pytest.raises(QuernError) as e:
        pipeline.apply()
    assert "KeyError" in e.value.output
