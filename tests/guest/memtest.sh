#!/bin/sh
# memtest86+ (Linux protocol) runs its first tests with no error. program, source, x64 or ia32
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
file=memtest86+$1.bin
need "$file"
run -m 16 -kernel "$guests/$file" -append "console=ttyS0,115200" -timeout 280 -until "#6  ["
expect_code 0
expect 'Memtest86+ v'
expect 'Errors: 0'
grep -q 'Errors: [1-9]' console && fail "memtest86+ found errors"
exit 0
