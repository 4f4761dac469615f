/* explain_cpu.c: why an instruction faulted, what a CPU waits for, what is not there, in sentences.
 */
#include "base/bits.h"
#include "base/quirks.h"
#include "cpu/decode.h"
#include "cpu/model.h"
#include "machine/debug.h"
#include "machine/disas.h"
#include "machine/vm_impl.h"
#include <inttypes.h>
#include <string.h>

/* ---- #UD ------------------------------------------------------------------------------------- */

#define ALL_GATES (~0ull)

/* Instruction bytes, and the mode that they are read in. */
struct code {
    u8 bytes[INSN_MAX_BYTES];
    unsigned have, bits;
    bool real;
};

static bool decodes(const struct code *c, u64 gates, struct insn *in)
{
    return decode(c->bytes, c->have, c->bits, c->real, gates, in) == DECODE_OK &&
           in->row != ROW_INVALID;
}

static void say_model_lacks(const struct cpu_model *model, enum insn_gate gate, FILE *out)
{
    const char *before = "; these have it: ";
    const struct cpu_model *m;

    fprintf(out, "needs ");
    model_print_gate(gate, out);
    fprintf(out, ", which -cpu %s lacks", model->name);
    for (unsigned n = 0; (m = model_by_number(n)) != NULL; n++)
        if (model_gates(m) >> gate & 1) {
            fprintf(out, "%s%s", before, m->name);
            before = ", ";
        }
    fprintf(out, "%s.\n", before[0] == ';' ? ", as does every other model" : "");
}

/* The model has the instruction: what the guest has to switch on before it uses it. */
static const char *switched_off(const struct cpu *cpu, enum insn_gate gate)
{
    const u64 sse = BIT64(GATE_SSE) | BIT64(GATE_SSE2) | BIT64(GATE_SSE3) | BIT64(GATE_SSSE3) |
                    BIT64(GATE_SSE41) | BIT64(GATE_SSE42) | BIT64(GATE_AES) | BIT64(GATE_PCLMUL);
    const u64 avx =
        BIT64(GATE_AVX) | BIT64(GATE_AVX2) | BIT64(GATE_FMA) | BIT64(GATE_F16C) | BIT64(GATE_CLMUL);
    const u64 xsave = BIT64(GATE_XSAVE) | BIT64(GATE_XSAVEOPT) | avx;
    const struct {
        u64 gates;
        bool off;
        const char *what;
    } rows[] = {
        {BIT64(GATE_MMX) | sse, cpu->cr0 & CR0_EM, "CR0.EM is 1"},
        {sse, !(cpu->cr4 & CR4_OSFXSR), "CR4.OSFXSR is 0"},
        {xsave, !(cpu->cr4 & CR4_OSXSAVE), "CR4.OSXSAVE is 0"},
        {avx, (cpu->xcr0 & XCR0_AVX_STATE) != XCR0_AVX_STATE, "XCR0 has not both bits 1 and 2"},
        {BIT64(GATE_FSGSBASE), !(cpu->cr4 & CR4_FSGSBASE), "CR4.FSGSBASE is 0"},
        {BIT64(GATE_SYSCALL), !(cpu->efer & EFER_SCE), "EFER.SCE is 0"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].gates >> gate & 1 && rows[i].off)
            return rows[i].what;
    return NULL;
}

/* No model has it in this mode. */
static void say_no_instruction(const struct code *c, const struct insn *in, FILE *out)
{
    struct code other = *c;
    struct insn unused;

    other.real = false;
    if (c->real && decodes(&other, ALL_GATES, &unused)) {
        fprintf(out, "exists in protected mode only.\n");
        return;
    }
    other.bits = c->bits == 64 ? 32 : 64;
    if (in->pfx & PFX_LOCK)
        fprintf(out, "cannot have a LOCK prefix, or not with this operand.\n");
    else if (decodes(&other, ALL_GATES, &unused))
        fprintf(out, "exists %s.\n",
                c->bits == 64 ? "outside 64-bit code only" : "in 64-bit code only");
    else
        fprintf(out, "is no instruction that any model has.\n");
}

