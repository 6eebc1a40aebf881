// What this processor has, asked of itself: compilers' own functions for that are empty in some.

#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define NATIVE_X86 1
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__) && defined(__GNUC__)
#define NATIVE_ARM64 1
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace native {

struct Cpu {
  bool avx2 = false;  // with fused multiply-adds
  bool avx_vnni = false;
  bool avx512 = false;  // F, BW and VL
  bool avx512_vnni = false, avx512_bf16 = false, avx512_vbmi = false;
  bool fast_bf16 = false;  // the same where its dot products outdo multiply-adds in float32
  bool arm_dot = false;
};

inline Cpu detected() {
  Cpu found;
#ifdef NATIVE_X86
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(1, 0, &a, &b, &c, &d) || !(c >> 27 & 1)) return found;
  const bool fma = c >> 12 & 1;
  uint32_t saved = 0, rest = 0;  // registers that the system saves, without which none may be used
  __asm__("xgetbv" : "=a"(saved), "=d"(rest) : "c"(0));
  if ((saved & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
  const bool wide = (saved & 0xe0) == 0xe0;
  uint32_t maker = 0, unused = 0;
  __get_cpuid(0, &unused, &maker, &unused, &unused);
  found.avx2 = fma && (b >> 5 & 1);
  found.avx512 = wide && (b >> 16 & 1) && (b >> 30 & 1) && (b >> 31 & 1);
  found.avx512_vbmi = found.avx512 && (c >> 1 & 1);
  found.avx512_vnni = found.avx512 && (c >> 11 & 1);
  if (a && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
    found.avx_vnni = found.avx2 && (a >> 4 & 1);
    found.avx512_bf16 = found.avx512 && (a >> 5 & 1);
    // Those of "Genu"ineIntel, which has AMX for that, take twice as long.
    found.fast_bf16 = found.avx512_bf16 && maker != 0x756e6547;
  }
#elif defined(NATIVE_ARM64)
  found.arm_dot = getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#endif
  return found;
}

// VAMPBENCH_KERNELS leaves out the faster ones, so that each is tested on one machine: "avx512" keeps
// registers of 512 bits without dot products, "vnni" those of 256 bits, "avx2" what is older too,
// "portable" plain C++ alone. "bf16" takes dot products in bfloat16 where they are slower, too.
inline Cpu allowed() {
  Cpu found = detected();
  const char* named = std::getenv("VAMPBENCH_KERNELS");
  if (!named || !*named) return found;
  const auto is = [&](const char* name) { return std::strcmp(named, name) == 0; };
  if (is("bf16")) found.fast_bf16 = found.avx512_bf16;
  const bool avx512 = is("avx512"), vnni = is("vnni"), avx2 = is("avx2");
  if (!avx512 && !vnni && !avx2 && !is("portable")) return found;  // no such name
  Cpu kept;
  kept.avx512 = avx512 && found.avx512;
  kept.avx2 = (avx512 || vnni || avx2) && found.avx2;
  kept.avx_vnni = vnni && found.avx_vnni;
  // The same instruction in its other encoding, where that is all there is.
  kept.avx512_vnni = vnni && found.avx512_vnni;
  return kept;
}

inline const Cpu& cpu() {
  static const Cpu found = allowed();
  return found;
}

}  // namespace native
