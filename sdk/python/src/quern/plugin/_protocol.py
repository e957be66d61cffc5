"""The messages of the plugin protocol, from its compiled description.

The classes are made at run time, so that any version of protobuf will do. "make
proto" writes the description and the type stubs of this module.
"""

import os
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "quern.plugin.v1"


def _load() -> dict[str, Any]:
    path = os.path.join(os.path.dirname(__file__), "_protocol.binpb")
    with open(path, "rb") as file:
        description = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    # A pool of its own does not collide with other copies in the same process.
    pool = descriptor_pool.DescriptorPool()
    names: dict[str, Any] = {}
    for proto in description.file:
        pool.AddSerializedFile(proto.SerializeToString())
        for enum in proto.enum_type:
            names.update({value.name: value.number for value in enum.value})
        for message in proto.message_type:
            names[message.name] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{message.name}"))
    return names


globals().update(_load())
