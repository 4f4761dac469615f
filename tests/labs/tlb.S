/* tlb.S: lab 2, solved. */
#include "guest.inc"

#define WINDOW 0x00400000
#define PRESENT 3 /* and writable */

main:
    call turn_paging_on
    movl $frame_a + PRESENT, window_entry
    mov window, %eax
    movl $frame_b + PRESENT, window_entry
    invlpg window
    mov window, %ebx
    movl $frame_a + PRESENT, window_entry
    mov %cr3, %ecx
    mov %ecx, %cr3
    mov window, %ecx
    ret

turn_paging_on:
    mov $page_tables, %edi
    mov $PRESENT, %eax
1:  mov %eax, (%edi)
    add $4, %edi
    add $0x1000, %eax
    cmp $0x00800000 + PRESENT, %eax
    jne 1b
    mov $page_directory, %edi
    movl $page_tables + PRESENT, (%edi)
    movl $page_tables + 0x1000 + PRESENT, 4(%edi)
    movl $0xaaaaaaaa, frame_a
    movl $0xbbbbbbbb, frame_b
    mov %edi, %cr3
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    ret

    .bss
    .balign 4096
page_directory: .space 4096
page_tables: .space 2 * 4096
frame_a: .space 4096
frame_b: .space 4096
    .set window, WINDOW
    .set window_entry, page_tables + WINDOW / 4096 * 4
