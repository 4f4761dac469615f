#!/bin/sh
# Debian's i386 kernel reads and writes a floppy disk with its own driver, by DMA.
# program, source, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
accel=$1
need vmlinuz-i386 initrd-i386.gz modules-i386.gz

awk 'BEGIN { for (i = 0; i < 200000; i++) printf "%d\n", i * i }' | head -c 1474560 >floppy.img
cp floppy.img expected.img
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "%d;", i }' | head -c 102400 |
    dd of=expected.img bs=1k seek=50 conv=notrunc 2>/dev/null
mkdir rd
cat >rd/job <<'END'
#!/bin/sh
modprobe floppy
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/fd0 ] && break; sleep 0.3; done
echo "read $(md5sum </dev/fd0)"
i=0
while [ $i -lt 100000 ]; do printf '%d;' $i; i=$((i + 1)); done | head -c 102400 >/tmp/data
dd if=/tmp/data of=/dev/fd0 bs=1k seek=50 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
echo "read back $(md5sum </dev/fd0)"
dmesg | grep -iE 'fd0|floppy0'
END
chmod 755 rd/job
{
    cat "$guests/initrd-i386.gz" "$guests/modules-i386.gz"
    (cd rd && echo job | cpio --quiet -o -H newc -R 0:0) | gzip
} >initrd
sum() { md5sum <"$1" | cut -c 1-32; }
before=$(sum floppy.img)
run -m 128 -accel "$accel" -kernel "$guests/vmlinuz-i386" -initrd initrd -fda floppy.img \
    -append "console=ttyS0 panic=-1 plx.cmd=/job" -no-reboot -timeout 200
expect_code 0
expect "^read $before"
expect "^read back $(sum expected.img)"
cmp floppy.img expected.img || fail "the image is not what the guest wrote"
grep -iE 'fd0.*error|floppy0:' console && fail "the kernel complains"
exit 0
