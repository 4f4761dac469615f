#!/bin/sh
# Debian's kernel finds the USB tablet at the UHCI, and gets places and clicks of a VNC client.
# program, source, engine
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-i386 initrd-i386.gz modules-i386.gz
command -v python3 >/dev/null || { echo "no python3"; exit 77; }
mkdir rd
cat >rd/job <<'END'
#!/bin/sh
for m in uhci_hcd usbhid hid_generic evdev; do modprobe $m || echo "no $m"; done
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    event=$(grep -A 5 'USB Tablet' /proc/bus/input/devices | sed -n 's/.*Handlers=.*\(event[0-9]*\).*/\1/p')
    [ -n "$event" ] && break
    sleep 0.5
done
grep -B 1 -A 4 'USB Tablet' /proc/bus/input/devices
echo "reading $event"
hexdump -v -e '8/2 "%04x " "\n"' /dev/input/$event
END
chmod 755 rd/job
{ cat "$guests/initrd-i386.gz" "$guests/modules-i386.gz"
(cd rd && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1; } >initrd
python3 "$source/tests/guest/tablet.py" "$program" -m 128 -accel "$1" -kernel "$guests/vmlinuz-i386" \
    -initrd initrd -append "console=ttyS0 panic=-1 plx.cmd=/job" -serial file:console -usb \
    -device usb-tablet -timeout 200 2>errors
code=$?
grep -q 'built without libvncserver' vnc.errors && { echo "no libvncserver"; exit 77; }
expect_code 0
