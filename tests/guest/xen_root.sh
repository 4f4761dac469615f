#!/bin/sh
# Debian's kernel as a domain of Xen has its root file system on xvda: what an initramfs does, switch_root to an ext4
# with an init of its own, which writes, syncs and powers off; what it wrote is in the image.
# program, source, architecture, engine, how the disk is there (ide: unplugged by the guest; xen)
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
arch=$1 engine=$2 bus=$3
need "vmlinuz-$arch" "initrd-$arch.gz" "modules-$arch.gz" "busybox-$arch"
for tool in mke2fs e2fsck debugfs; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done

mkdir -p rd root/bin root/proc root/sys root/dev root/sbin
cat >rd/start <<'END'
#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B --install -s /bin
mount -t devtmpfs dev /dev
for m in crct10dif_generic crc64_rocksoft_generic crc32c_generic ext4 ata_piix sd_mod xen_blkfront; do
    modprobe $m 2>/dev/null
done
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/xvda ] && break
    sleep 0.3
done
mkdir /new
mount -t ext4 /dev/xvda /new
mount -o move /dev /new/dev
umount /proc
exec switch_root /new /sbin/init
END
cat >root/sbin/init <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount | grep ' on / '
echo "pid $$, root $(cat /etc-greeting)"
dd if=/bin/busybox of=/copy bs=64k 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
echo "same $(cmp /bin/busybox /copy && echo yes)"
dmesg | grep -E 'BUG:|Call Trace|EXT4-fs error|I/O error'
mount -o remount,ro /
poweroff -f
END
echo "on xvda" >root/etc-greeting
cp "$guests/busybox-$arch" root/bin/busybox
chmod 755 rd/start root/sbin/init root/bin/busybox
truncate -s 32M disk.raw
mke2fs -q -t ext4 -d root disk.raw || exit 2
{
    cat "$guests/initrd-$arch.gz" "$guests/modules-$arch.gz"
    (cd rd && echo start | cpio --quiet -o -H newc -R 0:0) | gzip
} >initrd
run -m 256 -accel "$engine" -pv xen -kernel "$guests/vmlinuz-$arch" -initrd initrd -timeout 120 -stats \
    -drive "file=disk.raw,format=raw,if=$bus" -append "console=ttyS0 rdinit=/start"
expect_code 0
expect '/dev/xvda on / type ext4'
expect 'pid 1, root on xvda'
expect 'same yes'
grep -qE 'BUG:|Call Trace|EXT4-fs error|I/O error' console && fail "the kernel complains"
expect_used block
e2fsck -fn disk.raw >/dev/null 2>&1 || fail "e2fsck finds errors"
debugfs -R "dump /copy copy" disk.raw 2>/dev/null
cmp copy root/bin/busybox || fail "the file in the image is another"
exit 0
