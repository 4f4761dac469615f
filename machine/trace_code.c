/* trace_code.c: see trace_code.h. */
#include "machine/trace_code.h"
#include "base/trace.h"
#include "machine/disas.h"
#include "machine/vm_impl.h"
#include <stdio.h>
#include <string.h>

#define GUEST_COLUMNS 60 /* of a line of host_code */

/* ---- the guest's code ------------------------------------------------------------------------ */

/* An instruction's bytes and text. */
static void describe(const struct cpu *cpu, const u8 *bytes, unsigned len, gva_t at,
                     char line[DISAS_TEXT + 64])
{
    char text[DISAS_TEXT], hex[3 * 15 + 1] = "";
    disas(bytes, len, at, reg_code_bits(cpu), text);
    for (unsigned i = 0; i < len; i++)
        snprintf(hex + 3 * i, 4, "%02x ", bytes[i]);
    snprintf(line, DISAS_TEXT + 64, "%-24s%s", hex, text);
}

static void at_insn(const struct probe_action *a, struct cpu *cpu, const struct insn *in)
{
    gva_t at = cpu->gpr[REG_RIP] + in->off;
    u8 bytes[15] = {0};
    char line[DISAS_TEXT + 64];
    (void)a;
    debug_read(cpu, at, bytes, in->len);
    describe(cpu, bytes, in->len, at, line);
    TRACE(insn, (unsigned)cpu->id, at, line);
}

static void print_registers(const struct cpu *cpu, u64 rip)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    char line[480];
    unsigned count = cpu->key & KEY_CODE64 ? 16 : 8;
    int n = snprintf(line, sizeof line, "rip=%" PRIx64 " cs=%x eflags=%x", rip,
                     (unsigned)cpu->seg[SEG_CS].sel, cpu_get_eflags(cpu));
    for (unsigned r = 0; r < count; r++)
        n += snprintf(line + n, sizeof line - (size_t)n, " %s=%" PRIx64, names[r], cpu->gpr[r]);
    TRACE(registers, (unsigned)cpu->id, line);
}

static void at_enter(const struct probe_action *a, struct cpu *cpu, const struct insn *in)
{
    u64 rip = cpu->gpr[REG_RIP] + in->off;
    (void)a;
    TRACE(block_enter, (unsigned)cpu->id, rip, (unsigned)cpu->block->count);
    if (trace_on[TRACE_registers])
        print_registers(cpu, rip);
}

static void add_call(struct probe_list *l, unsigned i,
                     void (*call)(const struct probe_action *, struct cpu *, const struct insn *))
{
    if (l->count < PROBES_MAX)
        l->at[l->count++] = (struct probe_request){i, {.call = call}};
}

static void at_block(void *opaque, struct cpu *cpu, const struct block *b, gva_t lin,
                     struct probe_list *l)
{
    (void)opaque;
    if (trace_on[TRACE_guest_code]) {
        u8 code[OBSERVED_CODE];
        char line[DISAS_TEXT + 64];
        observe_code(cpu, b, code);
        for (unsigned i = 0; i < b->count; i++) {
            const struct insn *in = &b->insn[i];
            describe(cpu, code + in->off, in->len, lin + in->off, line);
            TRACE(guest_code, lin + in->off, line);
        }
    }
    if (b->count && (trace_on[TRACE_block_enter] || trace_on[TRACE_registers]))
        add_call(l, 0, at_enter);
    for (unsigned i = 0; trace_on[TRACE_insn] && i < b->count; i++)
        add_call(l, i, at_insn);
}

/* ---- the translator's ------------------------------------------------------------------------ */

/* Host code [from, to) of a piece, with what it stands for beside its first instruction. */
static void print_host(const struct jit_piece *p, u64 from, u64 to, const char *guest)
{
    char text[DISAS_TEXT], line[DISAS_TEXT + GUEST_COLUMNS + 32];
    if (from == to) {
        snprintf(line, sizeof line, "%-*s |", GUEST_COLUMNS, guest);
        TRACE(host_code, line);
    }
    while (from < to) {
        unsigned len =
            disas(p->code + from, (unsigned)(to - from), (uintptr_t)p->code + from, 64, text);
        if (!len) { /* data between code */
            snprintf(text, sizeof text, ".byte %#04x", p->code[from]);
            len = 1;
        }
        snprintf(line, sizeof line, "%-*.*s | %#" PRIx64 "  %s", GUEST_COLUMNS, GUEST_COLUMNS,
                 guest, (u64)(uintptr_t)p->code + from, text);
        TRACE(host_code, line);
        guest = "";
        from += len;
    }
}

static void at_translated(void *opaque, struct cpu *cpu, const struct jit_piece *p, u64 began_ns)
{
    char head[96];
    (void)opaque, (void)began_ns;
    snprintf(head, sizeof head, "%s at %#" PRIx64 " pa=%#" PRIx64 " cpl=%u host bytes=%" PRIu64,
             p->what, p->lin, p->gpa, p->cpl, p->bytes);
    TRACE(host_code, head);
    if (!p->places) {
        print_host(p, 0, p->bytes, "");
        return;
    }
    u8 code[OBSERVED_CODE];
    const struct block *read = NULL;
    if (p->place[0].at)
        print_host(p, 0, p->place[0].at, "(entering)");
    for (unsigned i = 0; i < p->places; i++) {
        const struct jit_place *at = &p->place[i];
        const struct insn *in = &at->block->insn[at->insn];
        char text[DISAS_TEXT], guest[DISAS_TEXT + 24];
        if (at->block != read)
            observe_code(cpu, read = at->block, code);
        disas(code + in->off, in->len, at->lin + in->off, reg_code_bits(cpu), text);
        snprintf(guest, sizeof guest, "%#" PRIx64 "  %s", at->lin + in->off, text);
        print_host(p, at->at, i + 1 < p->places ? p->place[i + 1].at : p->cold_at, guest);
    }
    print_host(p, p->cold_at, p->bytes, "(rarely run)");
}

void trace_code_update(struct vm *vm)
{
    struct trace_code *t = &vm->trace_code;
    bool blocks = trace_on[TRACE_guest_code] || trace_on[TRACE_block_enter] ||
                  trace_on[TRACE_insn] || trace_on[TRACE_registers];
    if (t->on)
        observe_end(vm, &t->observer);
    t->observer = (struct observer){.block = blocks ? at_block : NULL,
                                    .translated = trace_on[TRACE_host_code] ? at_translated : NULL};
    t->on = blocks || t->observer.translated;
    if (t->on)
        observe_begin(vm, &t->observer);
    for (unsigned n = 0; n < vm->cpus; n++)
        vm->vcpu[n].cpu->calls_watched = observe_calls(vm);
}

void vm_traces_changed(struct vm *vm)
{
    trace_code_update(vm);
}
