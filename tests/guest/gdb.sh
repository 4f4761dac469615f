#!/bin/sh
# gdb on Debian's kernel with two CPUs, each on a thread: symbols from the guest's own kallsyms,
# breakpoints, watchpoints and steps in both; then the kernel goes on and ends as if nothing had been.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-amd64 initrd-amd64.gz
command -v gdb >/dev/null || { echo "no gdb: apt-get install gdb"; exit 77; }
HOME=$dir
export HOME

boot() {
    run -m 128 -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" -timeout 250 "$@"
}
boot -append "console=ttyS0 nokaslr quiet plx.cmd=grep -E ' (start_kernel|do_sys_openat2|__x64_sys_getpid|jiffies_64|linux_banner|init_task)\$' /proc/kallsyms"
expect_code 0
tr -d '\r' <console | grep '^ffffffff' >symbols
address() { sed -n "s/^\\([0-9a-f]*\\) . $1\$/0x\\1/p" symbols; }
[ "$(wc -l <symbols)" -eq 6 ] || fail "kallsyms lacks symbols"

cat >script <<END
hbreak *$(address start_kernel)
continue
unset tdesc filename
monitor symbols symbols
monitor info cpus
monitor x/s linux_banner
delete
break *$(address do_sys_openat2) if \$rdi == 0xffffff9c
continue
stepi
p/x \$rip - $(address do_sys_openat2)
info threads
delete
watch *(long *)$(address jiffies_64)
continue
info threads
delete
monitor info pt jiffies_64
break *$(address __x64_sys_getpid)
continue
finish
p/x \$cs
p/x \$cr0 & 0x80000001
monitor break init_task
delete
detach
END
"$program" -m 128 -smp 2 -kernel "$guests/vmlinuz-amd64" -initrd "$guests/initrd-amd64.gz" -timeout 250 \
    -append "console=ttyS0 nokaslr quiet plx.cmd=sh -c 'exit 0'; nproc" -serial file:console -display none \
    -S -gdb "unix:$dir/socket" 2>errors </dev/null &
pid=$!
n=0
until [ -S socket ]; do
    kill -0 $pid 2>/dev/null || fail "it ended before gdb came"
    n=$((n + 1))
    [ $n -lt 600 ] || fail "no socket"
    sleep 0.1
done
timeout -s KILL 200 gdb -nx -batch -ex "set confirm off" -ex "set width 0" -ex "target remote socket" -x script \
    >said 2>&1 </dev/null
wait $pid
code=$?
cat said >>errors
expect_code 0
expect '^2.$'

said() { grep -qe "$1" said || fail "gdb did not say: $1"; }
said 'Thread 1 hit Breakpoint 1, 0xffffffff8'
said '<start_kernel>'
said 'CPU 1 (waits for start-up)'
said '"Linux version '
said 'hit Breakpoint 2, 0xffffffff8'
said '^$1 = 0x[1-9]'
said '^[* ] 1    Thread 1 (CPU#0'
said '^[* ] 2    Thread 2 (CPU#1'
said 'hit Hardware watchpoint 3'
said 'PD    entry at '
said '^$2 = 0x10$'
said '^$3 = 0x80000001$'
said 'breakpoint 0xffffffff8[0-9a-f]* <init_task>'
