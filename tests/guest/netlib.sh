# netlib.sh: what the tests of networks share, after lib.sh. $peer is the program net_peer.
drivers="virtio_pci virtio_net xen_netfront e1000 8139cp 8139too af_packet"

# The guest's part: drivers, a script for udhcpc. Then the job of the test, from standard input.
guest_job() {
    cat <<END
#!/bin/sh
for m in $drivers; do modprobe \$m 2>/dev/null; done
mkdir -p /etc /var /run
cat >/lease <<'LEASE'
#!/bin/sh
[ "\$1" = bound ] || exit 0
ip addr add \$ip/\$mask dev \$interface
ip route add default via \$router
echo "nameserver \$dns" >/etc/resolv.conf
echo "lease \$ip router \$router dns \$dns"
LEASE
chmod 755 /lease
ip link set lo up
ip link set eth0 up
END
    cat
}

# An initrd of architecture $1 (modules of kernel $2) with the job of standard input.
guest_initrd() {
    mkdir -p rd
    guest_job >rd/job
    chmod 755 rd/job
    cat "$guests/initrd-$1.gz" "$guests/modules-$2.gz"
    (cd rd && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1
}

# Starts the peer with the files of ./www; sets http, dns, sink. It ends with this script.
start_peer() {
    mkfifo peer.in
    "$peer" www <peer.in >ports &
    exec 9>peer.in
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -s ports ] && break
        sleep 0.2
    done
    read -r _ http _ dns _ sink <ports || fail "the peer says nothing"
}
