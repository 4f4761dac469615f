#!/bin/sh
# -icount -seed: two runs agree in instructions, console and hash of RAM; another seed gives another
# hash, or the seed did nothing. The interpreter agrees with the translator.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz

once() { # name, seed, options
    run -m 128 -icount -seed "$2" $3 -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" \
        -append "console=ttyS0" -until PARALLAX-GUEST-READY -timeout 280 -stats="json:$dir/$1.json"
    expect_code 0
    mv console "$1.console"
    grep -E '"(guest_instructions|ram_hash)"' "$1.json" >"$1.numbers"
    [ "$(wc -l <"$1.numbers")" = 2 ] || fail "no numbers in the report"
}
once a 1 ""
once b 1 ""
cmp a.console b.console || fail "the consoles differ"
cmp a.numbers b.numbers || { cat a.numbers b.numbers; fail "the numbers differ"; }
once b 1 "-accel interp"
cmp a.console b.console || fail "the console differs in the interpreter"
cmp a.numbers b.numbers || { cat a.numbers b.numbers; fail "the numbers differ in the interpreter"; }
once c 2 ""
cmp -s a.numbers c.numbers && fail "the seed has no effect"
exit 0
