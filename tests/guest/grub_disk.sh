# grub_disk.sh: a hard disk with GRUB in its master boot record, made without root. Sourced after lib.sh.
GRUB_PC=/usr/lib/grub/i386-pc
PART=2048 # first sector of the partition; GRUB's core lies before it

need_grub_disk() {
    for tool in grub-mkimage mke2fs e2fsck; do
        command -v $tool >/dev/null || { echo "no $tool: apt-get install grub-common e2fsprogs"; exit 77; }
    done
    [ -f $GRUB_PC/boot.img ] || { echo "no $GRUB_PC: apt-get install grub-pc-bin"; exit 77; }
}

# Prints bytes given in octal.
octal() {
    for byte in "$@"; do
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\$byte"
    done
}

# 32 bits, little endian.
le32() {
    # shellcheck disable=SC2046 # a list of words
    octal $(printf '%o %o %o %o' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)))
}

put() { dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }

# make_grub_disk IMAGE MIB DIRECTORY [mke2fs options]: one ext4 partition with the directory's files,
# among them boot/grub/grub.cfg.
make_grub_disk() {
    image=$1 mib=$2 tree=$3
    shift 3
    # boot.img loads sector 1, which loads the rest: both have these places as their defaults.
    grub-mkimage -d $GRUB_PC -O i386-pc -o core.img -p '(hd0,msdos1)/boot/grub' \
        biosdisk part_msdos ext2 normal linux || fail grub-mkimage
    [ "$(wc -c <core.img)" -le $(((PART - 1) * 512)) ] || fail "GRUB's core is too large"
    rm -f "$image"
    truncate -s "${mib}M" "$image"
    head -c 440 $GRUB_PC/boot.img | put "$image" 0
    dd if=core.img of="$image" bs=512 seek=1 conv=notrunc 2>/dev/null
    # Active, from PART to the end, of type Linux; its places by cylinder, head and sector are beyond.
    {
        octal 200 376 377 377 203 376 377 377
        le32 $PART
        le32 $((mib * 2048 - PART))
    } | put "$image" 446
    octal 125 252 | put "$image" 510
    mke2fs -q -t ext4 -E offset=$((PART * 512)),root_owner=0:0 -d "$tree" "$@" "$image" \
        $(((mib * 2048 - PART) / 2)) || fail mke2fs
}

# The partition of a disk as a file of its own, for e2fsck and debugfs.
take_partition() { dd if="$1" of="$2" bs=1M skip=$((PART / 2048)) conv=sparse 2>/dev/null; }
