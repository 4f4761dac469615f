#!/bin/sh
# Debian's kernel finds the disk with its own driver, and what it writes to an ext4 file system is there
# when the cache is dropped, after the run, and for e2fsck. A CD-ROM reads as its image.
# program, source, architecture, engine, bus (ide, ide-pio, virtio,
# virtio-packed, virtio-mq), format (raw, qcow2: over a
# backing file)
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
arch=$1 accel=$2 bus=$3 format=$4
need "vmlinuz-$arch" "initrd-$arch.gz" "modules-$arch.gz"
for tool in mke2fs e2fsck debugfs; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done

backing=
cat >job <<'END'
#!/bin/sh
for m in crct10dif_generic crc64_rocksoft_generic ata_piix ahci virtio_pci virtio_blk sd_mod sr_mod crc32c_generic ext4; do
    modprobe $m 2>/dev/null
done
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/sr0 ] && { [ -b /dev/sda ] || [ -b /dev/vda ]; } && break
    sleep 0.3
done
disk=/dev/sda
[ -b /dev/vda ] && disk=/dev/vda
echo "cd $(md5sum </dev/sr0)"
mkdir /mnt
mount -t ext4 $disk /mnt
echo "was there: $(cat /mnt/greeting)"
i=0
while [ $i -lt 40 ]; do
    dd if=/dev/urandom of=/mnt/f$i bs=4k count=$((i * 7)) 2>/dev/null
    i=$((i + 1))
done
rm /mnt/f3 /mnt/f17
sync
echo "written $(cat /mnt/f* | md5sum)"
umount /mnt
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 $disk /mnt
echo "read back $(cat /mnt/f* | md5sum)"
umount /mnt
dmesg | grep -iE 'error|exception|timeout|reset' | grep -vE 'ima:|evm:|error recovery'
END
echo "from the host" >greeting
truncate -s 48M disk.raw
mke2fs -q -t ext4 disk.raw || exit 2
debugfs -w -R "write greeting greeting" disk.raw 2>/dev/null
if [ "$format" = qcow2 ]; then
    command -v qemu-img >/dev/null || { echo "no qemu-img"; exit 77; }
    mv disk.raw base.raw
    qemu-img create -q -f qcow2 -b base.raw -F raw disk.qcow2 || exit 2
    backing=,backing=base.raw,backing.format=raw
fi
awk 'BEGIN { for (i = 0; i < 300000; i++) printf "%d\n", i * i }' >cd.raw
truncate -s 2048000 cd.raw
mkdir rd
cp job rd/job
chmod 755 rd/job
{
    cat "$guests/initrd-$arch.gz" "$guests/modules-$arch.gz"
    (cd rd && echo job | cpio --quiet -o -H newc -R 0:0) | gzip
} >initrd

options=
case $bus in
ide) set -- -drive "file=disk.$format,format=$format$backing" ;;
ide-pio) set -- -drive "file=disk.$format,format=$format$backing" && options=libata.dma=0 ;;
ahci)
    set -- -drive "file=disk.$format,format=$format,if=none,id=d$backing" \
        -device ahci,id=sata -device ide-hd,bus=sata.1,drive=d
    ;;
virtio) set -- -drive "file=disk.$format,format=$format,if=virtio$backing" ;;
virtio-packed)
    set -- -drive "file=disk.$format,format=$format,if=none,id=d$backing" \
        -device virtio-blk-pci,drive=d,packed=on,queue-size=64
    ;;
virtio-mq)
    set -- -smp 2 -drive "file=disk.$format,format=$format,if=none,id=d$backing" \
        -device virtio-blk-pci,drive=d,num-queues=2
    ;;
esac
run -m 128 -accel "$accel" -kernel "$guests/vmlinuz-$arch" -initrd initrd -cdrom cd.raw "$@" \
    -append "console=ttyS0 panic=-1 $options plx.cmd=/job" -no-reboot -timeout 120
expect_code 0
expect 'was there: from the host'
expect "^cd $(md5sum <cd.raw | cut -c 1-32)"
wrote=$(sed -n 's/^written \([0-9a-f]*\).*/\1/p' console)
[ -n "$wrote" ] || fail "nothing was written"
expect "^read back $wrote"
sed '1,/^read back/d' console | grep -iE 'error|exception|timeout|reset' && fail "the kernel complains"
if [ "$format" = qcow2 ]; then
    qemu-img check -q disk.qcow2 || fail "qemu-img check"
    qemu-img convert -O raw disk.qcow2 disk.raw
fi
e2fsck -fn disk.raw >fsck 2>&1 || { cat fsck; fail "e2fsck"; }
for i in 0 1 2 4 5 6 7 8 9; do debugfs -R "cat f$i" disk.raw 2>/dev/null; done | wc -c | grep -qx $((28672 * 42)) ||
    fail "the host does not read what the guest wrote"
exit 0
