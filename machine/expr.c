/* expr.c: see expr.h. A parser by precedence that emits postfix operations, and their machine. */
#include "machine/expr.h"
#include "base/bits.h"
#include "machine/debug.h"
#include <ctype.h>
#include <stdlib.h>

#define EXPR_OPS 64u   /* most operations */
#define EXPR_DEPTH 16u /* most values on the stack, and most brackets in each other */
#define PREFIXES_MAX 32u

enum op_code {
    OP_NUMBER,
    OP_REG,
    OP_GPR, /* what conditions mostly ask for: number, first bit << 8, bits << 16 */
    OP_STOP,
    OP_LOAD, /* arg: bytes, 0 as wide as an address; | SIGNED */
    OP_CAST,
    OP_NOT,
    OP_INVERT,
    OP_NEGATE,
    OP_BINARY,     /* arg: enum binary */
    OP_GPR_BINARY, /* of a general register and a number: most of the conditions that there are */
    OP_AND,    /* arg: how many operations to skip when the left side decides */
    OP_OR,
    OP_BOOL,
};

#define SIGNED 0x100u

enum binary {
    MUL,
    DIV,
    MOD,
    ADD,
    SUB,
    SHL,
    SHR,
    LT,
    LE,
    GT,
    GE,
    EQ,
    NE,
    BAND,
    XOR,
    BOR,
    LAND,
    LOR
};

static const struct {
    char text[3];
    u8 level; /* binds the tighter, the higher */
    u8 binary;
} operators[] = {
    {"||", 1, LOR}, {"&&", 2, LAND}, {"==", 6, EQ}, {"!=", 6, NE},  {"<<", 8, SHL}, {">>", 8, SHR},
    {"<=", 7, LE},  {">=", 7, GE},   {"|", 3, BOR}, {"^", 4, XOR},  {"&", 5, BAND}, {"<", 7, LT},
    {">", 7, GT},   {"+", 9, ADD},   {"-", 9, SUB}, {"*", 10, MUL}, {"/", 10, DIV}, {"%", 10, MOD},
};

struct op {
    enum op_code code;
    enum binary binary; /* OP_GPR_BINARY */
    u64 arg, number;
    const struct reg *reg;
};

struct expr {
    struct op op[EXPR_OPS];
    unsigned count;
    char *text;
};

/* ---- parsing --------------------------------------------------------------------------------- */

struct parser {
    const char *p;
    const struct expr_names *names;
    struct expr *x;
    unsigned depth;    /* of brackets and prefixes */
    unsigned on_stack; /* values there when the operations so far have run */
    struct err *e;
};

static bool parse_binary(struct parser *s, unsigned level);

static bool syntax(struct parser *s, const char *what)
{
    if (*s->p)
        return err_usage(s->e, "%s at '%.20s'", what, s->p);
    return err_usage(s->e, "%s at the end", what);
}

static void skip_blanks(struct parser *s)
{
    while (isspace((unsigned char)*s->p))
        s->p++;
}

static struct op *emit(struct parser *s, enum op_code code, u64 arg)
{
    if (s->x->count == EXPR_OPS) {
        err_usage(s->e, "the expression is too long");
        return NULL;
    }
    struct op *op = &s->x->op[s->x->count++];
    *op = (struct op){.code = code, .arg = arg};
    return op;
}

/* An operation that leaves one value more. */
static struct op *emit_push(struct parser *s, enum op_code code, u64 arg)
{
    if (++s->on_stack > EXPR_DEPTH) {
        err_usage(s->e, "the expression is too deep");
        return NULL;
    }
    return emit(s, code, arg);
}

static bool parse_number(struct parser *s)
{
    char *end;
    int base = s->p[0] == '0' && (s->p[1] | 0x20) == 'b' ? 2 : 0;
    u64 v = strtoull(s->p + base, &end,
                     base                                        ? base
                     : s->p[0] == '0' && (s->p[1] | 0x20) == 'x' ? 16
                                                                 : 10);
    if (isalnum((unsigned char)*end) || *end == '_' || end == s->p + base)
        return syntax(s, "no number");
    s->p = end;
    return emit_push(s, OP_NUMBER, v) != NULL;
}

static const char *const stop_names[] = {"addr", "value", "old", "size", "write"};

static u64 stop_value(const struct debug_stop *stop, u64 n)
{
    if (!stop)
        return 0;
    switch (n) {
    case 0: return stop->addr;
    case 1: return stop->value;
    case 2: return stop->old;
    case 3: return stop->size;
    default: return stop->write;
    }
}

static bool emit_reg(struct parser *s, const struct reg *r)
{
    if (r->bits > 64)
        return syntax(s, "a register of more than 64 bits");
    struct op *op = emit_push(s, OP_REG, 0);
    if (op && reg_is_part(r))
        *op = (struct op){.code = OP_GPR, .arg = r->arg};
    else if (op)
        op->reg = r;
    return op != NULL;
}

