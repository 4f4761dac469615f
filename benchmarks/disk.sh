#!/bin/sh
# disk.sh: direct reads and writes on each disk controller, against qemu-system-x86_64 -accel tcg; exits per MB
#
# Debian's kernel reads and writes MB megabytes (default 256) of a raw image with O_DIRECT, in blocks of 4 KB,
# and eight times in blocks of 1 MB, by IDE and AHCI (full virtualization) and virtio-blk (a paravirtual device), in interleaved rounds: ours
# (jit), QEMU. Printed are medians: megabytes per second of the guest's clock, and host CPU milliseconds (user
# and system) per megabyte, which is what the transfer adds to a run without one, and the median of the ratios
# of each round; then what the guest did per megabyte. Arguments: rounds (default 3). MB, DEVICES, WAYS,
# PARALLAX: as named.
set -u
runs=${1:-3}
mb=${MB:-256}
devices=${DEVICES:-ide ahci virtio}
guests=$PWD/build/guests
program=${PARALLAX:-$PWD/build/release/parallax}
bench=disk
# shellcheck source=benchmarks/lib/paired.sh
. "${0%/*}/lib/paired.sh"
cd "$dir" || exit 2
head -c "$((mb << 20))" /dev/urandom >disk.raw
ways="none ${WAYS:-read-4k read-1M write-4k write-1M}"
# How often way $1 moves the image, and how many megabytes these are.
passes() { case $1 in *-1M) echo 8 ;; *) echo 1 ;; esac; }
moved() { echo $((mb * $(passes "$1"))); }

# The guest's job: $1 of `ways`.
job() {
    cat <<END
#!/bin/sh
for m in ata_piix ahci sd_mod virtio_pci virtio_blk; do modprobe \$m 2>/dev/null; done
until [ -b /dev/sda ] || [ -b /dev/vda ]; do usleep 10000; done
disk=/dev/vda
[ -b \$disk ] || disk=/dev/sda
now() { cut -d ' ' -f 1 /proc/uptime; }
a=\$(now)
END
    bs=${1#*-}
    count=$((mb * 256))
    [ "$bs" = 4k ] || count=$mb
    echo "for i in \$(seq $(passes "$1")); do"
    case $1 in
    none) echo : ;;
    read-*) echo "dd if=\$disk of=/dev/null iflag=direct bs=$bs count=$count status=none || exit" ;;
    write-*) echo "dd if=/dev/zero of=\$disk oflag=direct bs=$bs count=$count status=none || exit" ;;
    esac
    echo "done"
    # shellcheck disable=SC2016 # the guest expands it
    echo 'echo "seconds $a $(now)"'
}
mkdir rd
for way in $ways; do
    job "$way" >rd/job
    chmod 755 rd/job
    { cat "$guests/initrd-amd64.gz" "$guests/modules-full.gz"
      (cd rd && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1; } >"initrd.$way"
done

# Appends "SECONDS CPU" of one run to file $1.$2.$3: who, device, way.
measure() {
    who=$1 device=$2 way=$3
    case $device in
    ahci) set -- -device ahci,id=sata -drive file=disk.raw,format=raw,if=none,id=disk -device ide-hd,drive=disk,bus=sata.0 ;;
    *) set -- -drive "file=disk.raw,format=raw,if=$device" ;;
    esac
    set -- "$@" -m 256 -kernel "$guests/vmlinuz-full" -initrd "initrd.$way" -vga none -display none \
        -append "console=ttyS0 mitigations=off panic=-1 plx.cmd=/job" -no-reboot -serial file:console
    case $who in
    qemu) set -- qemu-system-x86_64 -accel tcg,thread=single "$@" ;;
    ours) set -- "$program" "$@" ;;
    count) set -- "$program" -icount -stats="json:$device.$way.json" "$@" ;;
    esac
    for _ in 1 2 3; do # QEMU's guest may find that its timer does not tick when the host is busy
        sh -c '"$@" >"$0" 2>&1 </dev/null; times' log timeout -s KILL 300 "$@" >spent
        grep -q '^seconds' console && break
    done
    grep -q '^seconds' console || { tail -n 5 console log >&2; fail "$who $device $way: no transfer"; }
    sed -n 2p spent | awk -v line="$(grep '^seconds' console)" '{
        for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); s += t[1] * 60 + t[2] }
        split(line, l, " ")
        printf "%.2f %.3f\n", l[3] - l[2] + 0.001, s }' >>"$who.$device.$way"
}

i=0
while [ "$i" -lt "$runs" ]; do
    i=$((i + 1))
    for device in $devices; do
        for way in $ways; do
            measure ours "$device" "$way"
            measure qemu "$device" "$way"
        done
    done
done

# Lines of: ours s, CPU, CPU without; QEMU's; one per round.
printf '%-8s %-9s %10s %10s %7s %12s %12s %7s\n' disk "" "ours MB/s" "QEMU MB/s" ratio "ours ms/MB" "QEMU ms/MB" ratio
for device in $devices; do
    for way in $ways; do
        [ "$way" != none ] || continue
        paste -d ' ' "ours.$device.$way" "ours.$device.none" "qemu.$device.$way" "qemu.$device.none" |
            awk -v d="$device" -v w="$way" -v mb="$(moved "$way")" '
            function median(v, n,   i, j, t) {
                for (i = 2; i <= n; i++)
                    for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
                return (v[int((n + 1) / 2)] + v[int(n / 2) + 1]) / 2
            }
            { os[NR] = mb / $1; qs[NR] = mb / $5; rs[NR] = $5 / $1
              oc[NR] = ($2 - $4) * 1000 / mb; qc[NR] = ($6 - $8) * 1000 / mb; rc[NR] = qc[NR] / oc[NR] }
            END { printf "%-8s %-9s %10.1f %10.1f %7.2f %12.2f %12.2f %7.2f\n", d, w, median(os, NR),
                  median(qs, NR), median(rs, NR), median(oc, NR), median(qc, NR), median(rc, NR) }'
    done
done

# What the transfer adds to the counts of a class, per megabyte: under -icount, where boots are alike.
for device in $devices; do
    for way in $ways; do
        measure count "$device" "$way"
    done
done
exits_head
for device in $devices; do
    for way in $ways; do
        [ "$way" = none ] || exits_row "$device" "$way" "$device.$way.json" "$device.none.json" "$(moved "$way")"
    done
done
