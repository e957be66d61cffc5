"""What plugins get of values, messages, and datasets."""

from __future__ import annotations

from decimal import Decimal

import pytest

from quern import plugin
from quern.plugin import _protocol as pb
from quern.plugin._dataset import read, table
from quern.plugin._errors import Fault
from quern.plugin._json import anything, dumps, loads
from quern.plugin._map import _Finished


@pytest.mark.parametrize("text", ["0.1", "2.5e-05", "-1.0", "12345678901234567890", "0.12345678901234567890123456789", "1e400"])
def test_a_number_of_any_type_keeps_its_digits(text):
    assert Decimal(dumps(anything(loads(text.encode())))) == Decimal(text)


def test_a_number_that_a_float_holds_is_a_float():
    assert [type(n) for n in anything(loads(b"[0.1, 1, 0.12345678901234567890123456789]"))] == [float, int, Decimal]


def test_content_can_be_a_list_of_texts():
    request = plugin.ChatRequest.decode(
        '{"messages": [{"role": "user", "content": [{"type": "text", "text": "he"}, {"type": "input_text", "text": "l"}, "lo"]}]}'
    )
    assert [m.content for m in request.messages] == ["hello"]


@pytest.mark.parametrize("part", ['{"type": "image_url", "image_url": {"url": "data:,"}}', '{"type": "text"}', "1"])
def test_content_that_is_not_text_is_refused(part):
    with pytest.raises(plugin.Error, match="content that is not text"):
        plugin.ChatRequest.decode('{"messages": [{"role": "user", "content": [' + part + "]}]}")


def test_a_dataset_of_which_nothing_is_declared_as_read_is_a_mistake():
    artifact = pb.Artifact(kind=pb.ARTIFACT_KIND_DATASET, rows=3, shards=[pb.Shard(rows=3)])
    for reading in (lambda: table(artifact, ()), lambda: list(read(artifact, (), 10))):
        with pytest.raises(Fault, match="p.read_all or p.read_columns"):
            reading()


def test_pending_rows_count_as_finished_and_temporary_failures_do_not():
    sent: list[pb.MapResponse] = []
    finished = _Finished(sent.append)
    finished(plugin.RowError("busy", temporary=True))
    finished(plugin.Pending("the job runs"))
    finished(plugin.RowError("wrong"))
    assert (sent[-1].finished, sent[-1].failed, sent[-1].failure) == (2, 1, "wrong")
