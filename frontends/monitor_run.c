/* monitor_run.c: stop, go on, step; and what is said of a stop. */
#include "base/bits.h"
#include "frontends/monitor_impl.h"
#include "machine/disas.h"

#include <inttypes.h>
#include <string.h>

/* ---- where ----------------------------------------------------------------------------------- */

unsigned monitor_insn(struct monitor *m, FILE *out, gva_t at)
{
    struct cpu *cpu = monitor_cpu(m);
    unsigned bits = reg_code_bits(cpu);
    char text[DISAS_TEXT], symbol[128];
    u8 code[15];
    size_t have = debug_read(cpu, at, code, sizeof code);
    unsigned len = have ? disas(code, (unsigned)have, at, bits, text) : 0;

    fprintf(out, "%#" PRIx64 "%s: ", at, monitor_symbol(m, at, symbol));
    if (!have)
        fprintf(out, "not mapped\n");
    else if (!len)
        fprintf(out, "%02x (no instruction)\n", code[0]);
    else
        fprintf(out, "%s\n", text);
    return len ? len : have ? 1 : 0;
}

void monitor_where(struct monitor *m, FILE *out)
{
    const struct cpu *cpu = monitor_cpu(m);

    if (vm_cpus(m->vm) > 1)
        fprintf(out, "CPU %u: ", m->cpu);
    if (cpu_in_real(cpu) || cpu_in_v86(cpu) || cpu->seg[SEG_CS].base)
        fprintf(out, "%04x:%04" PRIx64 " = ", cpu->seg[SEG_CS].sel, cpu->rip);
    monitor_insn(m, out, reg_pc(cpu));
}

/* A mode, as modebreak's points see it. */
static void say_mode(u64 mode, FILE *out)
{
    static const char *const sizes[] = {"16", "32", "64", "?"};

    fprintf(out, "%s%s, %s-bit code, CPL %" PRIu64 "%s", mode & 1 ? "protected" : "real",
            mode & 4   ? " (long)"
            : mode & 2 ? mode & 8 ? " with PAE paging" : " with paging"
                       : "",
            sizes[mode >> 5 & 3], mode >> 8, mode & 16 ? ", virtual-8086" : "");
}

static void say_excp(struct monitor *m, const struct debug_stop *s, FILE *out)
{
    fprintf(out, "exception %u: %s, error code %#" PRIx64, s->id,
            vm_exception_name((unsigned)s->addr), s->value);
    if (s->addr == EXC_PF)
        fprintf(out, ", CR2 %#" PRIx64, s->cpu->cr2);
    fprintf(out, "\n");
    vm_explain_fault(m->vm, s->cpu, (unsigned)s->addr, out);
}

static void say_stop(struct monitor *m, const struct debug_stop *s, FILE *out)
{
    const char *did = s->write ? "written" : "read";

    switch (s->kind) {
    case DEBUG_NOTHING:
    case DEBUG_STEP:
    case DEBUG_KINDS: break;
    case DEBUG_CODE: fprintf(out, "breakpoint %u\n", s->id); break;
    case DEBUG_WRITE:
    case DEBUG_READ:
    case DEBUG_ACCESS:
        fprintf(out, "%s %u: %u bytes at %#" PRIx64 " %s", debug_kind_name(s->kind), s->id, s->size,
                s->addr, did);
        if (s->write)
            fprintf(out, ": %#" PRIx64 " became %#" PRIx64, s->old, s->value);
        fprintf(out, "\n");
        break;
    case DEBUG_IO:
        fprintf(out, "port %u: %u bytes at port %#" PRIx64 " %s: %#" PRIx64 "\n", s->id, s->size,
                s->addr, did, s->value);
        break;
    case DEBUG_MSR:
        fprintf(out, "msr %u: MSR %#" PRIx64 " %s: %#" PRIx64 "\n", s->id, s->addr, did, s->value);
        break;
    case DEBUG_EXCP: say_excp(m, s, out); break;
    case DEBUG_MODE:
        fprintf(out, "mode %u: ", s->id);
        say_mode(s->old, out);
        fprintf(out, " became ");
        say_mode(s->value, out);
        fprintf(out, "\n");
        break;
    case DEBUG_HYPERCALL:
        fprintf(out, "hypercall %u: number %" PRIu64 ", returned %#" PRIx64 "\n", s->id, s->addr,
                s->value);
        break;
    }
}

