#!/bin/sh
# traces.sh PARALLAX SYS-PROGRAMS: the traces of code (-d in_asm, out_asm, exec, cpu), of page walks (mmu)
# and of the personality (pv): both engines trace the same, as many instructions as -icount has; what the
# translator shows is what was decoded; the monitor switches them while the guest runs.
set -u
parallax=$1
programs=$2
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 2
fail() {
    echo "$*"
    exit 1
}
trace() { # program, file, options
    elf=$programs/$1.elf
    file=$2
    shift 2
    "$parallax" -kernel "$elf" -icount -device isa-debug-exit,iobase=0xf4 -debugcon null -display none \
        -timeout 100 -stats=json:report -D "$file" "$@" </dev/null
    [ $? = 33 ] || fail "exit code: $*"
}
engines=interp
"$parallax" -accel jit -explain >/dev/null 2>&1 && engines="interp jit"

for engine in $engines; do
    trace long_far "exec.$engine" -accel "$engine" -d exec -trace registers -trace excp
    number=$(sed -n 's/.*"guest_instructions": \([0-9]*\).*/\1/p' report)
    # What faults is traced and does not count.
    traced=$(($(grep -c '^insn: cpu=0 0x' "exec.$engine") - $(grep -c '^excp: ' "exec.$engine")))
    [ "$traced" = "$number" ] || fail "$traced instructions, not $number"
    [ "$(grep -c '^block_enter: ' "exec.$engine")" = "$(grep -c '^registers: cpu=0 rip=.* rax=' "exec.$engine")" ] ||
        fail "not the registers of every block"
    trace long_far "in.$engine" -accel "$engine" -trace guest_code
    trace page_implicit "mmu.$engine" -accel "$engine" -d mmu
    grep -q '^tlb_walk: va=0x.* access=write' "mmu.$engine" && grep -q '^tlb_fault: va=0x' "mmu.$engine" ||
        fail "no page walks"
    trace smp_kvm "pv.$engine" -accel "$engine" -smp 2 -pv kvm -d pv
    for point in hypercall msr; do
        grep -q "^pv_$point: " "pv.$engine" || fail "no pv_$point"
    done
done
for what in exec in pv; do
    for engine in $engines; do
        cmp "$what.interp" "$what.$engine" || fail "the engines trace $what differently"
    done
done

# Every instruction that runs was decoded, by the same text.
sed 's/^guest_code: //' in.interp | sort -u >decoded
sed -n 's/^insn: cpu=0 //p' exec.interp | sort -u >executed
[ -z "$(comm -13 decoded executed)" ] || { comm -13 decoded executed | head; fail "executed and not decoded"; }

if [ "$engines" != interp ]; then
    trace long_far out -accel jit -jit-test hot=1 -d out_asm
    grep -q '^host_code: block at 0x' out || fail "no blocks"
    # A block's code begins with its first instruction; both columns are there, and all was decoded.
    awk '/^host_code: block at / { at = $4; next }
         at && $2 == "(entering)" { next }
         at && $2 ~ /^0x/ { if ($2 != at || !/ \| 0x[0-9a-f]+  [a-z]/) { print at, $0; exit 1 } at = "" }' out || fail "not side by side"
    sed -n 's/^host_code: \(0x[0-9a-f]*\)  .* | 0x.*/\1/p' out | sort -u >shown
    sed 's/:.*//' decoded | sort -u >addresses
    [ -s shown ] && [ -z "$(comm -23 shown addresses)" ] || fail "translated and not decoded"
    # So do loops and traces, of several blocks.
    trace page_streams out -accel jit -jit-test hot=1 -d out_asm
    awk '/^host_code: [a-z]* at / { what = $2; next } $2 ~ /^0x/ && / \| 0x/ { n[what]++ }
         END { exit !(n["loop"] > 3 && n["trace"] > 30) }' out || fail "no guest code beside loops and traces"
fi

# The monitor: off, on, off.
printf 'log run\ntrace block_enter on\nstep 3\ntrace block_enter off\nstep 3\nquit\n' |
    "$parallax" -kernel "$programs/long_far.elf" -display none -serial null -S -monitor stdio >said 2>&1
[ "$(grep -c '^block_enter: ' run)" = 3 ] || { cat said run; fail "the monitor does not switch it"; }
exit 0
