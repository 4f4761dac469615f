#!/bin/sh
# Debian's kernel as a domain of Xen, on 2 CPUs: events, the clock, the console and a disk are Xen's. HVM: the
# emulated disk is unplugged, and comes back as Xen's. PVH: by the kernel's entry of that name.
# program, source, architecture, engine, type (hvm, pvh)
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
arch=$1 engine=$2 type=$3
need "vmlinuz-$arch" "initrd-$arch.gz" "modules-$arch.gz"
for tool in mke2fs e2fsck python3 lz4; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done

cat >job <<'END'
#!/bin/sh
for m in crct10dif_generic crc64_rocksoft_generic crc32c_generic ext4 ata_piix sd_mod xen_blkfront; do
    modprobe $m 2>/dev/null
done
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/xvda ] && break
    sleep 0.3
done
echo "type $(cat /sys/hypervisor/type) $(cat /sys/hypervisor/guest_type), $(nproc) CPUs"
ls /dev/sda 2>/dev/null && echo "the emulated disk is there"
mkdir /mnt
mount -t ext4 /dev/xvda /mnt
dd if=/dev/urandom of=/mnt/f bs=64k count=150 2>/dev/null
echo "written $(md5sum </mnt/f)"
umount /mnt
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 /dev/xvda /mnt
echo "read back $(md5sum </mnt/f)"
umount /mnt
grep -E 'HYP|timer[01]|resched1|xenbus|blkif' /proc/interrupts
read line </dev/hvc0
echo "hvc0 said: $line" >/dev/hvc0
dmesg | grep -iE 'paravirt|booting kernel|fifo|installing Xen timer|blkfront|BUG:|Call Trace|soft lockup'
END
truncate -s 32M disk.raw
mke2fs -q -t ext4 disk.raw || exit 2
mkdir rd
cp job rd/job
chmod 755 rd/job
{
    cat "$guests/initrd-$arch.gz" "$guests/modules-$arch.gz"
    (cd rd && echo job | cpio --quiet -o -H newc -R 0:0) | gzip
} >initrd
kernel=$guests/vmlinuz-$arch
disk=disk.raw,format=raw
if [ "$type" = pvh ]; then
    # Boot protocol: payload_offset and payload_length at 248h, behind the setup sectors (1F1h).
    python3 - "$kernel" >payload <<'END' || exit 2
import struct, sys
d = open(sys.argv[1], 'rb').read()
offset, length = struct.unpack_from('<II', d, 0x248)
start = (d[0x1f1] + 1) * 512 + offset
sys.stdout.buffer.write(d[start:start + length])
END
    # Behind either stream there is more, of which they complain.
    lz4 -dc payload >vmlinux 2>/dev/null
    [ -s vmlinux ] || xz -dc --single-stream payload >vmlinux 2>/dev/null
    kernel=vmlinux
    disk=$disk,if=xen
fi
mkfifo keys
(sleep 1; echo "a line of text") >keys &
"$program" -m 256 -smp 2 -accel "$engine" -pv xen -kernel "$kernel" -initrd initrd -drive "file=$disk" \
    -serial file:serial -xen-console stdio -timeout 280 -stats \
    -append "console=ttyS0 plx.cmd=/job" <keys >console 2>errors
code=$?
cat serial >>console
expect_code 0
case $type in
hvm) expect 'type xen HVM, 2 CPUs' && expect 'Booting paravirtualized kernel on Xen HVM' ;;
pvh) expect 'type xen PVH, 2 CPUs' && expect 'Booting kernel on Xen PVH' ;;
esac
grep -q 'the emulated disk is there' console && fail "the IDE disk is still there"
expect 'xen:events: Using FIFO-based ABI'
expect 'installing Xen timer for CPU 1'
expect 'hvc0 said: a line of text'
expect 'blkfront: xvda: flush diskcache: enabled'
written=$(sed -n 's/^written *\([0-9a-f]*\).*/\1/p' console)
[ -n "$written" ] || fail "nothing was written"
expect "read back $written"
expect_used pvclock clocksource-stable upcall-vector evtchn-fifo steal-time console block
[ "$type" = pvh ] || expect_used unplug
grep -qE 'BUG:|Call Trace|soft lockup' console && fail "the kernel complains"
e2fsck -fn disk.raw >/dev/null 2>&1 || fail "e2fsck finds errors"
exit 0
