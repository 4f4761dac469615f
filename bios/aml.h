/*
 * aml.h: writes ACPI Machine Language: names, constants, containers, control methods and resource
 * templates. ACPI 6.5, chapters 20 (AML) and 6.4 (resource data types).
 *
 * A container is opened by a function that returns a mark and closed by aml_end with it:
 *
 *     size_t dev = aml_device(a, "COM1");
 *     aml_name(a, "_UID");
 *     aml_int(a, 1);
 *     aml_end(a, dev);
 *
 * Term arguments are written in order: aml_store is followed by its source and its target. Too
 * small a buffer sets `overflow` and loses data, never memory.
 */
#pragma once

#include "base/types.h"

struct aml {
    u8 *buf;
    size_t cap, len;
    bool overflow;
};

/* Parts of names: "_CRS" is padded to four with '_'; "\\_SB.PCI0" and "^X" have a path. */
void aml_name_string(struct aml *a, const char *name);

/* ---- data ----------------------------------------------------------------------------------- */

void aml_int(struct aml *a, u64 v);
void aml_string(struct aml *a, const char *s);
/* "PNP0A03" as the compressed integer. */
void aml_eisaid(struct aml *a, const char *id);
/* Name (name, ...): the object follows. */
void aml_name(struct aml *a, const char *name);
size_t aml_package(struct aml *a, u8 count);

/* ---- containers ----------------------------------------------------------------------------- */

size_t aml_scope(struct aml *a, const char *name);
size_t aml_device(struct aml *a, const char *name);
size_t aml_method(struct aml *a, const char *name, unsigned args, bool serialized);
void aml_end(struct aml *a, size_t mark);

/* ---- regions -------------------------------------------------------------------------------- */

enum aml_space { AML_SYSTEM_MEMORY = 0, AML_SYSTEM_IO = 1, AML_PCI_CONFIG = 2 };
void aml_region(struct aml *a, const char *name, enum aml_space space, u64 offset, u64 len);
/* Field (region, ByteAcc, NoLock, Preserve): units follow. */
size_t aml_field(struct aml *a, const char *region);
void aml_field_unit(struct aml *a, const char *name, unsigned bits);

/* ---- statements ----------------------------------------------------------------------------- */

#define AML_ARG0 0x68
#define AML_LOCAL0 0x60
void aml_var(struct aml *a, u8 which); /* AML_ARG0 + n, AML_LOCAL0 + n */
void aml_store(struct aml *a);         /* source, target */
void aml_and(struct aml *a);           /* operand, operand, target (aml_null: none) */
void aml_or(struct aml *a);
void aml_null(struct aml *a);
void aml_return(struct aml *a);
size_t aml_if(struct aml *a); /* predicate, then statements */
/* CreateDWordField (source, byte, name): the source follows, then call aml_dword_field_end. */
void aml_dword_field(struct aml *a);
void aml_dword_field_end(struct aml *a, u64 byte, const char *name);

/* ---- resource templates --------------------------------------------------------------------- */

struct aml_crs {
    size_t mark, data; /* where the buffer and its contents begin */
};

/* At most 255 bytes between the two. */
struct aml_crs aml_crs_begin(struct aml *a);
void aml_crs_end(struct aml *a, struct aml_crs crs);
void aml_crs_io(struct aml *a, u16 base, u8 len);
/* Edge-triggered, active-high, exclusive: an ISA interrupt. */
void aml_crs_irq(struct aml *a, unsigned irq);
/* Level-triggered, active-high, shared: consumer of the GSIs listed. */
void aml_crs_interrupt(struct aml *a, const u32 *gsi, u8 count);
void aml_crs_memory32(struct aml *a, u32 base, u32 len);
/* What a bridge produces, fixed at both ends; last is inclusive. */
void aml_crs_bus_range(struct aml *a, u16 first, u16 last);
void aml_crs_io_range(struct aml *a, u16 first, u16 last);
void aml_crs_memory_range(struct aml *a, u32 first, u32 last, bool cacheable);
