"""Freed memory that is kept."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
from nasgtn.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
bytes(2**26)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    bytearray(b"1") * 2**26
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    command = [sys.executable, "-c", COUNT, how]
    return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_blocks_that_come_again_are_not_asked_of_the_system() -> None:
    assert page_faults("kept") * 10 < page_faults("not kept")
