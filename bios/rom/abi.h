/*
 * abi.h: what the code in the ROM and the host's part of the BIOS (pcbios.c) agree on. One OUT of 32
 * bits is a call: its value is the address of the frame below, in which the caller's registers lie;
 * when the OUT is over the host has done the service and changed the frame.
 *
 * For assembly and C alike.
 */
#pragma once

#define BIOS_PORT 0x5058

/* Offsets in the frame: on the caller's stack, below what INT pushed. */
#define FRAME_ES 0
#define FRAME_DS 2
#define FRAME_EDI 4
#define FRAME_ESI 8
#define FRAME_EBP 12
#define FRAME_TARGET                                                                               \
    16 /* where PUSHAD stores ESP and POPAD does not look: far pointer of ACTION_CALL */
#define FRAME_EBX 20
#define FRAME_EDX 24
#define FRAME_ECX 28
#define FRAME_EAX 32
#define FRAME_SERVICE 36 /* byte: the interrupt's number, or one of BIOS_ */
#define FRAME_ACTION 37  /* byte: what the ROM does next, ACTION_ */
#define FRAME_IP 38
#define FRAME_CS 40
#define FRAME_FLAGS 42
#define FRAME_BYTES 44

#define ACTION_RETURN 0
#define ACTION_HALT 1  /* wait for an interrupt, then call again */
#define ACTION_AGAIN 2 /* let interrupts in, then call again */
#define ACTION_CALL                                                                                \
    3 /* far call FRAME_TARGET with the frame's registers, then call again with its */

/* Services that are no interrupt's. */
#define BIOS_POST 0xf0
#define BIOS_KEY 0xf1 /* AL: a byte of the keyboard; returns AL: KEY_ */
#define BIOS_ROMS 0xf2 /* option ROMs are started, one after the other */
#define BIOS_PMM 0xf3  /* AX: function, EBX, ECX, DX: its arguments; returns DX:AX */

#define KEY_NOTHING 0
#define KEY_BREAK 1        /* Ctrl-Break: INT 1Bh */
#define KEY_PRINT_SCREEN 2 /* INT 05h */

/* The code begins here in segment F000h, with the table of vectors: words of number and offset, ended
 * by a number beyond FFh. */
#define ROM_CODE 0xe600
#define ROM_PMM 0xff00 /* structures that option ROMs look for; the host makes their checksums */
#define ROM_PMM_BYTES 16
#define ROM_PNP 0xff10
#define ROM_PNP_BYTES 33
#define ROM_BOOT_DISK 0xff40 /* far call: boots drive DL by INT 13h, or comes back */
#define ROM_FONT8 0xfa6e /* the lower half of the 8x8 font, where IBM's BIOS has it */
