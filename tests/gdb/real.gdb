# Real mode: a linear pc, 16-bit disassembly, breakpoints, watchpoints, conditions, registers written.
x/i $pc
break *0x7c20
continue
info registers eip cs cs_base esp
x/4i $pc
delete
watch *(short *)0x600 if *(short *)0x600 == 3
continue
p $cx
delete
break *0x7c29 if $ecx == 1
continue
p *(short *)0x600
delete
set $cx = 2
rwatch *(short *)0x600
continue
delete
hbreak *0x7c38
continue
x/3i $pc
stepi
stepi
stepi
p/x $ebx
set $ebx = 0x12345678
p/x $ebx
set *(char *)0x7c36 = 0x90
x/2i 0x7c36
set $eip = 0x7c30
x/i $pc
