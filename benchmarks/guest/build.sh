# build.sh: the guest programs and their RAM disks. Sourced by run.sh and pv.sh, with die, and the folders
# guests, out and dir (a scratch one).

note() { [ ! -t 2 ] || printf '\r\033[K%s' "$*" >&2; }

# No vectors but those of the source, and loops stay loops: a group is what its name says.
compile() {
    flags="-std=gnu11 -O2 -fno-tree-vectorize -fno-tree-loop-distribute-patterns -static -I."
    g=benchmarks/guest
    mkdir -p "$out"
    # shellcheck disable=SC2086 # lists of words
    if [ ! -x "$out/bench64" ] || [ -n "$(find $g -newer "$out/bench64")" ]; then
        ${CC:-cc} $flags -o "$out/bench64.$$" $g/bench.c $g/sys64.c $g/integer.c $g/double.c \
            $g/packed.c $g/avx.c $g/x87.c $g/memory.c $g/code.c $g/syscall.c $g/process.c $g/exception.c \
            $g/smp.c $g/files.c $g/cross.c ||
            die "the 64-bit program does not compile"
        mv "$out/bench64.$$" "$out/bench64"
    fi
    # shellcheck disable=SC2086
    if [ ! -x "$out/bench32" ] || [ -n "$(find $g -newer "$out/bench32")" ]; then
        ${CC:-cc} $flags -m32 -march=i686 -mfpmath=387 -ffreestanding -fno-pie -no-pie \
            -fno-stack-protector -nostdlib -o "$out/bench32.$$" $g/bench.c $g/sys32.c \
            $g/integer.c $g/double.c || die "the 32-bit program does not compile"
        mv "$out/bench32.$$" "$out/bench32"
    fi
}

# Appends an archive with the programs to the RAM disk of architecture $1: the kernel unpacks both.
make_initrd() {
    base=$guests/initrd-$1.gz
    [ -s "$base" ] || die "no $base. Hint: ./px fetch"
    [ ! -s "$out/initrd-$1.gz" ] || [ -n "$(find "$base" "$out/bench64" "$out/bench32" \
        -newer "$out/initrd-$1.gz")" ] || return 0
    mkdir -p "$dir/root/bench"
    cp "$out/bench64" "$out/bench32" "$dir/root/bench/"
    (cd "$dir/root" && find . | sort | cpio --quiet -o -H newc -R 0:0) | gzip -1n |
        cat "$base" - >"$out/initrd-$1.$$" && mv "$out/initrd-$1.$$" "$out/initrd-$1.gz"
}

# Makes $1/tcc: the compiler, what it shall compile, and the headers which that includes. Its loader and library
# go where it looks for them.
make_tcc() {
    from=$guests/tcc
    to=$1/tcc
    [ -s "$from/tcc" ] || die "no $from. Hint: ./px fetch"
    mkdir -p "$to/include" "$1/lib64" "$1/lib/x86_64-linux-gnu"
    cp "$from/tcc" "$to/"
    cp "$from/lib/ld-linux-x86-64.so.2" "$1/lib64/"
    cp "$from"/lib/lib* "$1/lib/x86_64-linux-gnu/"
    for f in bench sys64 integer memory code syscall process exception; do
        cp "benchmarks/guest/$f.c" "$to/"
        "$from/tcc" -nostdinc -I"$from/include" -I. -E "benchmarks/guest/$f.c"
    done | sed -n 's/^# [0-9]* "\(.*\.h\)".*/\1/p' | sort -u | while read -r h; do
        case $h in "$from"/*) name=${h#"$from/include/"} ;; *) name=${h#./} ;; esac
        mkdir -p "$to/include/$(dirname "$name")"
        cp "$h" "$to/include/$name"
    done
}