void monitor_say_why(struct monitor *m, enum vm_stop why, bool ended, FILE *out)
{
    if (why == VM_DEBUG && !m->arrived)
        say_stop(m, debug_last_stop(m->vm), out);
    else if (why != VM_STOPPED && why != VM_DEBUG)
        vm_explain_stop(m->vm, why, out);
    if (!ended)
        monitor_where(m, out);
}

bool cmd_explain(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    if (m->d->dead)
        vm_explain_stop(m->vm, m->d->why, m->out);
    else if (debug_last_stop(m->vm)->kind != DEBUG_NOTHING)
        say_stop(m, debug_last_stop(m->vm), m->out);
    vm_explain_wait(m->vm, monitor_cpu(m), m->out);
    vm_explain_quirks(m->vm, m->out);
    monitor_where(m, m->out);
    return true;
}

/* ---- going ----------------------------------------------------------------------------------- */

bool cmd_quit(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    debugger_quit(m->d);
    return true;
}

bool cmd_stop(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    m->finishing = false;
    m->steps = 0;
    debugger_stop(m->d);
    monitor_where(m, m->out);
    return true;
}

bool cmd_cont(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    m->finishing = false;
    m->steps = 0;
    debugger_continue(m->d);
    return true;
}

bool info_status(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    fprintf(m->out, "%s\n",
            m->d->running ? "running"
            : m->d->dead  ? "stopped for good"
                          : "stopped");
    return true;
}

bool cmd_history(struct monitor *m, const char *args, struct err *e)
{
    if (strcmp(args, "on") && strcmp(args, "off"))
        return err_usage(e, "on or off?");
    debug_set_history(m->vm, !strcmp(args, "on"));
    return true;
}

bool info_history(struct monitor *m, const char *args, struct err *e)
{
    struct debug_branch b;
    char from[128], to[128];
    unsigned n = 0;

    if (!monitor_no_more(args, e))
        return false;
    for (; debug_history(m->vm, m->cpu, n, &b); n++)
        fprintf(m->out, "%#" PRIx64 "%s -> %#" PRIx64 "%s%s\n", b.from, monitor_symbol(m, b.from, from), b.to,
                monitor_symbol(m, b.to, to), b.event ? ", by an interrupt or exception" : "");
    if (!n)
        fprintf(m->out, "nothing: 'history on' records\n");
    return true;
}

bool cmd_cpu(struct monitor *m, const char *args, struct err *e)
{
    u64 n = m->cpu;

    if (*args && !monitor_only_value(m, args, &n, e))
        return false;
    if (n >= vm_cpus(m->vm))
        return err_usage(e, "there are CPUs 0 to %u", vm_cpus(m->vm) - 1);
    m->cpu = (unsigned)n;
    monitor_where(m, m->out);
    return true;
}

bool cmd_step(struct monitor *m, const char *args, struct err *e)
{
    u64 count = 1;

    if (*args && !monitor_only_value(m, args, &count, e))
        return false;
    if (!count)
        return true;
    m->finishing = false;
    m->steps = count - 1;
    debugger_step(m->d, m->cpu, true);
    return true;
}

/* What `next` must know of an instruction. */
enum insn_kind { INSN_PLAIN, INSN_OVER, INSN_RETURN };

static enum insn_kind kind_at(struct monitor *m, gva_t at, unsigned *len)
{
    struct cpu *cpu = monitor_cpu(m);
    char text[DISAS_TEXT];
    u8 code[15] = {0};
    unsigned have = (unsigned)debug_read(cpu, at, code, sizeof code), i = 0;

