/*
 * e820.c: builds the memory map. ACPI 6.5, section 15 (System Address Map Interfaces).
 */
#include "bios/e820.h"

#include "base/bits.h"
#include "base/err.h"
#include "bios/layout.h"

static void add(struct e820 *map, gpa_t base, u64 size, enum e820_type type)
{
    if (size == 0)
        return;
    BUG_ON(map->count == E820_MAX);
    map->entry[map->count++] = (struct e820_entry){base, size, type};
}

void e820_build(struct e820 *map, u64 ram_low_bytes, u64 ram_bytes)
{
    map->count = 0;
    add(map, 0, LAYOUT_EBDA, E820_RAM);
    add(map, LAYOUT_EBDA, LAYOUT_EBDA_BYTES, E820_RESERVED);
    add(map, LAYOUT_ACPI, LAYOUT_HIGH - LAYOUT_ACPI, E820_RESERVED);
    if (ram_low_bytes > LAYOUT_HIGH)
        add(map, LAYOUT_HIGH, ram_low_bytes - LAYOUT_HIGH, E820_RAM);
    add(map, LAYOUT_IOAPIC, PAGE_SIZE, E820_RESERVED);
    add(map, LAYOUT_HPET, PAGE_SIZE, E820_RESERVED);
    add(map, LAYOUT_LAPIC, PAGE_SIZE, E820_RESERVED);
    if (ram_bytes > ram_low_bytes)
        add(map, 4 * GIB, ram_bytes - ram_low_bytes, E820_RAM);
}

size_t e820_encode(const struct e820 *map, u8 *buf)
{
    for (unsigned i = 0; i < map->count; i++, buf += E820_ENTRY_BYTES) {
        st_le64(buf, map->entry[i].base);
        st_le64(buf + 8, map->entry[i].size);
        st_le32(buf + 16, map->entry[i].type);
    }
    return map->count * E820_ENTRY_BYTES;
}

bool e820_is_ram(const struct e820 *map, gpa_t base, u64 size)
{
    if (size == 0)
        return false;
    for (unsigned i = 0; i < map->count; i++) {
        const struct e820_entry *r = &map->entry[i];
        if (r->type == E820_RAM && base >= r->base && base - r->base < r->size)
            return size <= r->size - (base - r->base);
    }
    return false;
}
