# Long mode: 64-bit registers, watchpoints in a loop, a fault stepped into, vectors, x87, MSRs.
break *0x7d00
continue
unset tdesc filename
x/2i $pc
stepi 2
p/x $rax
delete
watch *(long *)0x608 if *(long *)0x608 == 900
continue
p $rbx
p $rcx
delete
break *0x7d20 if $rcx == 10 && $rbx == 990
continue
p $rbx
delete
break *0x7d40
continue
stepi 2
x/i $pc
p/x $cr2
delete
break *0x7dac
continue
p/x $k_gs_base
set $msr_lstar = 0xffffffff81000000
p/x $msr_lstar
p $st0
p $xmm1.v2_double
set $xmm1.v2_double[1] = 2.5
p $xmm1.v2_double
info registers cr3 cr4 efer
info registers eflags
