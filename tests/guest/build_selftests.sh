#!/bin/sh
# Builds Linux's x86 selftests: $1 tools/testing/selftests/x86 of an unpacked kernel source, $2 the
# unpacked packages libc6-dev-i386 and lib32gcc-12-dev, $3 where the static programs go, as NAME_64
# and NAME_32. What the lists lack: amx (no CPU model of ours has it).
set -eu
src=$1
multilib=$(cd "$2" && pwd)
mkdir -p "$3"
out=$(cd "$3" && pwd)
cd "$src"

both="single_step_syscall sysret_ss_attrs syscall_nt test_mremap_vdso check_initial_reg_state
sigreturn iopl ioperm test_vsyscall mov_ss_trap sigtrap_loop syscall_arg_fault fsgsbase_restore
sigaltstack ldt_gdt ptrace_syscall"
only64="fsgsbase sysret_rip syscall_numbering corrupt_xstate_header"
only32="entry_from_vm86 test_syscall_vdso unwind_vdso test_FCMOV test_FCOMI test_FISTTP vdso_restorer"
gcc32=$(echo "$multilib"/usr/lib/gcc/x86_64-linux-gnu/*/32)
bits32="-m32 -B$multilib/usr/lib32/ -B$gcc32/ -L$multilib/usr/lib32 -L$gcc32
-isystem $multilib/usr/include/x86_64-linux-gnu -idirafter /usr/include/x86_64-linux-gnu"

# name, bits, options
build() {
    extra=
    case $1_$2 in
    sysret_ss_attrs_64) extra=thunks.S ;;
    ptrace_syscall_32) extra=raw_syscall_helper_32.S ;;
    test_syscall_vdso_32) extra=thunks_32.S ;;
    check_initial_reg_state_*) extra=-Wl,-ereal_start ;;
    esac
    # shellcheck disable=SC2086 # lists of words
    ${CC:-gcc} $3 -O2 -std=gnu99 -pthread -w -static -no-pie -DCAN_BUILD_32 -DCAN_BUILD_64 -I.. \
        -o "$out/$1_$2" "$1.c" $extra -lrt -ldl -lm
}
for t in $both $only64; do build "$t" 64 -m64; done
for t in $both $only32; do build "$t" 32 "$bits32"; done
