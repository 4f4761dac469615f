/* disas.c: see disas.h. */
#include "machine/disas.h"
#include "cpu/decode.h"
#include <stdio.h>
#ifdef HAVE_CAPSTONE
#include <capstone/capstone.h>
#endif

#ifdef HAVE_CAPSTONE
unsigned disas(const u8 *code, unsigned have, gva_t at, unsigned bits, char text[DISAS_TEXT])
{
    cs_mode mode = bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16;
    unsigned len = 0;
    csh handle;
    cs_insn *insn;

    snprintf(text, DISAS_TEXT, "(bad)");
    if (cs_open(CS_ARCH_X86, mode, &handle) != CS_ERR_OK)
        return 0;
    size_t n = cs_disasm(handle, code, have, at, 1, &insn);
    if (n) {
        len = insn->size;
        snprintf(text, DISAS_TEXT, "%s%s%s", insn->mnemonic, *insn->op_str ? " " : "",
                 insn->op_str);
        cs_free(insn, n);
    }
    cs_close(&handle);
    return len;
}
#else
unsigned disas(const u8 *code, unsigned have, gva_t at, unsigned bits, char text[DISAS_TEXT])
{
    struct insn in;
    int n = 0;

    (void)at;
    text[0] = 0;
    if (decode(code, have, bits, false, ~0ull, &in) != DECODE_OK)
        return 0;
    for (unsigned i = 0; i < in.len; i++)
        n += snprintf(text + n, DISAS_TEXT - (size_t)n, "%s%02x", i ? " " : "", code[i]);
    return in.len;
}
#endif
