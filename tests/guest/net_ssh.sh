#!/bin/sh
# A port of the host leads to dropbear in the guest: OpenSSH's client logs in by key, runs a command, and
# sends and gets bytes.
# program, source, peer, engine, device
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
peer=$1 accel=$2 device=$3
# shellcheck source=tests/guest/netlib.sh
. "$source/tests/guest/netlib.sh"
need vmlinuz-full initrd-amd64.gz modules-full.gz dropbear.gz
command -v ssh >/dev/null && command -v ssh-keygen >/dev/null || { echo "no ssh"; exit 77; }

ssh-keygen -q -t ed25519 -N '' -f key
mkdir -p rd/root/.ssh rd/etc
cp key.pub rd/root/.ssh/authorized_keys
chmod 700 rd/root rd/root/.ssh
chmod 600 rd/root/.ssh/authorized_keys
echo 'root:x:0:0:root:/root:/bin/sh' >rd/etc/passwd
{
    guest_initrd amd64 full <<'END'
udhcpc -i eth0 -n -q -t 20 -T 1 -s /lease
mkdir -p /etc/dropbear
dropbear -R -s -p 22
until [ -f /done ]; do sleep 0.1; done
END
    cat "$guests/dropbear.gz"
} >initrd
"$program" -m 256 -accel "$accel" -kernel "$guests/vmlinuz-full" -initrd initrd -serial file:console \
    -netdev user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22 -device "$device,netdev=n0" \
    -append "console=ttyS0 panic=-1 plx.cmd=/job" -no-reboot -timeout 120 2>errors </dev/null &
vm=$!
trap 'kill $vm 2>/dev/null; rm -rf "$dir"' EXIT
i=0
until port=$(sed -n 's/.*has port \([0-9]*\).*/\1/p' errors) && [ -n "$port" ]; do
    grep -q libslirp errors && { cat errors; exit 77; }
    [ $((i += 1)) -lt 100 ] || fail "no port"
    sleep 0.1
done
login() {
    ssh -q -p "$port" -i key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
        -o ConnectTimeout=20 root@127.0.0.1 "$@"
}
i=0
until login true </dev/null; do # until dropbear listens
    [ $((i += 1)) -lt 40 ] && kill -0 $vm 2>/dev/null || fail "no login"
    sleep 0.5
done
head -c 3000000 /dev/urandom >bytes
login 'cat >/bytes; uname -n -m; md5sum </bytes' <bytes >answer || fail "the command fails"
grep -q 'x86_64' answer || fail "the guest does not answer"
grep -q "$(md5sum <bytes | cut -c 1-32)" answer || fail "other bytes arrived"
login 'cat /bytes' </dev/null >back
cmp bytes back || fail "other bytes came back"
login 'touch /done' </dev/null
wait $vm
code=$?
expect_code 0
exit 0
