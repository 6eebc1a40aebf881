// A loop that the compiler vectorizes, once for each kind of registers, and the choice among them.
//
//   INLINED name_loop(float* y, size_t n) { ... }
//   BY_PROCESSOR(name, (float* y, size_t n), (y, n))   makes name(y, n)

#pragma once

#include "cpu.h"

#define INLINED __attribute__((always_inline)) inline void
#ifdef NATIVE_X86
#define BY_PROCESSOR(NAME, PARAMETERS, ARGUMENTS)                                             \
  __attribute__((target("avx512f"))) void NAME##_avx512 PARAMETERS { NAME##_loop ARGUMENTS; } \
  __attribute__((target("avx2,fma"))) void NAME##_avx2 PARAMETERS { NAME##_loop ARGUMENTS; }  \
  void NAME PARAMETERS {                                                                      \
    if (cpu().avx512) return NAME##_avx512 ARGUMENTS;                                         \
    if (cpu().avx2) return NAME##_avx2 ARGUMENTS;                                             \
    NAME##_loop ARGUMENTS;                                                                    \
  }
#else
#define BY_PROCESSOR(NAME, PARAMETERS, ARGUMENTS) \
  void NAME PARAMETERS { NAME##_loop ARGUMENTS; }
#endif
