/*
 * gdb_desc.c: the registers as gdb knows them, made from the table of registers (machine/regs.h)
 * for the mode of the CPU. Names and order of the features org.gnu.gdb.i386.* are gdb's ("Debugging
 * with GDB", appendix G.5); what else there is comes as a feature of our own.
 */
#include "frontends/gdb_impl.h"

#include "cpu/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct row {
    const char *name; /* gdb's */
    const char *reg;  /* ours; NULL: the same */
    u16 bits;
    const char *type; /* NULL: an integer */
};

static const struct row core32[] = {
    {"eax", NULL, 32, NULL}, {"ecx", NULL, 32, NULL},       {"edx", NULL, 32, NULL},
    {"ebx", NULL, 32, NULL}, {"esp", NULL, 32, "data_ptr"}, {"ebp", NULL, 32, "data_ptr"},
    {"esi", NULL, 32, NULL}, {"edi", NULL, 32, NULL},       {"eip", "pc", 32, "code_ptr"},
};

static const struct row core64[] = {
    {"rax", NULL, 64, NULL},       {"rbx", NULL, 64, NULL},       {"rcx", NULL, 64, NULL},
    {"rdx", NULL, 64, NULL},       {"rsi", NULL, 64, NULL},       {"rdi", NULL, 64, NULL},
    {"rbp", NULL, 64, "data_ptr"}, {"rsp", NULL, 64, "data_ptr"}, {"r8", NULL, 64, NULL},
    {"r9", NULL, 64, NULL},        {"r10", NULL, 64, NULL},       {"r11", NULL, 64, NULL},
    {"r12", NULL, 64, NULL},       {"r13", NULL, 64, NULL},       {"r14", NULL, 64, NULL},
    {"r15", NULL, 64, NULL},       {"rip", "pc", 64, "code_ptr"},
};

/* Flags, segments and x87: the same for both. */
static const struct row core[] = {
    {"eflags", NULL, 32, "i386_eflags"},
    {"cs", NULL, 32, NULL},
    {"ss", NULL, 32, NULL},
    {"ds", NULL, 32, NULL},
    {"es", NULL, 32, NULL},
    {"fs", NULL, 32, NULL},
    {"gs", NULL, 32, NULL},
    {"st0", NULL, 80, "i387_ext"},
    {"st1", NULL, 80, "i387_ext"},
    {"st2", NULL, 80, "i387_ext"},
    {"st3", NULL, 80, "i387_ext"},
    {"st4", NULL, 80, "i387_ext"},
    {"st5", NULL, 80, "i387_ext"},
    {"st6", NULL, 80, "i387_ext"},
    {"st7", NULL, 80, "i387_ext"},
    {"fctrl", NULL, 32, NULL},
    {"fstat", NULL, 32, NULL},
    {"ftag", NULL, 32, NULL},
    {"fiseg", NULL, 32, NULL},
    {"fioff", NULL, 32, NULL},
    {"foseg", NULL, 32, NULL},
    {"fooff", NULL, 32, NULL},
    {"fop", NULL, 32, NULL},
};

static const char eflags_type[] =
    "<flags id=\"i386_eflags\" size=\"4\">"
    "<field name=\"CF\" start=\"0\" end=\"0\"/>"
    "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
    "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
    "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
    "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
    "<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
    "<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
    "<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>"
    "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>";

static const char vector_types[] =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
    "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
    "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
    "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>";

enum gdb_arch gdb_arch_of(const struct cpu *cpu)
{
    unsigned bits = reg_code_bits(cpu);

    return bits == 64 ? GDB_X86_64 : bits == 32 ? GDB_I386 : GDB_I8086;
}

const char *gdb_arch_name(enum gdb_arch a)
{
    return a == GDB_X86_64 ? "i386:x86-64" : a == GDB_I386 ? "i386" : "i8086";
}

/* ---- making it ------------------------------------------------------------------------------- */

static PRINTF_LIKE(2, 3) void put(struct gdb *g, const char *fmt, ...)
{
    size_t have = strlen(g->xml);
    va_list ap;

    va_start(ap, fmt);
    BUG_ON((size_t)vsnprintf(g->xml + have, sizeof g->xml - have, fmt, ap) >= sizeof g->xml - have);
    va_end(ap);
}

