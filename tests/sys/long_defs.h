/* long_defs.h: what assembly and C of the 64-bit system tests share. */
#pragma once

/* Segment selectors; the order of the last three is what SYSRET wants. */
#define KCS 0x08
#define KDS 0x10
#define KCS32 0x18
#define UCS32 0x23
#define UDS 0x2b
#define UCS 0x33
#define TSS_SEL 0x38
#define SPARE_SEL 0x50 /* free descriptors from here to the end */
#define GDT_BYTES 0x200

#define IST_BYTES 8192
#define USER_OFFSET 0x40000000 /* the first GiB again, for users, code included */
#define VEC_RETURN 0x81        /* a guarded user function has returned */
#define NO_TRAP 0xffff

/* Values for isa-debug-exit: exit codes 33 and 35. */
#define EXIT_PASS 0x10
#define EXIT_FAIL 0x11
