#!/bin/sh
# Every header compiles alone, and twice. $1 source, $2 compiler.
cd "$1" || exit 2
cc=${2:-cc}
status=0
for h in $(find base mmu cpu block devices pv bios machine frontends -name '*.h' | grep -v '^bios/guest/'); do
    grep -q '^#pragma once' "$h" || { echo "$h: no #pragma once"; status=1; }
    printf '#include "%s"\n#include "%s"\ntypedef int a_unit_is_not_empty;\n' "$h" "$h" |
        "$cc" -std=gnu11 -I. -Wall -Wextra -Werror -fsyntax-only -x c - ||
        { echo "$h: does not compile alone"; status=1; }
done
exit $status
