#!/bin/sh
# Debian's drivers for entropy, consoles, balloon and a shared folder over virtio. program, source, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
engine=$1
need vmlinuz-full initrd-amd64.gz modules-full.gz
make_initrd_with_check <<'END'
mkdir -p /mnt /tmp
for m in virtio_pci virtio-rng virtio_console virtio_balloon 9pnet_virtio 9p; do
    modprobe $m || echo no module $m
done
echo "rng $(cat /sys/class/misc/hw_random/rng_available)"
dd if=/dev/hwrng of=/tmp/random bs=64 count=16 2>/dev/null
echo "random bytes $(wc -c </tmp/random), different $(od -An -v -tx1 -w1 /tmp/random | sort -u | wc -l)"
until ls /dev/vport*p1 >/dev/null 2>&1; do sleep 1; done
echo "port $(cat /sys/class/virtio-ports/vport*p1/name)"
echo "from the port" >"$(ls /dev/vport*p1)"
echo "from hvc0" >/dev/hvc0
mount -t 9p -o trans=virtio,version=9p2000.L,msize=131072 host /mnt || echo no mount
echo "file: $(cat /mnt/file), link: $(readlink /mnt/link)"
cat /mnt/link 2>/dev/null
cp /bin/busybox /mnt/copy && mkdir /mnt/dir && mv /mnt/copy /mnt/dir/moved && rm /mnt/gone && echo changed
chmod 700 /mnt/dir/moved
cmp /bin/busybox /mnt/dir/moved && echo same
ls /mnt/many | wc -l
umount /mnt
mount -t 9p -o trans=virtio,version=9p2000.L,cache=none mapped /mnt || echo no mount
echo text >/mnt/f && chown 12:34 /mnt/f && chmod 4755 /mnt/f && mknod /mnt/null c 1 3 && ln -s f /mnt/sym
echo "mapped: $(stat -c '%u:%g %a' /mnt/f), $(stat -c '%F %t,%T' /mnt/null), $(readlink /mnt/sym), $(cat /mnt/sym)"
umount /mnt
mount -t tmpfs none /tmp
dd if=/dev/urandom of=/tmp/x bs=1M count=100 2>/dev/null
sleep 1
echo FULL
rm /tmp/x
sleep 5
echo EMPTY
sleep 3
END
cat "$guests/modules-full.gz" >>initrd.gz
mkdir -p shared/many mapped
echo content >shared/file
: >shared/gone
ln -s /etc/passwd shared/link
for i in 1 2 3 4 5 6 7 8 9; do
    for j in 1 2 3 4 5 6 7 8 9; do : >"shared/many/a file with a long name, number $i$j"; done
done

"$program" -accel "$engine" -m 256 -kernel "$guests/vmlinuz-full" -initrd initrd.gz \
    -append "console=ttyS0 plx.cmd=sh /check" -serial file:console -timeout 250 \
    -object rng-random,id=r0,filename=/dev/urandom -device virtio-rng-pci,rng=r0 \
    -chardev file,id=c0,path=hvc -chardev file,id=c1,path=port -device virtio-serial-pci \
    -device virtconsole,chardev=c0 -device virtserialport,chardev=c1,name=org.parallax.test \
    -device virtio-balloon-pci,target=208,free-page-reporting=on,guest-stats-polling-interval=1 \
    -virtfs local,path=shared,mount_tag=host,security_model=none \
    -virtfs local,path=mapped,mount_tag=mapped,security_model=mapped-xattr \
    -trace 'virtio_balloon*' -D trace </dev/null 2>errors &
pid=$!

resident() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"; }
wait_for() {
    n=0
    until grep -qs "$1" console; do
        kill -0 $pid 2>/dev/null || fail "it ended before: $1"
        n=$((n + 1))
        [ $n -lt 2400 ] || fail "never seen: $1"
        sleep 0.1
    done
}
wait_for ^FULL
full=$(resident)
wait_for ^EMPTY
empty=$(resident)
wait $pid
code=$?
expect_code 0
grep -q '^no ' console && fail "something is missing"
expect '^rng .*virtio_rng.0'
expect '^random bytes 1024, different [12][0-9][0-9]'
expect '^port org.parallax.test'
[ "$(tr -d '\r' <hvc)" = "from hvc0" ] || fail "the console said: $(cat hvc)"
[ "$(cat port)" = "from the port" ] || fail "the port said: $(cat port)"
expect '^file: content, link: /etc/passwd'
expect '^changed'
expect '^same'
expect '^81'
cmp -s shared/dir/moved "$guests/busybox-amd64" || fail "the copy is another"
[ "$(stat -c %a shared/dir/moved)" = 700 ] || fail "its mode is $(stat -c %a shared/dir/moved)"
[ ! -e shared/gone ] || fail "the file is there still"
expect '^mapped: 12:34 4755, character special file 1,3, f, text'
for f in f null sym; do
    [ ! -L "mapped/$f" ] && [ "$(stat -c %f "mapped/$f")" = 8180 ] || fail "mapped/$f is no file of mode 600"
done
[ $((full - empty)) -gt 60000 ] || fail "$full kB before, $empty kB after 100 MB were free"
grep -q '^virtio_balloon_actual: pages=12288' trace || fail "the balloon is not of 48 MiB"
grep -q '^virtio_balloon_stats: total=[1-9][0-9]* free=[1-9]' trace || fail "no statistics"
grep -qE 'Oops|BUG:|Call Trace|general protection' console && fail "the kernel complains"
exit 0
