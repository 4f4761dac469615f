/* demo_blob.S: the demo guest's ELF file as bytes of this program, for any host. */
    .section .rodata
    .balign 16
    .global demo_guest
demo_guest:
    .incbin "demo.elf"
    .global demo_guest_end
demo_guest_end:
    .byte 0

#ifdef __linux__
    .section .note.GNU-stack, "", %progbits
#endif
