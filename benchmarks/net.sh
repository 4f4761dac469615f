#!/bin/sh
# net.sh: a TCP transfer by each network controller, against qemu-system-x86_64 -accel tcg; exits per MB
#
# Debian's kernel loads MB megabytes (default 100) from a server of the host through the user network, and
# sends as many, by e1000, rtl8139 (full virtualization) and virtio-net (a paravirtual device), in
# interleaved rounds: ours (jit), QEMU. Printed are megabytes per second of the guest's clock, and host CPU
# milliseconds (user and system) per megabyte, which is what the transfer adds to a run without one; then
# what the guest did per megabyte. Arguments: rounds (default 3). MB, DEVICES, PARALLAX: as named.
set -u
runs=${1:-3}
mb=${MB:-100}
devices=${DEVICES:-e1000 rtl8139 virtio-net-pci}
guests=$PWD/build/guests
program=${PARALLAX:-$PWD/build/release/parallax}
bench=net
# shellcheck source=benchmarks/lib/paired.sh
. "${0%/*}/lib/paired.sh"
source=$PWD
mkdir "$dir/rd"
cc -O2 -std=gnu11 -o "$dir/peer" tests/guest/net_peer.c || exit 2
cc -O2 -std=gnu11 -static -o "$dir/rd/netsend" benchmarks/guest/netsend.c || exit 2
peer=$dir/peer
# shellcheck source=tests/guest/netlib.sh
. "$source/tests/guest/netlib.sh"
cd "$dir" || exit 2
mkdir www
head -c "$((mb << 20))" /dev/zero >www/big
start_peer
job() {
    cat <<END
udhcpc -i eth0 -n -q -t 20 -T 1 -s /lease
now() { cut -d ' ' -f 1 /proc/uptime; }
a=\$(now)
$1
echo "seconds \$a \$(now)"
END
}
for what in load send none; do
    case $what in
    load) line="wget -q -O /dev/null http://10.0.2.2:$http/big" ;;
    send) line="/netsend $sink $mb" ;;
    none) line=true ;;
    esac
    job "$line" | guest_initrd amd64 full >"initrd.$what"
done

# Appends "SECONDS CPU" of one run to file $1.$2.$3: who, device, what.
measure() {
    who=$1 device=$2 what=$3
    set -- -m 256 -kernel "$guests/vmlinuz-full" -initrd "initrd.$what" -nic "user,model=$device" \
        -append "console=ttyS0 mitigations=off panic=-1 plx.cmd=/job" -no-reboot -serial file:console
    case $who in
    qemu) set -- qemu-system-x86_64 -accel tcg,thread=single -display none -vga none "$@" ;;
    ours) set -- "$program" -vga none "$@" ;;
    count) set -- "$program" -icount -vga none -stats="json:$device.$what.json" "$@" ;;
    esac
    for _ in 1 2 3; do # QEMU's guest may find that its timer does not tick when the host is busy
        sh -c '"$@" >"$0" 2>&1 </dev/null; times' log timeout -s KILL 300 "$@" >spent
        grep -q '^seconds' console && break
    done
    grep -q '^seconds' console || { tail -n 5 console log >&2; fail "$who $device: no transfer"; }
    sed -n 2p spent | awk -v line="$(grep '^seconds' console)" '{
        for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); s += t[1] * 60 + t[2] }
        split(line, l, " ")
        printf "%.2f %.3f\n", l[3] - l[2], s }' >>"$who.$device.$what"
}

i=0
while [ "$i" -lt "$runs" ]; do
    i=$((i + 1))
    for device in $devices; do
        for what in none load send; do
            measure ours "$device" "$what"
            measure qemu "$device" "$what"
        done
    done
done

median() { sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
column() { cut -d ' ' -f "$2" "$1" | median; }
printf '%-16s %-5s %10s %10s %7s %12s %12s %7s\n' device "" "ours MB/s" "QEMU MB/s" ratio "ours ms/MB" "QEMU ms/MB" ratio
for device in $devices; do
    for what in load send; do
        awk -v d="$device" -v w=$what -v mb="$mb" \
            -v os="$(column "ours.$device.$what" 1)" -v qs="$(column "qemu.$device.$what" 1)" \
            -v oc="$(column "ours.$device.$what" 2)" -v qc="$(column "qemu.$device.$what" 2)" \
            -v on="$(column "ours.$device.none" 2)" -v qn="$(column "qemu.$device.none" 2)" 'BEGIN {
            o = (oc - on) * 1000 / mb; q = (qc - qn) * 1000 / mb
            printf "%-16s %-5s %10.1f %10.1f %7.2f %12.2f %12.2f %7.2f\n", d, w, mb / os, mb / qs, qs / os, o, q, q / o }'
    done
done

# Under -icount, where boots are alike; when the host's frames come differs still.
for device in $devices; do
    for what in none load send; do
        measure count "$device" "$what"
    done
done
exits_head
for device in $devices; do
    for what in load send; do
        exits_row "$device" "$what" "$device.$what.json" "$device.none.json" "$mb"
    done
done
