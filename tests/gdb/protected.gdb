# Protected mode: gdb asks again for the description; exceptions by what the stub says.
break *0x7c80
continue
unset tdesc filename
x/3i $pc
stepi 8
info registers eax edx esp eip
info registers cr0 gdtr_base gdtr_limit cs_base
set $edx = 5
p $edx
p/x *(unsigned short *)0x7dfe
info threads
