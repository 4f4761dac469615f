# guests.sh: the groups of pv.sh: run_GROUP PERSONALITY runs one and appends to $dir/results "ROUND
# PERSONALITY GROUP NAME VALUE", nanoseconds for one. Sourced by pv.sh.

disk_drivers="crct10dif_generic crc64_rocksoft_generic crc32c_generic ext4 ata_piix sd_mod virtio_pci virtio_blk
xen_blkfront"

# ---- programs and RAM disks ------------------------------------------------------------------

# As tests/sys/long.cmake does.
compile_nano() {
    harness=$here/../tests/sys
    # shellcheck disable=SC2086 # a list of words
    ${CC:-cc} -m64 -ffreestanding -nostdlib -static -no-pie -fpie -mcmodel=small -mno-red-zone \
        -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
        -fno-strict-aliasing -std=gnu11 -O2 -Wl,--build-id=none -Wl,-z,noexecstack \
        -Wl,--no-warn-rwx-segments -Wl,-T,"$harness/long.ld" -I"$harness" -o "$out/nano.elf" \
        "$harness/long_start.S" "$harness/long_lib.c" "$here/pv/nano.c" || die "nano.c does not compile"
}

# An archive of folder $1, as the kernel takes it behind another.
archive() { (cd "$1" && find . | sort | cpio --quiet -o -H newc -R 0:0) | gzip -1n; }

# The guest's part of each group is a script: standard input to /job of RAM disk $1, behind base $2.
make_job() {
    rm -rf "$dir/job"
    mkdir "$dir/job"
    { echo '#!/bin/sh' && cat && echo 'echo bench-done'; } >"$dir/job/job"
    chmod 755 "$dir/job/job"
    { cat "$2" && archive "$dir/job"; } >"$dir/$1.gz"
}

# Waits for the disk, whatever its driver calls it.
find_disk() {
    cat <<END
for m in $(echo $disk_drivers); do modprobe \$m 2>/dev/null; done
disk=
for i in 1 2 3 4 5 6 7 8 9 10; do
    for d in /dev/sda /dev/vda /dev/xvda; do [ ! -b \$d ] || disk=\$d; done
    [ -z "\$disk" ] || break
    sleep 0.3
done
mkdir /mnt
END
}

os_job() {
    echo "mount -t tmpfs t /tmp; cd /tmp"
    for g in syscall exception process switch files; do echo "/bench/bench64 $options $g"; done
}

clock_job() {
    cat <<END
cd /sys/devices/system/clocksource/clocksource0
for c in \$(cat available_clocksource); do
    echo \$c >current_clocksource
    /bench/bench64 $options syscall/clock_gettime | sed "s/syscall clock_gettime/clock \$c/"
done
END
}

# Nanoseconds for a megabyte, each way, with large and small packets.
net_job() {
    cat <<END
udhcpc -i eth0 -n -q -t 20 -T 1 -s /lease
now() { cut -d ' ' -f 1 /proc/uptime; }
for mtu in 1500 500; do
    ip link set eth0 mtu \$mtu
    a=\$(now); wget -q -O /dev/null http://10.0.2.2:$http/big || exit
    b=\$(now); /netsend $sink $mb || exit
    echo "\$a \$b \$(now)" | awk "{
        printf \"bench net receive-\$mtu %.0f\\nbench net send-\$mtu %.0f\\n\", (\\\$2 - \\\$1) * 1e9 / $mb, (\\\$3 - \\\$2) * 1e9 / $mb }"
done
END
}

prepare_programs() {
    cd "$here/.." || die "no $here"
    compile
    make_initrd amd64
    base=$dir/base.gz
    mkdir "$dir/tcc"
    make_tcc "$dir/tcc"
    { cat "$out/initrd-amd64.gz" && archive "$dir/tcc"; } >"$base"
    full=$dir/full.gz
    cat "$out/initrd-amd64.gz" "$guests/modules-full.gz" >"$full" || die "no modules. Hint: ./px fetch"
}

prepare_jobs() {
    os_job | make_job os "$base"
    clock_job | make_job clock "$base"
    echo "BENCH_TCC=/tcc /bench/bench64 $options compile" | make_job compile "$base"
    echo "/bench/bench64 -m $options cross" | make_job smp "$base"
    { find_disk && cat <<END; } | make_job disk "$full"
BENCH_DISK=\$disk /bench/bench64 -m $options disk
mount -t ext4 \$disk /mnt && cd /mnt && /bench/bench64 -m $options files/mix
END
}

