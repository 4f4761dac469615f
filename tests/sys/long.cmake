# The 64-bit part of the system tests: long_*, page_*, debug_* and apic_* on the harness of long.h.
# Each runs once more as x86-64-v1 and -v3; avx_* run as the latter only. page32_* and models_* are 32-bit programs on sys32.h, the latter run
# with every CPU model. Included by the list. By hand elsewhere, where a multiboot kernel must be a 32-bit ELF file:
#   objcopy -O elf32-i386 NAME.elf NAME.32
#   qemu-system-x86_64 -cpu max -kernel NAME.32 -device isa-debug-exit,iobase=0xf4 -debugcon stdio -display none
set(long_flags -m64 -ffreestanding -nostdlib -static -no-pie -fpie -mcmodel=small -mno-red-zone
  -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables
  -fno-strict-aliasing -std=gnu11 -O2 -g0 -Wall -Wextra -Wl,--build-id=none
  -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -Wl,-T,${here}/long.ld)
set(long_parts ${here}/long_start.S ${here}/long_lib.c)
file(GLOB programs CONFIGURE_DEPENDS ${here}/long_*.c ${here}/page_*.c ${here}/debug_*.c ${here}/apic_*.c)
list(REMOVE_ITEM programs ${long_parts})
foreach(program ${programs})
  get_filename_component(name ${program} NAME_WE)
  file(GLOB helpers CONFIGURE_DEPENDS ${here}/${name}.S)
  sys_test(${name} "${long_flags}" "${here}/long.h;${here}/long_defs.h;${here}/long.ld"
    ${long_parts} ${program} ${helpers})
endforeach()

function(sys_model_test name model)
  sys_run(${name}_${model} ${name} -cpu ${model})
endfunction()

foreach(program ${programs})
  get_filename_component(name ${program} NAME_WE)
  sys_model_test(${name} x86-64-v1)
  sys_model_test(${name} x86-64-v3)
endforeach()

# What is done in place, by exits instead; and calls of a personality.
if(SYS_JIT)
  foreach(name long_inline long_syscall apic_local)
    sys_run(${name}_exits ${name} -accel jit -jit-test hot=1 -pv-inline off)
  endforeach()
endif()
set(sys_options -pv kvm)
sys_test(pv_calls "${long_flags}" "${here}/long.h;${here}/long_defs.h;${here}/long.ld" ${long_parts}
  ${here}/pv_calls.c)
if(SYS_JIT)
  sys_run(pv_calls_exits pv_calls -accel jit -jit-test hot=1 -pv-inline off)
endif()

set(sys_options -cpu x86-64-v3)
file(GLOB programs CONFIGURE_DEPENDS ${here}/avx_*.c)
foreach(program ${programs})
  get_filename_component(name ${program} NAME_WE)
  sys_test(${name} "${long_flags}" "${here}/long.h;${here}/long_defs.h;${here}/long.ld"
    ${long_parts} ${program})
endforeach()
unset(sys_options)

file(GLOB programs32 CONFIGURE_DEPENDS ${here}/page32_*.c ${here}/models_*.c)
foreach(program ${programs32})
  get_filename_component(name ${program} NAME_WE)
  sys_test(${name} "-m32;-march=i486;${sys_flags};-Wl,--no-warn-rwx-segments;-Wl,-T,${here}/link32.ld"
    "${here}/sys32.h;${here}/link32.ld" ${here}/start32.S ${here}/sys32.c ${program})
  sys_model_test(${name} pentium3)
  sys_model_test(${name} x86-64-v1)
endforeach()
sys_model_test(models_cpuid 486)
sys_model_test(models_cpuid x86-64-v3)

function(smp_program name)
  sys_program(${name} "${long_flags}"
    "${here}/long.h;${here}/long_defs.h;${here}/smp_lib.h;${here}/smp_defs.h;${here}/long.ld"
    ${long_parts} ${here}/smp_start.S ${here}/smp_lib.c ${here}/${name}.c)
endfunction()

# smp_*: several CPUs, with a thread each and in turns, by both engines.
file(GLOB smp_programs CONFIGURE_DEPENDS ${here}/smp_*.c)
list(REMOVE_ITEM smp_programs ${here}/smp_lib.c ${here}/smp_kvm.c ${here}/smp_hyperv.c)
foreach(program ${smp_programs})
  get_filename_component(name ${program} NAME_WE)
  smp_program(${name})
  sys_run(${name}_2 ${name} -accel interp -smp 2)
  sys_run(${name}_4 ${name} -accel interp -smp 4)
  sys_run(${name}_turns ${name} -accel interp -smp 3 -icount)
  if(SYS_JIT)
    sys_run(${name}_2_jit ${name} -smp 2 -accel jit)
    sys_run(${name}_4_jit ${name} -smp 4 -accel jit -jit-test hot=1)
    sys_run(${name}_turns_jit ${name} -smp 3 -icount -accel jit -jit-test hot=1)
  endif()
endforeach()

# Personalities between CPUs: the program and the counters.
function(smp_pv_test name pv features text)
  smp_program(${name})
  set(run sh ${here}/smp_pv.sh ${features} ${text} $<TARGET_FILE:parallax>
    ${CMAKE_CURRENT_BINARY_DIR}/${name}.elf -pv ${pv})
  parallax_test(sys ${name}_2 120 ${run} -accel interp -smp 2)
  parallax_test(sys ${name}_turns 120 ${run} -accel interp -smp 3 -icount)
  if(SYS_JIT)
    parallax_test(sys ${name}_4_jit 120 ${run} -accel jit -smp 4)
  endif()
endfunction()
smp_pv_test(smp_kvm kvm "pv-unhalt pv-tlb-flush pv-send-ipi pv-sched-yield steal-time"
  "done")
smp_pv_test(smp_hyperv hyperv,+ex-masks
  "hypercall vp-index tlb-flush ipi ex-masks spin-wait guest-idle ref-tsc ref-counter stimer-direct crash"
  "it crashed: 0xc0ffee00 0xc0ffee01")
