#!/bin/sh
# Debian's kernel beeps with the PC speaker and plays through AC'97, and the file of -audiodev wav has both
# tones. program, source, engine, program sound32
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need vmlinuz-i386 initrd-i386.gz modules-i386.gz
command -v python3 >/dev/null || { echo "no python3"; exit 77; }
mkdir rd
cp "$2" rd/sound32
cat >rd/job <<'END'
#!/bin/sh
for m in pcspkr snd_intel8x0 snd_pcm_oss; do modprobe $m || echo "no $m"; done
cat /proc/asound/cards
/sound32
cat /proc/interrupts
END
chmod 755 rd/job rd/sound32
{ cat "$guests/initrd-i386.gz" "$guests/modules-i386.gz"
(cd rd && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1; } >initrd
run -m 128 -accel "$1" -kernel "$guests/vmlinuz-i386" -initrd initrd -display none \
    -append "console=ttyS0 panic=-1 plx.cmd=/job" -audiodev wav,id=a0,path=sound.wav \
    -device AC97,audiodev=a0 -icount -timeout 200
expect_code 0
expect 'Intel 82801AA-ICH'
expect 'sound32: played'
python3 "$source/tests/guest/sound.py" sound.wav 880 0.3 440 0.9 >>console || fail "the tones"