prepare_net() {
    ${CC:-cc} -O2 -std=gnu11 -o "$dir/peer" tests/guest/net_peer.c || die "net_peer.c does not compile"
    mkdir "$dir/www" "$dir/net"
    ${CC:-cc} -O2 -std=gnu11 -static -o "$dir/net/netsend" benchmarks/guest/netsend.c || die "netsend.c does not compile"
    head -c "$((mb << 20))" /dev/zero >"$dir/www/big"
    cd "$dir" || exit 3
    fail() { die "$*"; }
    peer=$dir/peer
    # shellcheck source=tests/guest/netlib.sh
    . "$here/../tests/guest/netlib.sh"
    start_peer
    cat "$full" >"$dir/net_base.gz"
    archive "$dir/net" >>"$dir/net_base.gz"
    net_job | guest_job | make_job net "$dir/net_base.gz"
}

prepare() {
    ${CC:-cc} -O2 -o "$out/tsc_rate" "$here/pv/tsc_rate.c" || die "tsc_rate.c does not compile"
    rate=$("$out/tsc_rate") || die "this host has no steady time-stamp counter"
    case $groups in *nano*) compile_nano ;; esac
    [ "$groups" != nano ] || return 0
    prepare_programs
    prepare_jobs
    case $groups in *disk* | *counts*)
        truncate -s 128M "$dir/empty.raw"
        mke2fs -q -t ext4 "$dir/empty.raw" 64M || die "mke2fs: apt-get install e2fsprogs"
        ;;
    esac
    case $groups in *net* | *counts*) prepare_net ;; esac
    prepare_counts
}

# ---- one run ---------------------------------------------------------------------------------

# Did all of the job that printed the console go well? $* says which it was.
check_job() {
    tr -d '\r' <"$dir/console" | awk '$1 == "bench" && $4 == "FAIL" { bad = 1 } $1 == "bench-done" { done = 1 }
        END { exit bad || !done }' && return
    tail -n 5 "$dir/console" "$dir/log" >&2
    die "$*: the programs did not come to their end"
}

# $1 group, $2 personality, $3 kernel, $4 RAM disk, $5 prefix of names, then options: one guest, its times kept.
guest() {
    group=$1 pv=$2 kernel=$3 initrd=$4 prefix=$5
    shift 5
    timeout -s KILL 600 "$program" -accel "$accel" -pv "$pv" -m 512 -no-reboot -kernel "$guests/vmlinuz-$kernel" \
        -initrd "$dir/$initrd.gz" -append "console=ttyS0 panic=-1 mitigations=off plx.cmd=/job" \
        -display none -serial file:"$dir/console" "$@" >"$dir/log" 2>&1 </dev/null
    check_job "$group, $pv"
    tr -d '\r' <"$dir/console" | awk -v start="$round $pv $group" -v prefix="$prefix" '
        $1 == "bench" { print start, prefix (start ~ / os$/ ? $2 "/" : "") $3, $4 }' >>"$dir/results"
}

run_nano() {
    for inline in on off; do
        timeout -s KILL 120 "$program" -kernel "$out/nano.elf" -accel "$accel" -pv "$1" -pv-inline $inline \
            -device isa-debug-exit,iobase=0xf4 -debugcon stdio -display none >"$dir/console" 2>&1 </dev/null
        grep -q '^done ' "$dir/console" || {
            tail -n 3 "$dir/console" >&2
            die "$1, -pv-inline $inline: the program did not come to its end"
        }
        sed -n "s/^nano /$1 $inline /p" "$dir/console" >>"$dir/nano"
    done
}

run_os() { guest os "$1" amd64 os ""; }
run_clock() { guest clock "$1" amd64 clock ""; }
run_compile() { guest compile "$1" amd64 compile ""; }
run_smp2() { guest smp2 "$1" amd64 smp "" -smp 2; }
run_smp4() { guest smp4 "$1" amd64 smp "" -smp 4; }

