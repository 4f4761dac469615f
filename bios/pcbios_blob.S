/* pcbios_blob.S: the BIOS' ROM code, as built from rom/, as bytes of the program (pcbios.c). */
    .section .rodata
    .global pcbios_blob, pcbios_blob_end
    .balign 16
pcbios_blob:
    .incbin "pcbios.bin"
pcbios_blob_end:
    .section .note.GNU-stack, "", %progbits