static void add(struct gdb *g, const char *name, const char *reg, unsigned bits, const char *type,
                bool in_g)
{
    BUG_ON(g->reg_count == GDB_DESC_MAX);
    g->regs[g->reg_count++] = (struct gdb_desc_reg){reg_find(reg, strlen(reg)), (u16)bits, in_g};
    put(g, "<reg name=\"%s\" bitsize=\"%u\"", name, bits);
    if (type)
        put(g, " type=\"%s\"", type);
    put(g, "/>");
}

static void add_rows(struct gdb *g, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(g, rows[i].name, rows[i].reg ? rows[i].reg : rows[i].name, rows[i].bits, rows[i].type,
            true);
}

static void add_vectors(struct gdb *g, unsigned count)
{
    char name[8];

    put(g, "<feature name=\"org.gnu.gdb.i386.sse\">%s", vector_types);
    for (unsigned n = 0; n < count; n++) {
        snprintf(name, sizeof name, "xmm%u", n);
        add(g, name, name, 128, "vec128", true);
    }
    add(g, "mxcsr", "mxcsr", 32, NULL, true);
    put(g, "</feature>");
    if (!model_has(gdb_cpu(g)->model, CPUID_1_ECX, F1C_AVX))
        return;
    put(g, "<feature name=\"org.gnu.gdb.i386.avx\">");
    for (unsigned n = 0; n < count; n++) {
        snprintf(name, sizeof name, "ymm%uh", n);
        add(g, name, name, 128, "uint128", true);
    }
    put(g, "</feature>");
}

/* What the architecture's features do not have. FS_BASE and GS_BASE are one of gdb's where code is
 * 64-bit. */
static void add_system(struct gdb *g)
{
    const struct reg *r;

    if (g->arch == GDB_X86_64) {
        put(g, "<feature name=\"org.gnu.gdb.i386.segments\">");
        add(g, "fs_base", "fs_base", 64, "int", true);
        add(g, "gs_base", "gs_base", 64, "int", true);
        put(g, "</feature>");
    }
    put(g, "<feature name=\"org.parallax.system\">");
    for (unsigned n = 0; (r = reg_at(n)) != NULL; n++) {
        bool base = r->group == REGS_SEGMENT && strstr(r->name, "_base");
        bool in_segments =
            g->arch == GDB_X86_64 && (!strcmp(r->name, "fs_base") || !strcmp(r->name, "gs_base"));

        if ((base && !in_segments) || r->group == REGS_CONTROL || r->group == REGS_DEBUG ||
            r->group == REGS_MSR)
            add(g, r->name, r->name, r->bits < 32 ? 32 : r->bits, NULL, false);
    }
    put(g, "</feature>");
}

void gdb_describe(struct gdb *g)
{
    unsigned vectors = 8;

    g->arch = gdb_arch_of(gdb_cpu(g));
    g->told_arch = false;
    g->reg_count = 0;
    g->xml[0] = 0;
    put(g, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>");
    put(g, "<architecture>%s</architecture><osabi>none</osabi>", gdb_arch_name(g->arch));
    put(g, "<feature name=\"org.gnu.gdb.i386.core\">%s", eflags_type);
    if (g->arch == GDB_X86_64) {
        add_rows(g, core64, ARRAY_SIZE(core64));
        vectors = 16;
    } else {
        add_rows(g, core32, ARRAY_SIZE(core32));
    }
    add_rows(g, core, ARRAY_SIZE(core));
    put(g, "</feature>");
    add_vectors(g, vectors);
    add_system(g);
    put(g, "</target>");
}

/* ---- values ---------------------------------------------------------------------------------- */

void gdb_read_reg(struct gdb *g, unsigned n, u8 bytes[32])
{
    union vec v = {0};

    if (g->regs[n].reg)
        reg_read(gdb_cpu(g), g->regs[n].reg, &v);
    memcpy(bytes, v.b, 32);
}

bool gdb_write_reg(struct gdb *g, unsigned n, const u8 bytes[32])
{
    const struct gdb_desc_reg *r = &g->regs[n];
    union vec v, old;

    if (!r->reg)
        return false;
    memcpy(v.b, bytes, 32);
    reg_read(gdb_cpu(g), r->reg, &old);
    return !memcmp(&v, &old, r->bits / 8u) || reg_write(gdb_cpu(g), r->reg, &v);
}
