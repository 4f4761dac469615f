/* prot_segments.c: loading and using segments: SDM vol. 3A 5.2 to 5.6, 3.4.5. */
#include "sys32.h"

CODE32(nothing, "nop")

void test_main(void)
{
    expect("the harness runs code at CPL 0", nothing, DONE);
    ring(3);
    expect("the harness runs code at CPL 3", nothing, DONE);
}