# The options of disk $1 and of network card $1, and which there are under personality $2.
disk_options() {
    cp "$dir/empty.raw" "$dir/disk.raw"
    echo "-drive file=$dir/disk.raw,format=raw,if=$1"
}
disks_of() { case $1 in xen*) echo xen ;; *) echo ide virtio ;; esac; }
net_options() { echo "-netdev user,id=n0 -device $1,netdev=n0"; }
nets_of() { echo e1000 virtio-net-pci; case $1 in xen*) echo xen-net ;; esac; }

run_disk() {
    for d in $(disks_of "$1"); do
        # shellcheck disable=SC2046 # lists of words
        guest disk "$1" full disk "$d-" $(disk_options "$d")
    done
}

run_net() {
    for d in $(nets_of "$1"); do
        # shellcheck disable=SC2046
        guest net "$1" full net "$d-" $(net_options "$d")
    done
}

# ---- counts ----------------------------------------------------------------------------------

# $1 name, $2 how many are counted, $3 CPUs, $4 kernel, then what the guest does for them. Under -icount, so that a
# run which does nothing can be taken off: both boot alike.
count_rows() {
    cat <<END
timer 1000 1 amd64 /bench/bench64 -b 1 -n 49 timer
broadcast 10000 4 amd64 /bench/bench64 -b 1 -n 19 cross/broadcast
shootdown 10000 4 amd64 /bench/bench64 -b 1 -n 9 cross/shootdown
shootdown-idle 1000 2 amd64 /bench/bench64 -b 1 -n 9 cross/shootdown-idle
disk 64 1 full BENCH_DISK=\$disk /bench/bench64 -b 1 -n 63 disk/read-64K
net $mb 1 full wget -q -O /dev/null http://10.0.2.2:$http/big
END
}

prepare_counts() {
    case $groups in *counts*) ;; *) return ;; esac
    count_rows | while read -r name _ _ kernel what; do
        for do in "$what" true; do
            case $name in
            disk) { find_disk && echo "$do"; } | make_job "count_$name" "$full" ;;
            net) { echo "udhcpc -i eth0 -n -q -t 20 -T 1 -s /lease" && echo "$do"; } | guest_job | make_job "count_$name" "$dir/net_base.gz" ;;
            *) echo "$do" | make_job "count_$name" "$base" ;;
            esac
            [ "$do" = true ] || mv "$dir/count_$name.gz" "$dir/does_$name.gz"
        done
    done
}

# $1 RAM disk, $2 personality, $3 CPUs, $4 kernel, then options. As tests/guest/smp.sh says, only IPIs to a mask of
# CPUs show what a personality makes of them.
count_run() {
    initrd=$1 pv=$2 cpus=$3 kernel=$4
    shift 4
    timeout -s KILL 300 "$program" -accel "$accel" -pv "$pv" -m 512 -smp "$cpus" -no-reboot -icount -seed 1 \
        -kernel "$guests/vmlinuz-$kernel" -initrd "$dir/$initrd.gz" -display none -serial file:"$dir/console" \
        -append "console=ttyS0 panic=-1 mitigations=off no_ipi_broadcast=1 plx.cmd=/job" "$@" \
        -stats="json:$dir/$initrd.json" >"$dir/log" 2>&1 </dev/null
    check_job "counts, $initrd, $pv"
}

run_counts() {
    count_rows | while read -r name ops cpus kernel _; do
        case $name in disk) devices=$(disks_of "$1") ;; net) devices=$(nets_of "$1") ;; *) devices=- ;; esac
        for d in $devices; do
            for job in count does; do
                case $name in disk) more=$(disk_options "$d") ;; net) more=$(net_options "$d") ;; *) more= ;; esac
                # shellcheck disable=SC2086 # a list of words
                count_run "${job}_$name" "$1" "$cpus" "$kernel" $more
            done
            [ "$d" = - ] && d=
            awk -v start="$1 $name${d:+-}$d $ops" '
                /^    "[a-z0-9-]*": \{/ { class = $1; gsub(/[":]/, "", class) }
                /"(count|exit)":/ { n = $2 + 0; key = class " " $1; gsub(/[":]/, "", key)
                    if (FNR == NR) was[key] = n; else if (n - was[key] > 0) print start, key, n - was[key] }
            ' "$dir/count_$name.json" "$dir/does_$name.json" >>"$dir/counts"
        done
    done || exit
}
