#!/bin/sh
# The labs: what a student begins with is not solved and gets hints, a solved one passes. program, source,
# compiler
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
command -v make >/dev/null || { echo "no make"; exit 77; }
cc=$1
make_guests() { make -s -C "$1" CC="$cc" >errors 2>&1 || fail "make"; }
cp -r "$source/docs/labs" begin
cp -r "$source/docs/labs" end
cp "$source"/tests/labs/* end/
make_guests begin
make_guests end

# lab EXIT-CODE LINES-WITH-HINTS N ANSWER...
lab() {
    want=$1 hints=$2
    shift 2
    "$program" lab "$@" >console 2>errors </dev/null
    code=$?
    expect_code "$want"
    [ "$(grep -c '^wrong: .*\. Hint: ' console)" = "$hints" ] || fail "lab $*: not $hints hints"
}

[ "$("$program" lab | grep -c '^[1-9]  ')" = 5 ] || fail "not five labs"
for n in 1 2 3 4; do
    "$program" lab $n | grep -q "^Then: parallax lab $n" || fail "lab $n does not say what to do"
done
lab 1 2 1 begin/hypercall.elf
lab 0 0 1 end/hypercall.elf
lab 1 2 2 begin/tlb.elf
lab 0 0 2 end/tlb.elf
lab 1 17 3 begin/popek.txt
lab 0 0 3 end/popek.txt
sed 's/^pop .*/pop lies/; s/^sgdt .*/sgdt traps/' end/popek.txt >popek.txt
lab 1 0 3 popek.txt
expect '^wrong: pop .*exception 13'
expect '^wrong: sgdt .*no exception'
lab 1 4 4 begin/mix.elf begin/count.txt

# As a student counts: by the tables of -stats.
table() {
    "$program" -icount -stats "$@" -kernel end/mix.elf -m 64 -display none -serial null -device isa-debug-exit 2>&1 |
        awk '/^class / { on = 1; next } /^engine / { on = 0 } on && NF == 7 && $1 != "class"'
}
table -pv-inline off >trap
table -accel jit >translate
table -accel jit -pv kvm >paravirt
left() { awk '$1 != "tlb-miss" { n += $4 + $5 + $6 } END { print n }' "$1"; }
{
    echo "trap-and-emulate $(left trap)"
    echo "translation $(left translate)"
    echo "paravirt $(left paravirt)"
    echo "saved apic-eoi"
} >count.txt
cat count.txt >>errors
lab 0 0 4 end/mix.elf count.txt
sed -i 's/apic-eoi/cpuid/' count.txt
lab 1 1 4 end/mix.elf count.txt
lab 1 1 5
expect 'DEVICE(accumulator)'

lab 2 0 9
lab 2 0 1 begin/hypercall.elf more
lab 3 0 1 nothing-there
lab 3 0 3 nothing-there
exit 0
