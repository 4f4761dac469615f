# What the stub is asked for and refuses; what QEMU's scripts ask for.
maint packet qqemu.sstepbits
maint packet qqemu.sstep
maint packet Qqemu.sstep=5
maint packet qqemu.sstep
maint packet Qqemu.sstep=9
maint packet qqemu.PhyMemMode
maint packet Qqemu.PhyMemMode:1
maint packet mfffffff0,4
maint packet Qqemu.PhyMemMode:0
maint packet vFoo
maint packet p999
maint packet pzz
maint packet m
maint packet m0,
maint packet M0,4:00
maint packet G00
maint packet P0=1
maint packet Hx1
maint packet Hg99
maint packet T99
maint packet Z0
maint packet Z9,0,1
maint packet Z2,ffffffffffffffff,8
maint packet Z0,7c00,1;X5,22
maint packet vCont;x
maint packet vCont
maint packet qXfer:features:read:nothing:0,1
maint packet qXfer:memory-map:read::0,30
maint packet qC
maint packet qAttached
maint packet ?
disconnect
# again
x/i $pc
