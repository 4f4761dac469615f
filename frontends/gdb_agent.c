/*
 * gdb_agent.c: the bytecode in which gdb sends the conditions of breakpoints ("Debugging with GDB",
 * appendix F). Not here: tracing, floating point.
 */
#include "base/bits.h"
#include "frontends/gdb_impl.h"

#define DEPTH 32u
#define STEPS_MAX 10000u /* a program may jump back */

enum agent {
    AX_ADD = 0x02,
    AX_SUB,
    AX_MUL,
    AX_DIV_S,
    AX_DIV_U,
    AX_REM_S,
    AX_REM_U,
    AX_LSH,
    AX_RSH_S,
    AX_RSH_U,
    AX_LOG_NOT = 0x0e,
    AX_AND,
    AX_OR,
    AX_XOR,
    AX_NOT,
    AX_EQUAL,
    AX_LESS_S,
    AX_LESS_U,
    AX_EXT,
    AX_REF8,
    AX_REF16,
    AX_REF32,
    AX_REF64,
    AX_IF_GOTO = 0x20,
    AX_GOTO,
    AX_CONST8,
    AX_CONST16,
    AX_CONST32,
    AX_CONST64,
    AX_REG,
    AX_END,
    AX_DUP,
    AX_POP,
    AX_ZERO_EXT,
    AX_SWAP,
    AX_PICK = 0x32,
    AX_ROT,
};

struct machine {
    const struct gdb_desc_reg *regs;
    unsigned reg_count;
    struct cpu *cpu;
    const u8 *code;
    size_t len, pc;
    u64 stack[DEPTH + 1]; /* from 1 */
    unsigned top;
    bool wrong;
};

static u64 operand(struct machine *m, unsigned bytes)
{
    u64 v = 0;

    if (m->len - m->pc < bytes) {
        m->wrong = true;
        return 0;
    }
    while (bytes--)
        v = v << 8 | m->code[m->pc++]; /* big-endian */
    return v;
}

static u64 pop(struct machine *m)
{
    if (!m->top) {
        m->wrong = true;
        return 0;
    }
    return m->stack[m->top--];
}

static void push(struct machine *m, u64 v)
{
    if (m->top == DEPTH)
        m->wrong = true;
    else
        m->stack[++m->top] = v;
}

static void binary(struct machine *m, u8 op)
{
    u64 b = pop(m), a = pop(m);
    s64 sa = (s64)a, sb = (s64)b;

    if (op >= AX_DIV_S && op <= AX_REM_U && (!b || (a == 1ull << 63 && sb == -1))) {
        m->wrong = true;
        return;
    }
    switch (op) {
    case AX_ADD: push(m, a + b); break;
    case AX_SUB: push(m, a - b); break;
    case AX_MUL: push(m, a * b); break;
    case AX_DIV_S: push(m, (u64)(sa / sb)); break;
    case AX_DIV_U: push(m, a / b); break;
    case AX_REM_S: push(m, (u64)(sa % sb)); break;
    case AX_REM_U: push(m, a % b); break;
    case AX_LSH: push(m, b < 64 ? a << b : 0); break;
    case AX_RSH_S: push(m, (u64)(sa >> (b < 64 ? b : 63))); break;
    case AX_RSH_U: push(m, b < 64 ? a >> b : 0); break;
    case AX_AND: push(m, a & b); break;
    case AX_OR: push(m, a | b); break;
    case AX_XOR: push(m, a ^ b); break;
    case AX_EQUAL: push(m, a == b); break;
    case AX_LESS_S: push(m, sa < sb); break;
    case AX_LESS_U: push(m, a < b); break;
    default: m->wrong = true; break;
    }
}

/* Sign or zero extension from the number of bits that follows. */
static void extend(struct machine *m, bool sign)
{
    unsigned bits = (unsigned)operand(m, 1);
    u64 v = pop(m);

    if (bits == 0 || bits > 64) {
        m->wrong = true;
        return;
    }
    v <<= 64 - bits;
    push(m, sign ? (u64)((s64)v >> (64 - bits)) : v >> (64 - bits));
}

static void load(struct machine *m, unsigned size)
{
    u8 bytes[8] = {0};

    m->wrong |= debug_read(m->cpu, pop(m), bytes, size) != size;
    push(m, ld_le64(bytes));
}

static void push_reg(struct machine *m)
{
    u64 n = operand(m, 2);

    if (n >= m->reg_count || !m->regs[n].reg)
        m->wrong = true;
    else
        push(m, reg_read64(m->cpu, m->regs[n].reg));
}

static void jump(struct machine *m, bool always)
{
    u64 to = operand(m, 2);

    if (always || pop(m))
        m->pc = to;
}

static void stack_op(struct machine *m, u8 op)
{
    u64 a = pop(m), b;

    switch (op) {
    case AX_DUP:
        push(m, a);
        push(m, a);
        break;
    case AX_SWAP:
        b = pop(m);
        push(m, a);
        push(m, b);
        break;
    case AX_ROT: /* a b c => c a b */
        b = pop(m);
        u64 c = pop(m);
        push(m, a);
        push(m, c);
        push(m, b);
        break;
    default: break; /* AX_POP */
    }
}

static void pick(struct machine *m)
{
    u64 n = operand(m, 1);

    if (n >= m->top)
        m->wrong = true;
    else
        push(m, m->stack[m->top - n]);
}

static void execute(struct machine *m, u8 op)
{
    switch (op) {
    case AX_LOG_NOT: push(m, !pop(m)); break;
    case AX_NOT: push(m, ~pop(m)); break;
    case AX_EXT: extend(m, true); break;
    case AX_ZERO_EXT: extend(m, false); break;
    case AX_REF8: load(m, 1); break;
    case AX_REF16: load(m, 2); break;
    case AX_REF32: load(m, 4); break;
    case AX_REF64: load(m, 8); break;
    case AX_IF_GOTO: jump(m, false); break;
    case AX_GOTO: jump(m, true); break;
    case AX_CONST8: push(m, operand(m, 1)); break;
    case AX_CONST16: push(m, operand(m, 2)); break;
    case AX_CONST32: push(m, operand(m, 4)); break;
    case AX_CONST64: push(m, operand(m, 8)); break;
    case AX_REG: push_reg(m); break;
    case AX_DUP:
    case AX_POP:
    case AX_SWAP:
    case AX_ROT: stack_op(m, op); break;
    case AX_PICK: pick(m); break;
    default: binary(m, op); break;
    }
}

bool gdb_agent_eval(const struct gdb_desc_reg *regs, unsigned reg_count, struct cpu *cpu,
                    const u8 *code, size_t len)
{
    struct machine m = {.regs = regs, .reg_count = reg_count, .cpu = cpu, .code = code, .len = len};

    for (unsigned steps = 0; steps < STEPS_MAX && !m.wrong && m.pc < m.len; steps++) {
        u8 op = m.code[m.pc++];

        if (op == AX_END)
            return !m.top || pop(&m);
        execute(&m, op);
    }
    return true;
}
