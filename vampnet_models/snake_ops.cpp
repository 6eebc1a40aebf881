// Snake, x + sin(alpha x)^2 / alpha, as operators of ONNX Runtime, with the quantization around it.
//
//   Snake           x float [B, C, T], alpha, inverse float [C]        -> float
//   SnakeQuantize   the same and steps float [C], zero uint8           -> uint8
//   SnakeBytes      x uint8, alpha, inverse float [C], zero_in, zero_out uint8 (steps of 1) -> uint8
//   DequantizeAdd   a float, q uint8 [B, C, T], steps float [C], zero  -> float a + (q - zero) steps
//
// The runtime's C interface is a table of functions whose order never changes: the few that are
// needed are declared here by their places, so that no header is needed to build this file.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FAST
#endif
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAS_VBMI 1
#endif

namespace {

// ---- the runtime's interface -------------------------------------------------------------------

constexpr uint32_t kApiVersion = 17;  // the first with KernelContext_ParallelFor
constexpr uint32_t kOpVersion = 12;   // of the operator structure below
enum ElementType : int { kFloat = 1, kUint8 = 2 };

enum Place : size_t {
  kCreateCustomOpDomain = 26,
  kCustomOpDomainAdd = 27,
  kAddCustomOpDomain = 28,
  kGetTensorMutableData = 51,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kGetInput = 90,
  kGetOutput = 91,
  kReleaseShape = 99,
  kParallelFor = 274,
};

using Status = void*;  // nullptr when all went well
using Table = void* const*;

struct ApiBase {
  Table (*get_api)(uint32_t version);
  const char* (*version)();
};

template <typename... Arguments>
Status call(Table api, Place place, Arguments... arguments) {
  return reinterpret_cast<Status (*)(Arguments...)>(api[place])(arguments...);
}

struct CustomOp {
  uint32_t version;
  void* (*create)(const CustomOp*, Table, const void* info);
  const char* (*name)(const CustomOp*);
  const char* (*provider)(const CustomOp*);
  int (*input_type)(const CustomOp*, size_t);
  size_t (*inputs)(const CustomOp*);
  int (*output_type)(const CustomOp*, size_t);
  size_t (*outputs)(const CustomOp*);
  void (*compute)(void* kernel, void* context);
  void (*destroy)(void* kernel);
  int (*input_kind)(const CustomOp*, size_t);
  int (*output_kind)(const CustomOp*, size_t);
};

struct Tensor {
  const void* data;
  int64_t dims[3];
};

Tensor input(Table api, void* context, size_t index) {
  void *value = nullptr, *shape = nullptr, *data = nullptr;
  Tensor found{nullptr, {1, 1, 1}};
  size_t rank = 0;
  call(api, kGetInput, context, index, &value);
  call(api, kGetTensorMutableData, value, &data);
  call(api, kGetTensorTypeAndShape, value, &shape);
  call(api, kGetDimensionsCount, shape, &rank);
  if (rank <= 3) call(api, kGetDimensions, shape, &found.dims[0], rank);
  reinterpret_cast<void (*)(void*)>(api[kReleaseShape])(shape);
  found.data = data;
  return found;
}

void* output(Table api, void* context, const int64_t (&dims)[3]) {
  void *value = nullptr, *data = nullptr;
  call(api, kGetOutput, context, size_t{0}, static_cast<const int64_t*>(dims), size_t{3}, &value);
  call(api, kGetTensorMutableData, value, &data);
  return data;
}

// ---- the arithmetic ----------------------------------------------------------------------------

// sin(alpha x)^2: x in half-periods less the nearest integer, then Taylor's polynomial up to r^11.
inline float squared_sine(float half_periods) {
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds
  const float r = half_periods - ((half_periods + magic) - magic);
  const float s = r * r;
  float p = -0.00737043094571f;
  p = p * s + 0.0821458866111f;
  p = p * s - 0.599264529321f;
  p = p * s + 2.55016403988f;
  p = p * s - 5.16771278005f;
  p = p * s + 3.14159265359f;
  const float sine = p * r;
  return sine * sine;
}

constexpr float kInversePi = 0.318309886183790671538f;

FAST void snake(const float* x, float* y, size_t n, float alpha, float inverse) {
  const float frequency = alpha * kInversePi;
  for (size_t i = 0; i < n; ++i) y[i] = x[i] + inverse * squared_sine(x[i] * frequency);
}

FAST void snake_quantize(const float* x, uint8_t* y, size_t n, float alpha, float inverse,
                         float step, float zero) {
  const float frequency = alpha * kInversePi, rate = 1.0f / step, magic = 12582912.0f;
  for (size_t i = 0; i < n; ++i) {
    float value = (x[i] + inverse * squared_sine(x[i] * frequency)) * rate + zero;
    value = value < 0.0f ? 0.0f : value;
    value = value > 255.0f ? 255.0f : value;
    int32_t bits;
    const float rounded = value + magic;
    std::memcpy(&bits, &rounded, sizeof bits);
    y[i] = static_cast<uint8_t>(bits);
  }
}

FAST void dequantize_add(const float* a, const uint8_t* q, float* y, size_t n, float step,
                         int32_t zero) {
  for (size_t i = 0; i < n; ++i) y[i] = a[i] + static_cast<float>(q[i] - zero) * step;
}

void look_up_portable(const uint8_t* x, uint8_t* y, size_t n, const uint8_t* table) {
  for (size_t i = 0; i < n; ++i) y[i] = table[x[i]];
}

#ifdef HAS_VBMI
__attribute__((target("avx512f,avx512bw,avx512vbmi"))) void look_up_vbmi(
    const uint8_t* x, uint8_t* y, size_t n, const uint8_t* table) {
  const __m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64);
  const __m512i t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const __m512i index = _mm512_loadu_si512(x + i);
    const __m512i low = _mm512_permutex2var_epi8(t0, index, t1);
    const __m512i high = _mm512_permutex2var_epi8(t2, index, t3);
    _mm512_storeu_si512(y + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
  }
  look_up_portable(x + i, y + i, n - i, table);
}
#endif

