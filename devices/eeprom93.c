/* eeprom93.c: see eeprom93.h. */
#include "devices/eeprom93.h"

#define COMMAND_BITS 9u
#define READ 6u /* start bit and opcode */

static void rising_edge(struct eeprom93 *e, bool di)
{
    if (e->bits < COMMAND_BITS) {
        if (!e->bits && !di) /* waits for the start bit */
            return;
        e->in = (u16)(e->in << 1 | di);
        e->bits++;
        e->out = 0;
    } else if (e->bits == COMMAND_BITS) {
        e->out = e->in >> 6 == READ ? e->word[e->in % EEPROM93_WORDS] : 0xffff;
        e->bits++;
    } else {
        e->out = (u16)(e->out << 1 | 1);
    }
}

void eeprom93_drive(struct eeprom93 *e, bool cs, bool sk, bool di)
{
    if (!cs) {
        e->bits = 0;
        e->in = 0;
    } else if (sk && !e->clock) {
        rising_edge(e, di);
    }
    e->clock = sk;
}

bool eeprom93_do(const struct eeprom93 *e)
{
    return e->bits < COMMAND_BITS || e->out & 0x8000;
}
