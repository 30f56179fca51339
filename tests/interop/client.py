# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's bindings for Python, as the tests use them. Where they are missing, the test is skipped."""

import sys

from panald import Failure, expect_equal

try:
    import libvirt
except ImportError:
    print("python3-libvirt is missing; tools/install-deps --test")
    sys.exit(77)

libvirt.registerErrorHandler(lambda *_: None, None)


def fails(code, function, *args):
    """The function must fail with libvirt's error number; the error's text."""
    try:
        function(*args)
    except libvirt.libvirtError as error:
        expect_equal(error.get_error_code(), code, f"error of {function.__name__}: {error}")
        return str(error)
    raise Failure(f"{function.__name__} succeeded")
