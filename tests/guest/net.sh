#!/bin/sh
# Debian's kernel gets its address by DHCP from the user network, asks a name server, loads a file from the
# host's HTTP server and sends one back, and all bytes arrive.
# program, source, peer, kernel (amd64, full, i386), engine, device, MiB to load, further options
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
peer=$1 kernel=$2 accel=$3 model=$4 mib=$5
shift 5
arch=${kernel%full}
arch=${arch:-amd64}
# shellcheck source=tests/guest/netlib.sh
. "$source/tests/guest/netlib.sh"
need "vmlinuz-$kernel" "initrd-$arch.gz" "modules-$kernel.gz"

mkdir www
head -c "$((mib << 20))" /dev/urandom >www/big
start_peer
guest_initrd "$arch" "$kernel" >initrd <<END
readlink /sys/class/net/eth0/device/driver
udhcpc -i eth0 -n -q -t 20 -T 1 -s /lease
nslookup -port=$dns parallax.test 10.0.2.2
echo "loaded \$(wget -q -O - http://10.0.2.2:$http/big | md5sum)"
dd if=/dev/urandom of=/up bs=64k count=$((mib * 4)) 2>/dev/null
echo "sent \$(md5sum </up)"
nc 10.0.2.2 $sink </up
cat /proc/net/dev
grep virtio /proc/interrupts
dmesg | grep -E 'NETDEV WATCHDOG|Unit Hang|BUG|WARNING|timed out'
END
run -m 256 -accel "$accel" -kernel "$guests/vmlinuz-$kernel" -initrd initrd "$@" \
    -netdev user,id=n0 -device "$model,netdev=n0" -append "console=ttyS0 panic=-1 plx.cmd=/job" -no-reboot -timeout 120
grep -q libslirp errors && { cat errors; exit 77; }
expect_code 0
# A domain of Xen unplugs an emulated card, and finds its network at Xen's.
case " $* " in *" -pv xen "*) expect 'drivers/vif' ;; esac
expect 'lease 10.0.2.15 router 10.0.2.2 dns 10.0.2.3'
expect 'Address.*192.0.2.7'
expect "^loaded $(md5sum <www/big | cut -c 1-32)"
sent=$(sed -n 's/^sent \([0-9a-f]*\).*/\1/p' console)
[ -n "$sent" ] || fail "nothing was sent"
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -f www/sunk ] && break
    sleep 0.5
done
[ "$(md5sum <www/sunk | cut -c 1-32)" = "$sent" ] || fail "what was sent is not what arrived"
sed '1,/^sent/d' console | grep -E 'NETDEV WATCHDOG|Unit Hang|BUG|WARNING|timed out' && fail "the kernel complains"
case $model in
*mq=on*) expect 'virtio.*-input.1' ;;
esac
[ ! -s errors ] || fail "the program complains"
exit 0
