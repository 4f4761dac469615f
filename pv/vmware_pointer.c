/*
 * vmware_pointer.c: the absolute pointer of the VMware personality: a queue of places that the
 * guest reads by calls. The mouse of the 8042 says that there is something: the guest's driver
 * listens to its interrupts and ignores its movements.
 *
 * Specification: Linux drivers/input/mouse/vmmouse.c for commands and words.
 *
 * Not implemented: relative places, restriction of the port to the kernel (52).
 */
#include "pv/vmware.h"

#define VERSION_WORD 0x3442554au
#define COMMAND_ENABLE 0x45414552u
#define COMMAND_DISABLE 0x000000f5u
#define COMMAND_ABSOLUTE 0x53424152u
#define STATUS_ERROR 0xffff0000u

#define BUTTON_LEFT 0x20u
#define BUTTON_RIGHT 0x10u
#define BUTTON_MIDDLE 0x08u

static void forget(struct vmw_pointer *p)
{
    *p = (struct vmw_pointer){0};
}

static void push(struct vmw_pointer *p, u32 word)
{
    p->words[(p->head + p->count++) % VMW_POINTER_WORDS] = word;
}

static u32 pull(struct vmw_pointer *p)
{
    u32 word = p->words[p->head];

    p->head = (p->head + 1) % VMW_POINTER_WORDS;
    p->count--;
    return word;
}

/* ---- the guest's side ------------------------------------------------------------------------ */

u64 vmw_pointer_command(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct vmw_pointer *p = &vmw_of(pv)->pointer;

    (void)cpu;
    if (!pv_has(pv, VMW_F_POINTER))
        return VMW_NO_ANSWER;
    switch ((u32)arg[0]) {
    case COMMAND_ENABLE:
        forget(p);
        p->enabled = true;
        push(p, VERSION_WORD);
        break;
    case COMMAND_DISABLE: forget(p); break;
    case COMMAND_ABSOLUTE: p->absolute = p->enabled; break;
    default: break;
    }
    return 0;
}

/* How many words there are to read. */
u64 vmw_pointer_status(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    const struct vmw_pointer *p = &vmw_of(pv)->pointer;

    (void)cpu, (void)arg;
    if (!pv_has(pv, VMW_F_POINTER))
        return VMW_NO_ANSWER;
    return p->enabled ? p->count : STATUS_ERROR;
}

/* EBX words, at most four, into EAX, EBX, ECX, EDX. To ask for more than there is is an error that
 * only enabling ends. */
u64 vmw_pointer_data(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    static const u8 to[] = {RAX, RBX, RCX, RDX};
    struct vmw_pointer *p = &vmw_of(pv)->pointer;
    u32 first = 0;

    if (!pv_has(pv, VMW_F_POINTER))
        return VMW_NO_ANSWER;
    if (arg[0] == 0 || arg[0] > 4 || arg[0] > p->count) {
        forget(p);
        return VMW_NO_ANSWER;
    }
    for (u64 i = 0; i < arg[0]; i++) {
        u32 word = pull(p);
        if (i)
            vmw_set(cpu, to[i], word);
        else
            first = word;
    }
    return first;
}

/* ---- the user's side ------------------------------------------------------------------------- */

static u32 button_word(unsigned buttons)
{
    return (buttons & 1 ? BUTTON_LEFT : 0) | (buttons & 2 ? BUTTON_RIGHT : 0) |
           (buttons & 4 ? BUTTON_MIDDLE : 0);
}

bool vmw_pointer_place(struct pv *pv, const struct pv_place *place)
{
    struct vmw_pointer *p = &vmw_of(pv)->pointer;

    if (!p->absolute)
        return false;
    if (!place)
        return true;
    if (p->count + 4 <= VMW_POINTER_WORDS) { /* else the guest does not look */
        push(p, button_word(place->buttons));
        push(p, place->x);
        push(p, place->y);
        push(p, (u32)place->dz);
        pv_used(pv, VMW_F_POINTER);
    }
    if (pv->env.poke_mouse)
        pv->env.poke_mouse(pv->env.opaque);
    return true;
}
