#!/bin/sh
# A file begins by saying what it is; nothing is left to be done later.
cd "$1" || exit 2
status=0
for f in $(find base mmu cpu block devices pv bios machine frontends tests -name '*.[ch]' -o -name '*.def' -o -name '*.S'); do
    case $(head -c 2 "$f") in
    '/*' | '//') ;;
    *) echo "$f: does not begin with a comment that says what it is"; status=1 ;;
    esac
    if grep -nwE 'TODO|FIXME|XXX|HACK' "$f"; then
        echo "$f: something is left to be done"
        status=1
    fi
done
exit $status