static void say_undefined(const struct vm *vm, const struct cpu *cpu, const struct code *c,
                          FILE *out)
{
    struct insn in;

    if (!decodes(c, ALL_GATES, &in)) {
        say_no_instruction(c, &in, out);
        return;
    }
    const struct insn_row *r = insn_row(&in);
    const char *off = switched_off(cpu, r->gate);
    if (!(cpu->gates >> r->gate & 1))
        say_model_lacks(cpu->model, r->gate, out);
    else if (off)
        fprintf(out, "is there, but the guest has not switched it on: %s.\n", off);
    else if (!strncmp(r->name, "ud", 2))
        fprintf(out, "exists to raise #UD: a guest's own check failed, or it marks a place never "
                     "reached.\n");
    else if (row_template(r) == T_VMCALL)
        fprintf(out, "is no hypercall that -pv %s takes here.\n", vm->pv->p->name);
    else
        fprintf(out, "is not allowed in this mode or with these operands.\n");
}

static void say_bytes(const struct code *c, FILE *out)
{
    char text[DISAS_TEXT];
    unsigned len = disas(c->bytes, c->have, 0, c->bits, text);

    if (len) {
        fprintf(out, "%s ", text);
        return;
    }
    for (unsigned i = 0; i < c->have && i < 4; i++)
        fprintf(out, "%02x ", c->bytes[i]);
}

static bool has_quirk(const struct quirks *q, enum quirk_kind kind, u64 nr)
{
    for (unsigned i = 0; i < q->count; i++)
        if (q->q[i].kind == kind && q->q[i].nr == nr)
            return true;
    return false;
}

/* RDMSR and WRMSR note what they refuse, so that another #GP is not taken for theirs. */
static void say_msr(const struct vm *vm, const struct cpu *cpu, const char *name, FILE *out)
{
    u32 msr = (u32)cpu->gpr[RCX];

    if (cpu->cpl)
        fprintf(out, "%s needs CPL 0, and this is CPL %u.\n", name, cpu->cpl);
    else if (has_quirk(&cpu->quirks, QUIRK_MSR, msr))
        fprintf(out, "%s of MSR %#x: -cpu %s with -pv %s has none of this number%s.\n", name, msr,
                cpu->model->name, vm->pv->p->name, *name == 'w' ? ", or not with this value" : "");
}

