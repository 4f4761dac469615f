#!/bin/sh
# -perfmap names translated code so that perf finds a guest's loop by its address.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"

# A multiboot kernel, entered at 100020h: mov ecx, 2^29; dec ecx; jnz back; cli; then power off.
{
    printf '\002\260\255\033\000\000\001\000\376\117\121\344\000\000\020\000\000\000\020\000'
    printf '\000\000\000\000\000\000\000\000\040\000\020\000'
    printf '\271\000\000\000\040\111\165\375\372\146\272\004\006\146\270\000\040\146\357'
} >kernel

"$program" -accel jit -kernel kernel -display none -perfmap 2>errors &
pid=$!
wait "$pid"
code=$?
map=/tmp/perf-$pid.map
trap 'rm -rf "$dir" "/tmp/perf-$pid.map"' EXIT
expect_code 0
[ -s "$map" ] || fail "no $map"
grep -qE '^[0-9a-f]+ [0-9a-f]+ guest cpl0 100025 pa 100025 (loop|trace)$' "$map" || fail "the loop has no line"
sort "$map" | awk '{ print length($1), $1 }' | sort | uniq -d | grep -q . && fail "a place has two lines"

perf record -q -o data true 2>/dev/null || { echo "perf cannot record here: its part is left out"; exit 0; }
perf record -q -o data "$program" -accel jit -kernel kernel -display none -perfmap 2>errors || fail "perf record"
perf report -i data --stdio 2>/dev/null >report
rm -f "/tmp/perf-$(sed -n 's/.*\[JIT\] tid \([0-9]*\).*/\1/p' report | head -n 1).map"
grep -qE 'guest cpl0 100025 pa 100025 (loop|trace)' report || { head -n 30 report; fail "perf does not name the loop"; }
exit 0