void look_up(const uint8_t* x, uint8_t* y, size_t n, const uint8_t* table) {
#ifdef HAS_VBMI
  static const bool has_vbmi = __builtin_cpu_supports("avx512vbmi");
  if (has_vbmi) return look_up_vbmi(x, y, n, table);
#endif
  look_up_portable(x, y, n, table);
}

void fill_table(uint8_t* table, float alpha, float inverse, int zero_in, int zero_out) {
  for (int q = 0; q < 256; ++q) {
    const double x = q - zero_in, sine = std::sin(alpha * x);
    const double value = std::nearbyint(x + inverse * sine * sine) + zero_out;
    table[q] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}

// ---- the operators -----------------------------------------------------------------------------

enum Kind { kSnake, kSnakeQuantize, kSnakeBytes, kDequantizeAdd };

struct Op : CustomOp {
  Kind kind;
  const char* label;
  std::vector<int> takes;
  int gives;
};

struct Kernel {
  Table api;
  Kind kind;
};

// One row is a channel of a batch item; long rows are cut so that all threads have work.
constexpr int64_t kPieceSamples = 16384;

struct Work {
  Kind kind;
  const void *x, *second;
  void* y;
  const float *alpha, *inverse, *steps;
  int zero_in, zero_out;
  int64_t channels, samples, pieces;
};

void piece(void* shared, size_t number) {
  const Work& w = *static_cast<const Work*>(shared);
  const int64_t row = number / w.pieces, first = (number % w.pieces) * kPieceSamples;
  const int64_t c = row % w.channels, at = row * w.samples + first;
  const size_t n = static_cast<size_t>(
      w.samples - first < kPieceSamples ? w.samples - first : kPieceSamples);
  const float* floats = static_cast<const float*>(w.x) + at;
  switch (w.kind) {
    case kSnake:
      return snake(floats, static_cast<float*>(w.y) + at, n, w.alpha[c], w.inverse[c]);
    case kSnakeQuantize:
      return snake_quantize(floats, static_cast<uint8_t*>(w.y) + at, n, w.alpha[c], w.inverse[c],
                            w.steps[c], static_cast<float>(w.zero_out));
    case kSnakeBytes: {
      uint8_t table[256];
      fill_table(table, w.alpha[c], w.inverse[c], w.zero_in, w.zero_out);
      return look_up(static_cast<const uint8_t*>(w.x) + at, static_cast<uint8_t*>(w.y) + at, n,
                     table);
    }
    case kDequantizeAdd:
      return dequantize_add(floats, static_cast<const uint8_t*>(w.second) + at,
                            static_cast<float*>(w.y) + at, n, w.steps[c], w.zero_in);
  }
}

void compute(void* opaque, void* context) {
  const Kernel& kernel = *static_cast<const Kernel*>(opaque);
  const Table api = kernel.api;
  const Tensor x = input(api, context, 0);
  Work w{};
  const auto floats = [&](size_t i) { return static_cast<const float*>(input(api, context, i).data); };
  const auto byte = [&](size_t i) {
    return static_cast<int>(*static_cast<const uint8_t*>(input(api, context, i).data));
  };
  w.kind = kernel.kind;
  w.x = x.data;
  if (w.kind == kDequantizeAdd) {
    w.second = input(api, context, 1).data;
    w.steps = floats(2);
    w.zero_in = byte(3);
  } else {
    w.alpha = floats(1);
    w.inverse = floats(2);
  }
  if (w.kind == kSnakeQuantize) {
    w.steps = floats(3);
    w.zero_out = byte(4);
  }
  if (w.kind == kSnakeBytes) {
    w.zero_in = byte(3);
    w.zero_out = byte(4);
  }
  w.channels = x.dims[1];
  w.samples = x.dims[2];
  w.pieces = (w.samples + kPieceSamples - 1) / kPieceSamples;
  w.y = output(api, context, x.dims);
  const size_t total = static_cast<size_t>(x.dims[0] * w.channels * w.pieces);
  if (total) {
    call(api, kParallelFor, static_cast<const void*>(context), &piece, total, size_t{0},
         static_cast<void*>(&w));
  }
}

Op make(Kind kind, const char* label, std::vector<int> takes, int gives) {
  Op op{};
  op.version = kOpVersion;
  op.create = [](const CustomOp* self, Table api, const void*) -> void* {
    return new Kernel{api, static_cast<const Op*>(self)->kind};
  };
  op.name = [](const CustomOp* self) { return static_cast<const Op*>(self)->label; };
  op.provider = [](const CustomOp*) -> const char* { return nullptr; };
  op.input_type = [](const CustomOp* self, size_t i) { return static_cast<const Op*>(self)->takes[i]; };
  op.inputs = [](const CustomOp* self) { return static_cast<const Op*>(self)->takes.size(); };
  op.output_type = [](const CustomOp* self, size_t) { return static_cast<const Op*>(self)->gives; };
  op.outputs = [](const CustomOp*) { return size_t{1}; };
  op.compute = compute;
  op.destroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  op.input_kind = [](const CustomOp*, size_t) { return 0; };
  op.output_kind = [](const CustomOp*, size_t) { return 0; };
  op.kind = kind;
  op.label = label;
  op.takes = std::move(takes);
  op.gives = gives;
  return op;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void* RegisterCustomOps(void* options,
                                                                          const ApiBase* base) {
  static const Op ops[] = {
      make(kSnake, "Snake", {kFloat, kFloat, kFloat}, kFloat),
      make(kSnakeQuantize, "SnakeQuantize", {kFloat, kFloat, kFloat, kFloat, kUint8}, kUint8),
      make(kSnakeBytes, "SnakeBytes", {kUint8, kFloat, kFloat, kUint8, kUint8}, kUint8),
      make(kDequantizeAdd, "DequantizeAdd", {kFloat, kUint8, kFloat, kUint8}, kFloat),
  };
  const Table api = base->get_api(kApiVersion);
  void* domain = nullptr;  // the session's options refer to it for as long as they live
  if (Status failed = call(api, kCreateCustomOpDomain, "vampnet.native", &domain)) return failed;
  for (const Op& op : ops) {
    const CustomOp* pointer = &op;
    if (Status failed = call(api, kCustomOpDomainAdd, domain, pointer)) return failed;
  }
  return call(api, kAddCustomOpDomain, options, domain);
}
