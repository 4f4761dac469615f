#!/bin/sh
# Debian's kernel takes the frequency of its TSC from VMware's backdoor, and VMware's own tools talk to
# the host: by the port with its fast half, and by the instruction.
# program, source, personality, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
pv=$1 engine=$2
need vmlinuz-amd64 initrd-amd64.gz vmtools.gz
cat "$guests/initrd-amd64.gz" "$guests/vmtools.gz" >initrd

run -stats -accel "$engine" -m 256 -smp 2 -pv "$pv" -kernel "$guests/vmlinuz-amd64" -initrd initrd -timeout 280 \
    -append "console=ttyS0 plx.cmd=vmware-rpctool 'info-set guestinfo.plx a value'; vmware-rpctool 'info-get guestinfo.plx';
vmware-rpctool 'info-get guestinfo.none'; vmware-toolbox-cmd stat speed; vmware-toolbox-cmd stat hosttime"
expect_code 0
expect 'Hypervisor detected: VMware'
expect 'vmware: TSC freq read from hypervisor : 1000.000 MHz'
expect 'vmware: Host bus clock speed read from hypervisor : 1000000000 Hz'
expect 'vmware: using clock offset of'
expect 'vmware: vmware-stealtime: cpu 1,'
expect 'Booting paravirtualized kernel on VMware hypervisor'
expect '^a value'
expect 'No value found'
expect '1000 MHz'
expect_used gethz steal-clock rpc time
case $pv in
*-hypercall*)
    expect 'vmware: hypercall mode: 0x00'
    expect_used port high-bandwidth
    ;;
*)
    expect 'vmware: hypercall mode: 0x01'
    expect_used hypercall
    ;;
esac
grep -qE 'Oops|BUG:|Call Trace|general protection|soft lockup' console && fail "the kernel complains"
exit 0