    *len = disas(code, have, at, reg_code_bits(cpu), text);
    while (i < 14 && (strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0", code[i]) ||
                      (cpu_in_code64(cpu) && (code[i] & 0xf0) == 0x40)))
        i++;
    switch (code[i]) {
    case 0xe8: /* CALL */
    case 0x9a:
    case 0xcc: /* INT3, INT, INTO */
    case 0xcd:
    case 0xce: return INSN_OVER;
    case 0xf2: /* repeated, or RET with a prefix for branch predictors */
    case 0xf3:
        return code[i + 1] == 0xc3               ? INSN_RETURN
               : strchr("\x0f\x90", code[i + 1]) ? INSN_PLAIN
                                                 : INSN_OVER;
    case 0xff:
        return (code[i + 1] >> 3 & 7) == 2 || (code[i + 1] >> 3 & 7) == 3 ? INSN_OVER : INSN_PLAIN;
    case 0xc2:
    case 0xc3:
    case 0xca:
    case 0xcb:
    case 0xcf: return INSN_RETURN;
    default: return INSN_PLAIN;
    }
}

/* The stack is where it was, or above: not a deeper call of the same function. */
static bool same_stack(struct monitor *m, struct debug_point *p, struct err *e)
{
    char text[64];

    snprintf(text, sizeof text, "rsp >= %#" PRIx64, monitor_cpu(m)->gpr[RSP]);
    p->cond = expr_parse(text, NULL, e);
    return p->cond != NULL;
}

static bool run_to(struct monitor *m, gva_t at, bool same, struct err *e)
{
    struct debug_point p = {
        .kind = DEBUG_CODE, .first = at, .last = at, .enabled = true, .temporary = true};

    const struct debug_point *new;

    if ((same && !same_stack(m, &p, e)) || !(new = debug_add(m->vm, &p, e)))
        return false;
    m->run_to = new->id;
    debugger_continue(m->d);
    return true;
}

static bool go_next(struct monitor *m, struct err *e)
{
    gva_t at = reg_pc(monitor_cpu(m));
    unsigned len;
    enum insn_kind kind = kind_at(m, at, &len);

    m->was_return = kind == INSN_RETURN;
    if (kind == INSN_OVER && len)
        return run_to(m, at + len, true, e);
    debugger_step(m->d, m->cpu, true);
    return true;
}

bool cmd_next(struct monitor *m, const char *args, struct err *e)
{
    m->finishing = false;
    m->steps = 0;
    return monitor_no_more(args, e) && go_next(m, e);
}

bool cmd_finish(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    m->steps = 0;
    m->finish_sp = monitor_cpu(m)->gpr[RSP];
    m->finishing = go_next(m, e);
    return m->finishing;
}

bool cmd_until(struct monitor *m, const char *args, struct err *e)
{
    u64 at;

    m->finishing = false;
    m->steps = 0;
    return monitor_only_value(m, args, &at, e) && run_to(m, at, false, e);
}

/* ---- stops ----------------------------------------------------------------------------------- */

/* Takes the point away that was for one stop; that of `next` also when something else came first.
 */
static void remove_temporary(struct monitor *m, const struct debug_stop *s)
{
    struct debug_point *p = s->kind == DEBUG_NOTHING ? NULL : debug_find(m->vm, s->id);

    m->arrived = m->run_to && s->kind == DEBUG_CODE && s->id == m->run_to;
    if (p && p->temporary)
        debug_remove(m->vm, p);
    p = debug_find(m->vm, m->run_to);
    if (p)
        debug_remove(m->vm, p);
    m->run_to = 0;
}

bool monitor_has_stopped(struct monitor *m, enum vm_stop why)
{
    const struct debug_stop *s = debug_last_stop(m->vm);

    m->arrived = false;
    if (why == VM_DEBUG && s->cpu) {
        m->cpu = s->cpu->id;
        remove_temporary(m, s);
    }
    if (why != VM_DEBUG ||
        (s->kind != DEBUG_STEP && !m->arrived)) { /* something else came between */
        m->finishing = false;
        m->steps = 0;
        return true;
    }
    if (m->finishing && m->was_return && monitor_cpu(m)->gpr[RSP] > m->finish_sp)
        m->finishing = false;
    if (m->finishing && go_next(m, NULL))
        return false;
    m->finishing = false;
    if (!m->steps)
        return true;
    m->steps--;
    debugger_step(m->d, m->cpu, true);
    return false;
}
