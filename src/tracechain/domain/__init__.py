"""The rules of the field, pure: no I/O, no protobuf, no SQL, no clock."""