void vm_explain_fault(struct vm *vm, struct cpu *cpu, unsigned vector, FILE *out)
{
    struct code c = {.bits = reg_code_bits(cpu), .real = cpu->key & KEY_REAL};
    struct insn in;
    gpa_t gpa;

    c.have = (unsigned)debug_read(cpu, reg_pc(cpu), c.bytes, sizeof c.bytes);
    if (!c.have || !debug_translate(cpu, reg_pc(cpu), &gpa))
        return;
    if (!phys_host(&vm->phys, gpa)) {
        fprintf(out,
                "No memory is at %#" PRIx64
                ": the guest went astray before ('history on' shows where).\n",
                gpa);
    } else if (vector == EXC_UD) {
        say_bytes(&c, out);
        say_undefined(vm, cpu, &c, out);
    } else if (vector == EXC_GP && decodes(&c, cpu->gates, &in)) {
        const char *name = insn_row(&in)->name;

        if (!strcmp(name, "rdmsr") || !strcmp(name, "wrmsr"))
            say_msr(vm, cpu, name, out);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

/*T:830 Why does the guest wait?
 *
 * A guest that hangs in HLT mostly waits for an interrupt that cannot come. Each interrupt
 * controller is asked for the requests that wait in it, and says what holds them back: a mask, a
 * priority, an end of interrupt that was forgotten.
 */
void vm_explain_wait(struct vm *vm, struct cpu *cpu, FILE *out)
{
    bool asserted = cpu_requests(cpu) & REQ_INTR, on = cpu->eflags & EFLAGS_IF;
    u64 deadline = clock_next_deadline_ns(&vm->clock), now = clock_now_ns(&vm->clock);

    if (cpu->wait_sipi) {
        fprintf(out, "CPU %u waits for the start-up IPI.\n", cpu->id);
        return;
    }
    if (cpu->halted)
        fprintf(out, "CPU %u waits in HLT with interrupts %s.\n", cpu->id,
                on ? "on (EFLAGS.IF is 1)" : "off (EFLAGS.IF is 0): only an NMI wakes it");
    if (asserted && !on)
        fprintf(out, "An interrupt is presented to CPU %u, which takes none: EFLAGS.IF is 0.\n",
                cpu->id);
    if (!cpu->halted && (!asserted || on))
        return;
    for (const struct dev *d = vm->board.devices; d; d = d->next)
        if (d->cls->explain_waits)
            d->cls->explain_waits(d, out);
    if (deadline == CLOCK_NEVER)
        fprintf(out, "No timer of a device is armed.\n");
    else
        fprintf(out, "The next timer of a device is due in %" PRIu64 " us.\n",
                deadline > now ? (deadline - now) / 1000 : 0);
}

/* ---- what is not there ----------------------------------------------------------------------- */

#define QUIRKS_SAID 8u

/* The numbers of a kind, in one sentence that ends with `end`. */
static void say_touched(const struct quirks *q, enum quirk_kind kind, const char *what,
                        const char *end, FILE *out)
{
    unsigned n = 0;

    for (unsigned i = 0; i < q->count; i++) {
        if (q->q[i].kind != kind || n++ >= QUIRKS_SAID)
            continue;
        fprintf(out, "%s%#" PRIx64, n == 1 ? what : ", ", q->q[i].nr);
        if (q->q[i].count > 1)
            fprintf(out, " (%" PRIu64 " times)", q->q[i].count);
    }
    if (n > QUIRKS_SAID)
        fprintf(out, " and %u more", n - QUIRKS_SAID);
    if (n)
        fprintf(out, ": %s.\n", end);
}

/* Of an instruction that was executed some time ago: its first bytes are known. */
static void say_opcode(const struct cpu *cpu, const struct quirk *q, FILE *out)
{
    struct code c = {.have = INSN_MAX_BYTES, .bits = reg_code_bits(cpu)};
    struct insn in;

    st_le64(c.bytes, q->nr);
    fprintf(out, "The guest got #UD %" PRIu64 " time%s by ", q->count, q->count == 1 ? "" : "s");
    for (unsigned i = 0; i < 4; i++)
        fprintf(out, "%02x ", c.bytes[i]);
    fprintf(out, "...: as %u-bit code ", c.bits);
    if (!decodes(&c, ALL_GATES, &in)) {
        say_no_instruction(&c, &in, out);
        return;
    }
    fprintf(out, "%s, which ", insn_row(&in)->name);
    if (cpu->gates >> insn_row(&in)->gate & 1)
        fprintf(out, "the CPU has: it was read in another mode, or where no memory is.\n");
    else
        say_model_lacks(cpu->model, insn_row(&in)->gate, out);
}

void vm_explain_quirks(struct vm *vm, FILE *out)
{
    struct quirks q;

    vm_quirks(vm, &q);
    say_touched(&q, QUIRK_PORT, "The guest touched port ",
                "no device is there; it reads all ones, what is written is lost", out);
    say_touched(&q, QUIRK_MEMORY, "The guest touched physical address ",
                "neither memory nor a device is there; it reads all ones, what is written is lost",
                out);
    say_touched(&q, QUIRK_MSR, "The guest touched MSR ",
                "the CPU has it not, or not with this value: #GP(0)", out);
    for (unsigned i = 0, n = 0; i < q.count && n < QUIRKS_SAID; i++)
        if (q.q[i].kind == QUIRK_OPCODE) {
            say_opcode(vm->blamed, &q.q[i], out);
            n++;
        }
}