static bool parse_name(struct parser *s)
{
    bool dollar = *s->p == '$';
    const char *name = s->p + dollar;
    size_t len = 0;
    u64 value;
    while (isalnum((unsigned char)name[len]) || (name[len] && strchr("_.$@", name[len])))
        len++;
    const struct reg *r = reg_find(name, len);
    if (!len)
        return syntax(s, "an expression is expected");
    if (r && !emit_reg(s, r))
        return false;
    s->p = name + len;
    if (r)
        return true;
    if (!dollar && s->names && s->names->lookup &&
        s->names->lookup(s->names->opaque, name, len, &value))
        return emit_push(s, OP_NUMBER, value) != NULL;
    for (u64 n = 0; n < ARRAY_SIZE(stop_names); n++)
        if (strlen(stop_names[n]) == len && !strncmp(stop_names[n], name, len))
            return emit_push(s, OP_STOP, n) != NULL;
    s->p = name;
    return err_usage(s->e, "no register or symbol has the name '%.*s'", (int)len, name);
}

/* (u8), (s32 *): *arg is what OP_CAST or OP_LOAD takes. Nothing is taken when it is none. */
static bool parse_type(struct parser *s, u64 *arg, bool *pointer)
{
    const char *p = s->p + 1;
    char *end;
    while (isspace((unsigned char)*p))
        p++;
    if (*p != 'u' && *p != 's')
        return false;
    u64 bits = strtoull(p + 1, &end, 10);
    if ((bits != 8 && bits != 16 && bits != 32 && bits != 64) || !isdigit((unsigned char)p[1]))
        return false;
    *arg = bits / 8 | (*p == 's' ? SIGNED : 0);
    for (p = end; isspace((unsigned char)*p); p++)
        ;
    *pointer = *p == '*';
    for (p += *pointer; isspace((unsigned char)*p); p++)
        ;
    if (*p != ')')
        return false;
    s->p = p + 1;
    return true;
}

static bool parse_prefixed(struct parser *s);

/* *x, *(u8 *)x */
static bool parse_load(struct parser *s)
{
    u64 arg = 0;
    bool pointer;
    const char *at = ++s->p;
    skip_blanks(s);
    if (*s->p == '(' && parse_type(s, &arg, &pointer) && !pointer) {
        s->p = at;
        arg = 0;
    }
    return parse_prefixed(s) && emit(s, OP_LOAD, arg);
}

static bool parse_bracket(struct parser *s)
{
    u64 arg;
    bool pointer;
    if (parse_type(s, &arg, &pointer)) {
        if (pointer)
            return syntax(s, "a pointer is for '*' before it");
        return parse_prefixed(s) && emit(s, OP_CAST, arg);
    }
    s->p++;
    if (!parse_binary(s, 1))
        return false;
    if (*s->p != ')')
        return syntax(s, "')' is expected");
    s->p++;
    return true;
}

static bool parse_prefix(struct parser *s)
{
    enum op_code code = *s->p == '!' ? OP_NOT : *s->p == '~' ? OP_INVERT : OP_NEGATE;
    s->p++;
    return parse_prefixed(s) && emit(s, code, 0);
}

static bool parse_primary(struct parser *s)
{
    skip_blanks(s);
    if (*s->p == '*')
        return parse_load(s);
    if (*s->p == '(')
        return parse_bracket(s);
    if (*s->p && strchr("!~-", *s->p))
        return parse_prefix(s);
    if (isdigit((unsigned char)*s->p))
        return parse_number(s);
    if (s->p[0] == '\'' && s->p[1] && s->p[2] == '\'') {
        u8 c = (u8)s->p[1];
        s->p += 3;
        return emit_push(s, OP_NUMBER, c) != NULL;
    }
    return parse_name(s);
}

static bool parse_prefixed(struct parser *s)
{
    if (++s->depth > PREFIXES_MAX)
        return err_usage(s->e, "the expression is too deep");
    bool ok = parse_primary(s);
    s->depth--;
    skip_blanks(s);
    return ok;
}

/* The operator at the place, of this level or a tighter one; -1: none. */
static int operator_at(const struct parser *s, unsigned level)
{
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++)
        if (!strncmp(s->p, operators[i].text, strlen(operators[i].text)))
            return operators[i].level >= level ? (int)i : -1;
    return -1;
}

/* The right side is skipped when the left one decides. */
static bool parse_logical(struct parser *s, enum op_code code, unsigned level)
{
    struct op *op = emit(s, code, 0);
    if (!op)
        return false;
    unsigned from = s->x->count;
    s->on_stack--;
    if (!parse_binary(s, level) || !emit(s, OP_BOOL, 0))
        return false;
    op->arg = s->x->count - from;
    return true;
}

static bool emit_binary(struct parser *s, enum binary b)
{
    struct op *last = s->x->count >= 2 ? &s->x->op[s->x->count - 1] : NULL;
    s->on_stack--;
    if (!last || last->code != OP_NUMBER || last[-1].code != OP_GPR)
        return emit(s, OP_BINARY, b) != NULL;
    last[-1] = (struct op){.code = OP_GPR_BINARY, .binary = b, .arg = last[-1].arg, .number = last->arg};
    s->x->count--;
    return true;
}

