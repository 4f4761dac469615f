#!/bin/sh
# Points that never stop change nothing: instructions, RAM and time are those of a run without any. $1 the
# program, $2 the guest (a boot sector or a kernel); further arguments: options.
set -u
program=$1 guest=$2
shift 2
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 2
case $guest in
*.elf) boot="-kernel $guest" ;;
*) cp "$guest" disk.img; boot="-fda disk.img" ;;
esac

# commands, the file for what counts
one_run() {
    # shellcheck disable=SC2086 # $boot is two words
    printf '%s\nc\n' "$1" | timeout -s KILL 100 "$program" $boot -m 32 -icount -display none -debugcon file:said \
        -device isa-debug-exit,iobase=0xf4 -S -monitor stdio -stats $options >transcript 2>report
    echo "exit code $?" >"$2"
    grep -o '[0-9]* guest instructions\|hash of RAM.*' report >>"$2"
    cat said >>"$2"
}
options=$*
one_run '' plain
one_run 'watch 0x600,8 if rax == 0x123456789
rwatch 0x9000,4096 if 0
awatch 0x100000,64 if rip == 1
break 0x7d20 if rcx == 12345
break 0x7c29 if cx > 1000
break 0x100100 if eax == 0xdeadbeef && ebx == 1
break #PF if cr2 == 0x77
break #GP if rsp == 1
iobreak 0xe9 if value == 0xffff
msrbreak 0x10 if 0
modebreak if 0' points
if ! grep -q 'guest instructions' plain || ! cmp -s plain points; then
    echo "--- plain"
    cat plain
    echo "--- with points"
    cat points transcript
    exit 1
fi
