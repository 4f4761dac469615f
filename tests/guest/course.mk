# The targets of xv6's Makefile, for the kernel of course.S.
QEMU = qemu-system-i386
CPUS := 2
GDBPORT = 26000
QEMUGDB = $(shell if $(QEMU) -help | grep -q '^-gdb'; then echo "-gdb tcp::$(GDBPORT)"; else echo "-s -p $(GDBPORT)"; fi)
QEMUOPTS = -drive file=fs.img,index=1,media=disk,format=raw -drive file=kernel.img,index=0,media=disk,format=raw \
  -smp $(CPUS) -m 512 $(QEMUEXTRA)

qemu-nox:
	$(QEMU) -nographic $(QEMUOPTS)

qemu-nox-serial:
	$(QEMU) -display none -serial mon:stdio $(QEMUOPTS)

qemu-nox-gdb:
	$(QEMU) -nographic $(QEMUOPTS) -S $(QEMUGDB)
