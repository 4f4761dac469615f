#!/bin/sh
# What the host cannot do reaches the guest as an error of the hardware, and the user as one line: a file
# that may not grow (a full disk), and one that vanishes while the guest reads it. With werror=stop the
# machine stops instead. program, source, architecture, engine, bus (ide, ahci, virtio)
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
arch=$1 accel=$2 bus=$3
need "vmlinuz-$arch" "initrd-$arch.gz" "modules-$arch.gz"
cat >job <<'END'
#!/bin/sh
for m in ata_piix ahci virtio_pci virtio_blk sd_mod; do modprobe $m 2>/dev/null; done
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/sda ] || [ -b /dev/vda ] && break
    sleep 0.3
done
disk=/dev/sda
[ -b /dev/vda ] && disk=/dev/vda
dd if=/dev/zero of=$disk bs=4k seek=4000 count=1 oflag=direct 2>/dev/null && echo "the write went well"
dd if=$disk of=/tmp/first bs=4k count=1 iflag=direct 2>/dev/null && echo "the first read went well"
echo VANISH
read -r line
dd if=$disk of=/dev/null bs=4k skip=100 count=1 iflag=direct 2>/dev/null && echo "the second read went well"
dmesg | grep -E 'I/O error'
END
chmod 755 job
{
    cat "$guests/initrd-$arch.gz" "$guests/modules-$arch.gz"
    echo job | cpio --quiet -o -H newc -R 0:0 | gzip
} >initrd
make_disk() {
    rm -f disk.raw
    head -c 1048576 /dev/zero | tr '\0' x >disk.raw
    truncate -s 32M disk.raw
}
case $bus in
ide) set -- -drive file=disk.raw,format=raw,werror="\$werror" ;;
virtio) set -- -drive file=disk.raw,format=raw,if=virtio,werror="\$werror" ;;
ahci)
    set -- -drive file=disk.raw,format=raw,if=none,id=d,werror="\$werror" \
        -device ahci,id=sata -device ide-hd,bus=sata.0,drive=d
    ;;
esac
# Files end before what the guest writes: as a disk that is full.
real=$program
program=./limited
cat >limited <<END
#!/bin/sh
ulimit -f 8192
exec "$real" "\$@"
END
chmod 755 limited
start() {
    werror=$1
    shift
    # shellcheck disable=SC2046 # a list of words
    talk -m 128 -accel "$accel" -kernel "$guests/vmlinuz-$arch" -initrd initrd \
        $(eval "echo $*") -append "console=ttyS0 panic=-1 plx.cmd=/job" -no-reboot -timeout 120
}
make_disk
start report "$@"
wait_for '^VANISH'
truncate -s 0 disk.raw
say go
hear
expect_code 0
tr -d '\r' <console >plain
mv plain console
expect '^the first read went well'
grep -q 'the write went well' console && fail "a write that failed went well"
grep -q 'the second read went well' console && fail "a read that failed went well"
expect 'I/O error, dev [sv]da, sector 32000'
expect 'I/O error, dev [sv]da, sector 800'
grep -q 'disk.raw: write of 4096 bytes at 0xfa0000 failed' errors || fail "no line about the write"
grep -q 'disk.raw: read of .* failed' errors || fail "no line about the read"

make_disk
rm -f keys
start stop "$@"
hear
expect_code 3
grep -q 'the guest stands still' errors || fail "no line about the stop"
grep -q 'the first read' console && fail "the guest went on"
exit 0
