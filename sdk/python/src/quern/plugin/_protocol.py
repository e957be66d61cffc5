"""The messages of the plugin protocol, from its compiled description.

The classes are made at run time, so that any version of protobuf will do. "make
proto" writes the description and the type stubs of this module.
"""

import os
from typing import Any

from google.protobuf import descriptor_pool, message_factory


def _load() -> dict[str, Any]:
    path = os.path.join(os.path.dirname(__file__), "_protocol.binpb")
    with open(path, "rb") as description:
        content = description.read()
    # A FileDescriptorSet of one file is a tag, a length with seven bits a byte, and the file.
    start = 1
    while content[start] & 0x80:
        start += 1
    # A pool of its own does not collide with other copies in the same process.
    file = descriptor_pool.DescriptorPool().AddSerializedFile(content[start + 1 :])
    names: dict[str, Any] = {}
    for enum in file.enum_types_by_name.values():
        names.update({value.name: value.number for value in enum.values})
    for name, message in file.message_types_by_name.items():
        names[name] = message_factory.GetMessageClass(message)
    return names


globals().update(_load())
