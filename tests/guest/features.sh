#!/bin/sh
# Every feature of every personality has a line in benchmarks/RESULTS.md that says what switching it off changes, or that
# it changes nothing there, and why. The list of features is the program's own.
# program, source
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
"$program" -pv help >help || fail "no -pv help"
awk '
    FNR == NR {
        if (/^  [a-z]/) personality = $1
        if (/^    [-+*][a-z]/) { name = substr($1, 2); wanted[personality " " name] = 1; n++ }
        next
    }
    /^### Features of / { section = tolower($4) }
    section && /^\| / {
        split($0, cell, / *\| */)
        if (cell[2] == "feature" || cell[2] ~ /^-/) next
        key = section " " cell[2]
        if (!(key in wanted)) { print "no such feature: " key; bad = 1 }
        else if (length(cell[4]) < 10) { print "no effect and no reason: " key; bad = 1 }
        delete wanted[key]
    }
    /^## / { section = "" }
    END {
        for (key in wanted) { print "no line: " key; bad = 1 }
        if (n < 50) { print n " features in -pv help"; bad = 1 }
        exit bad
    }' help "$source/benchmarks/RESULTS.md" || fail "RESULTS.md is not complete"
exit 0
