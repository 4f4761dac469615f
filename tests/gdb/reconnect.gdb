# A gdb that comes after another finds the machine as it was left, and the description of its mode.
break *0x7d00
continue
disconnect
# again
x/2i $pc
p $rip
break *0x7d40
continue
detach
