#!/bin/sh
# run.sh PARALLAX TEST.elf [OPTION...]: runs one bare-metal test program and judges it: it must end by
# isa-debug-exit with "pass", say "done", and have said no FAIL; nor skip anything, unless it runs on
# a smaller CPU model.
#
# The same program runs by hand elsewhere:
#   qemu-system-i386 -kernel TEST.elf -device isa-debug-exit,iobase=0xf4 -debugcon stdio -display none
set -u
parallax=$1
elf=$2
shift 2
out=$("$parallax" -kernel "$elf" "$@" -device isa-debug-exit,iobase=0xf4 -debugcon stdio -display none -timeout 60 2>&1)
code=$?
printf '%s\n' "$out"
case $out in
*"the translator needs a host with"*) exit 77 ;;
esac
if [ "$code" -ne 33 ]; then
    echo "exit code $code instead of 33"
    exit 1
fi
case $out in
*FAIL*) exit 1 ;;
*"skip "*) case " $* " in *" -cpu "*) ;; *) exit 1 ;; esac ;;
esac
case $out in
*"done "*) exit 0 ;;
esac
echo "the program reported no end"
exit 1
