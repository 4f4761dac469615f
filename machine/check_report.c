/* check_report.c: two machines that differ, side by side, and the code that made them differ. */
#include "base/bits.h"
#include "cpu/decode.h"
#include "machine/check_impl.h"
#include "machine/disas.h"

static void print_pair(FILE *out, const char *name, u64 a, u64 b)
{
    fprintf(out, "  %-8s %016llx  %016llx%s\n", name, (unsigned long long)a, (unsigned long long)b,
            a == b ? "" : "  <--");
}

static void print_registers(const struct check *c, FILE *out)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const struct cpu *a = c->vm[0]->cpu, *b = c->vm[1]->cpu;

    fprintf(out, "  %-8s %-16s  %-16s\n", "", "interpreted", "translated");
    for (unsigned i = 0; i < 16; i++)
        print_pair(out, names[i], a->gpr[i], b->gpr[i]);
    print_pair(out, "rip", a->rip, b->rip);
    print_pair(out, "eflags", cpu_get_eflags(a), cpu_get_eflags(b));
    print_pair(out, "count", cpu_icount(a), cpu_icount(b));
    print_pair(out, "cs", a->seg[SEG_CS].sel, b->seg[SEG_CS].sel);
    print_pair(out, "cr0", a->cr0, b->cr0);
    print_pair(out, "cr2", a->cr2, b->cr2);
    print_pair(out, "cr3", a->cr3, b->cr3);
    print_pair(out, "cr4", a->cr4, b->cr4);
    print_pair(out, "mxcsr", a->mxcsr, b->mxcsr);
    for (unsigned i = 0; i < 16; i++)
        if (memcmp(&a->vec[i], &b->vec[i], sizeof a->vec[i]))
            for (unsigned k = 0; k < 4; k++)
                print_pair(out, k ? "" : "vector", a->vec[i].q[k], b->vec[i].q[k]);
}

/* ---- code ------------------------------------------------------------------------------------ */

/* The bytes at `lin`, as far as they are mapped. */
static unsigned fetch(struct vm *vm, gva_t lin, u8 code[INSN_MAX_BYTES])
{
    unsigned n = 0;
    for (; n < INSN_MAX_BYTES; n++) {
        struct walk_result w;
        walk(&vm->phys, &vm->cpu->paging, lin + n, (struct walk_access){.kind = ACCESS_EXEC}, &w);
        if (!w.ok)
            break;
        code[n] = (u8)phys_peek(&vm->phys, w.gpa & vm->phys.a20_mask, 1);
    }
    return n;
}

void check_print_next(struct vm *vm, FILE *out)
{
    const struct cpu *cpu = vm->cpu;
    unsigned bits = cpu->key & KEY_CODE64 ? 64 : cpu->key & KEY_CODE32 ? 32 : 16;
    gva_t lin = (cpu->seg[SEG_CS].base + cpu->rip) & cpu->amask;
    u8 code[INSN_MAX_BYTES];
    unsigned have = fetch(vm, lin, code);
    struct insn in;

    fprintf(out, "  %llx: ", (unsigned long long)lin);
    if (decode(code, have, bits, cpu->key & KEY_REAL, cpu->gates, &in) == DECODE_OK)
        have = in.len;
    for (unsigned i = 0; i < INSN_MAX_BYTES; i++)
        if (i < have)
            fprintf(out, "%02x ", code[i]);
        else if (i < 10)
            fprintf(out, "   ");
    char text[DISAS_TEXT];
    disas(code, have, lin, bits, text);
    fputs(text, out);
    fputc('\n', out);
}

void check_report(const struct check *c, FILE *out)
{
    fprintf(out, "After %llu instructions, at %llx: %s%s%s\n", (unsigned long long)c->start,
            (unsigned long long)c->start_rip, c->what, *c->detail ? ": " : "", c->detail);
    print_registers(c, out);
}