static bool parse_binary(struct parser *s, unsigned level)
{
    int i;
    if (!parse_prefixed(s))
        return false;
    while ((i = operator_at(s, level)) >= 0) {
        unsigned inner = operators[i].level + 1u;
        s->p += strlen(operators[i].text);
        if (operators[i].binary == LAND || operators[i].binary == LOR) {
            if (!parse_logical(s, operators[i].binary == LAND ? OP_AND : OP_OR, inner))
                return false;
            continue;
        }
        if (!parse_binary(s, inner) || !emit_binary(s, (enum binary)operators[i].binary))
            return false;
    }
    return true;
}

struct expr *expr_parse_part(const char **text, const struct expr_names *names, struct err *e)
{
    struct parser s = {.p = *text, .names = names, .x = calloc(1, sizeof *s.x), .e = e};
    if (!s.x) {
        err_host(e, "out of memory");
        return NULL;
    }
    if (!parse_binary(&s, 1) || !(s.x->text = strndup(*text, (size_t)(s.p - *text)))) {
        expr_free(s.x);
        return NULL;
    }
    for (size_t n = strlen(s.x->text); n && isspace((unsigned char)s.x->text[n - 1]); n--)
        s.x->text[n - 1] = 0;
    *text = s.p;
    return s.x;
}

struct expr *expr_parse(const char *text, const struct expr_names *names, struct err *e)
{
    struct expr *x = expr_parse_part(&text, names, e);
    if (!x || !*text)
        return x;
    err_usage(e, "not understood: '%.20s'", text);
    expr_free(x);
    return NULL;
}

void expr_free(struct expr *x)
{
    if (x)
        free(x->text);
    free(x);
}

const char *expr_text(const struct expr *x)
{
    return x->text;
}

/* ---- running --------------------------------------------------------------------------------- */

static u64 extend(u64 v, u64 arg)
{
    unsigned shift = 64 - 8 * (unsigned)(arg & 0xff);
    return arg & SIGNED ? (u64)((s64)(v << shift) >> shift) : v << shift >> shift;
}

static bool load(struct cpu *cpu, u64 va, u64 arg, u64 *v, struct err *e)
{
    u8 bytes[8] = {0};
    u64 size = arg & 0xff ? arg & 0xff : reg_code_bits(cpu) / 8;
    if (debug_read(cpu, va & cpu->amask, bytes, size) != size)
        return err_usage(e, "no memory at %#llx", (unsigned long long)va);
    *v = extend(ld_le64(bytes), size | (arg & SIGNED));
    return true;
}

static bool binary(enum binary b, u64 *a, u64 c, struct err *e)
{
    switch (b) {
    case MUL: *a *= c; break;
    case DIV:
    case MOD:
        if (!c)
            return err_usage(e, "division by zero");
        *a = b == DIV ? *a / c : *a % c;
        break;
    case ADD: *a += c; break;
    case SUB: *a -= c; break;
    case SHL: *a = c < 64 ? *a << c : 0; break;
    case SHR: *a = c < 64 ? *a >> c : 0; break;
    case LT: *a = *a < c; break;
    case LE: *a = *a <= c; break;
    case GT: *a = *a > c; break;
    case GE: *a = *a >= c; break;
    case EQ: *a = *a == c; break;
    case NE: *a = *a != c; break;
    case BAND: *a &= c; break;
    case XOR: *a ^= c; break;
    case BOR: *a |= c; break;
    default: break;
    }
    return true;
}

static u64 gpr_value(const struct cpu *cpu, u64 part)
{
    return cpu->gpr[part & 0xff] >> (part >> 8 & 0xff) & mask64((unsigned)(part >> 16));
}

bool expr_eval(const struct expr *x, struct cpu *cpu, const struct debug_stop *stop, u64 *value,
               struct err *e)
{
    u64 stack[EXPR_DEPTH + 1], *top = stack;
    for (unsigned i = 0; i < x->count; i++) {
        const struct op *op = &x->op[i];
        switch (op->code) {
        case OP_NUMBER: *++top = op->arg; break;
        case OP_REG: *++top = reg_read64(cpu, op->reg); break;
        case OP_GPR: *++top = gpr_value(cpu, op->arg); break;
        case OP_GPR_BINARY:
            *++top = gpr_value(cpu, op->arg);
            if (!binary(op->binary, top, op->number, e))
                return false;
            break;
        case OP_STOP: *++top = stop_value(stop, op->arg); break;
        case OP_LOAD:
            if (!load(cpu, *top, op->arg, top, e))
                return false;
            break;
        case OP_CAST: *top = extend(*top, op->arg); break;
        case OP_NOT: *top = !*top; break;
        case OP_INVERT: *top = ~*top; break;
        case OP_NEGATE: *top = -*top; break;
        case OP_BOOL: *top = *top != 0; break;
        case OP_BINARY:
            top--;
            if (!binary((enum binary)op->arg, top, top[1], e))
                return false;
            break;
        case OP_AND:
        case OP_OR:
            if ((*top != 0) == (op->code == OP_OR)) {
                *top = op->code == OP_OR;
                i += (unsigned)op->arg;
            } else {
                top--;
            }
            break;
        }
    }
    *value = *top;
    return true;
}
