/*
 * verify.c: debug builds decode every piece of emitted code again, by somebody else's decoder: its
 * instructions must end exactly where the piece ends, and be none that translated code has no use
 * for. Not in other builds (PARALLAX_VERIFY_CODE in cpu/CMakeLists.txt).
 *
 * Not here: what the code means. The oracle and -check look at that.
 */
#include "cpu/jit/internal.h"
#ifdef PARALLAX_VERIFY_CODE
#include <capstone.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void wrong(const u8 *piece, u64 bytes, u64 at, const char *what)
{
    fprintf(stderr, "parallax: emitted code is wrong at +%#llx: %s\n", (unsigned long long)at,
            what);
    for (u64 i = 0; i < bytes; i++)
        fprintf(stderr, "%02x%c", piece[i], i % 32 == 31 || i + 1 == bytes ? '\n' : ' ');
    abort();
}

/* Translated code asks the operating system for nothing, and segments are not used. */
static const char *out_of_place(const cs_insn *in)
{
    const cs_x86 *x = &in->detail->x86;
    for (unsigned i = 0; i < in->detail->groups_count; i++)
        switch (in->detail->groups[i]) {
        case X86_GRP_PRIVILEGE: return "a privileged instruction";
        case X86_GRP_INT:
        case X86_GRP_IRET: return "an interrupt";
        default: break;
        }
    switch (in->id) {
    case X86_INS_SYSCALL:
    case X86_INS_SYSENTER: return "a system call";
    case X86_INS_INVALID: return "no instruction";
    default: break;
    }
    return x->prefix[1] ? "a segment override" : NULL;
}

void jit_verify(const u8 *piece, u64 bytes)
{
    csh cs;
    const u8 *p = piece;
    size_t left = bytes;
    u64 at = 0;
    BUG_ON(cs_open(CS_ARCH_X86, CS_MODE_64, &cs) != CS_ERR_OK);
    cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
    cs_insn *in = cs_malloc(cs);
    while (left) {
        u64 start = at;
        if (!cs_disasm_iter(cs, &p, &left, &at, in))
            wrong(piece, bytes, start, "it cannot be decoded up to its end");
        const char *what = out_of_place(in);
        if (what)
            wrong(piece, bytes, start, what);
    }
    cs_free(in, 1);
    cs_close(&cs);
}

#endif
