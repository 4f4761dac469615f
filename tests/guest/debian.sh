#!/bin/sh
# A Debian on a disk of its own comes up to a login, installs a package from an archive of its own,
# survives a reboot and a power-off, and leaves a clean file system. GRUB in the disk's boot record starts
# it. program, source, bus (ide, ahci, virtio), firmware, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guest/grub_disk.sh
. "$source/tests/guest/grub_disk.sh"
bus=$1 firmware=$2 engine=$3
[ -s "$guests/debian-amd64.tar" ] || { echo "no debian-amd64.tar: run ./px test slow"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "needs root to unpack a file system with its owners"; exit 77; }
need_grub_disk
bios=
if [ "$firmware" != own ]; then
    [ -f /usr/share/seabios/bios-256k.bin ] || { echo "no SeaBIOS: apt-get install seabios"; exit 77; }
    bios="-bios $firmware"
fi

# An archive of one package.
mkdir -p package/DEBIAN package/usr/bin root/srv/archive
cat >package/DEBIAN/control <<'END'
Package: greeting
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: prints a greeting
END
printf '#!/bin/sh\necho greetings from a package\n' >package/usr/bin/greeting
chmod 755 package/usr/bin/greeting
dpkg-deb --root-owner-group -b package root/srv/archive/greeting.deb >/dev/null || fail dpkg-deb
{
    cat package/DEBIAN/control
    echo "Filename: ./greeting.deb"
    echo "Size: $(wc -c <root/srv/archive/greeting.deb)"
    echo "SHA256: $(sha256sum <root/srv/archive/greeting.deb | cut -d ' ' -f 1)"
} >root/srv/archive/Packages

tar -xf "$guests/debian-amd64.tar" -C root || fail tar
sed -i 's/^root:[^:]*:/root::/' root/etc/shadow
echo guest >root/etc/hostname
echo "set enable-bracketed-paste off" >>root/etc/inputrc # lines begin with what a program prints
echo "LABEL=debian / ext4 errors=remount-ro 0 1" >root/etc/fstab
rm -f root/etc/apt/sources.list
echo "deb [trusted=yes] file:/srv/archive ./" >root/etc/apt/sources.list
mkdir -p root/boot/grub
cat >root/boot/grub/grub.cfg <<END
linux /boot/$(cd root/boot && ls -d vmlinuz-*) root=LABEL=debian ro console=ttyS0 loglevel=4
initrd /boot/$(cd root/boot && ls -d initrd.img-*)
boot
END
make_grub_disk disk.raw 800 root -L debian
rm -rf root

drive=file=disk.raw,format=raw
case $bus in
ide) set -- -drive $drive ;;
virtio) set -- -drive $drive,if=virtio ;;
ahci) set -- -drive $drive,if=none,id=d -device ahci,id=sata -device ide-hd,bus=sata.0,drive=d ;;
esac
patience=16000 # the interpreter takes minutes, longer on a busy host
# shellcheck disable=SC2086 # $bios is two words or none
talk $bios -accel "$engine" -m 512 "$@" -boot c -timeout 1700
# What is typed while the prompt is being written is thrown away: a person would type it again.
log_in() {
    wait_for 'guest login: '
    until tail -c +$((seen + 1)) console | grep -q 'root@guest:~# '; do
        kill -0 $pid || fail "it ended before the login"
        say root
        sleep 5
    done
    wait_for 'root@guest:~# '
}
log_in
say 'apt-get update -q && apt-get install -qy greeting; sync'
wait_for 'Setting up greeting (1.0)'
wait_for 'root@guest:~# '
say 'systemctl is-system-running --wait; reboot'
wait_for '^running'
log_in
say 'greeting; dmesg --level=err,crit,alert,emerg | sed "s/^/COMPLAINT: /"; echo "fsck: $(systemctl is-active systemd-fsck-root)"'
wait_for '^greetings from a package'
wait_for '^fsck: active'
wait_for 'root@guest:~# '
say poweroff
hear
expect_code 0
# There are neither AMD's performance counters here nor an SMBus.
tr -d '\r' <console | grep '^COMPLAINT' | grep -vE 'perfctr msr|SMBus base address' && fail "the kernel complains"
grep -qE 'Oops|BUG:|Call Trace|soft lockup|I/O error' console && fail "the kernel complains"
take_partition disk.raw part.raw
e2fsck -fn part.raw >fsck 2>&1 || { cat fsck; fail e2fsck; }
grep -q 'recovering journal' fsck && fail "the file system was not unmounted"
debugfs -R "cat /usr/bin/greeting" part.raw 2>/dev/null | grep -q greetings || fail "the package is not on the disk"
exit 0
