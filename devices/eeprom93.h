/*
 * eeprom93.h: a 93C46 serial EEPROM of 64 words of 16 bits, as network controllers carry their
 * address in.
 *
 * Specification: Microchip 93C46 data sheet (Microwire): while CS is high, a start bit, two bits of
 * opcode and six of address come in at rising edges of SK; a word goes out after a 0.
 *
 * Not implemented: erasing and writing; a word is followed by ones, not by the next.
 */
#pragma once

#include "base/types.h"

#define EEPROM93_WORDS 64u

struct eeprom93 {
    u16 word[EEPROM93_WORDS];
    u16 in;  /* the command so far */
    u8 bits; /* how many of it; 10: a word goes out */
    u16 out; /* its first bit is on DO */
    bool clock;
};

/* The lines as the controller drives them. */
void eeprom93_drive(struct eeprom93 *e, bool cs, bool sk, bool di);
/* DO, which is pulled up. */
bool eeprom93_do(const struct eeprom93 *e);

/* clang-format off */
#define EEPROM93_FIELDS(type, member)                                                              \
    DEV_FIELD_ARRAY(type, member.word, 0, 0xffff, "EEPROM"),                                       \
    DEV_FIELD(type, member.in, 0, 0x1ff, "command to the EEPROM"),                                 \
    DEV_FIELD(type, member.bits, 0, 10, "bits of it"),                                             \
    DEV_FIELD(type, member.out, 0, 0xffff, "word from it"),                                        \
    DEV_FIELD(type, member.clock, 0, 1, "SK")
/* clang-format on */
