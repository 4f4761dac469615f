#!/bin/sh
# GNU Mach comes up by multiboot, probes its devices and asks for its bootstrap code.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need gnumach
run -m 64 -kernel "$guests/gnumach" -append "console=com0" -timeout 120 \
    -until "No bootstrap code loaded with the kernel"
expect_code 0
expect 'vm_page: DIRECTMAP'
expect 'RTC time is 20'
