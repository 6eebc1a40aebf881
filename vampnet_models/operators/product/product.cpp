// Products of rows with constant matrices, as operators of ONNX Runtime. Weights are packed in
// panels (product.h) [P, D, 64, bytes of a word]; `columns` of them are there, as many as in bias.
//
//   IntegerProduct   x float [..., K], weight int8, scales float, sums int32, bias float [columns],
//                    add float [..., columns] (optional)                -> float [..., columns]
//                    Each row of x gets 8 bits by its own range; `sums` are those of the integers
//                    of each column, `scales` turn them into real numbers.
//   IntegerBlockProduct  the same with sums int16 [blocks, columns]: each row has so many blocks of
//                    as many words, and each of them a range of its own.
//   Bfloat16Product  x float [..., K], weight bfloat16, bias float [columns], add (optional)
//                    Sums are in float32.

#include "product.h"

#include <vector>

#include "../cpu.h"
#include "halves.h"
#include "../runtime.h"

#if defined(NATIVE_X86)
#include "avx2.h"
#include "avx512.h"
#elif defined(NATIVE_ARM64)
#include "neon.h"
#endif

namespace product {

constexpr int64_t kFloats = 2 * sizeof(float);  // of the values that a word holds
[[maybe_unused]] constexpr int64_t kNear = 1 << 18;  // half of a core's own cache, where it is small

Kernels byte_kernels() {
  [[maybe_unused]] const native::Cpu& cpu = native::cpu();
#if defined(NATIVE_X86)
  if (cpu.avx512 && cpu.avx512_vnni) {
    return {avx512::run<avx512::Bytes>, avx512::quantize_bytes, "avx512-vnni"};
  }
  if (cpu.avx_vnni) return {avx2::vnni_vex::run, avx2::quantize<false>, "avx-vnni"};
  if (cpu.avx512_vnni) return {avx2::vnni_evex::run, avx2::quantize<false>, "avx-vnni"};
  if (cpu.avx2) return {avx2::run, avx2::quantize<true>, "avx2", avx2::kPairs, kNear};
#elif defined(NATIVE_ARM64)
  if (cpu.arm_dot) return {neon::run, portable::quantize_bytes, "neon-dot"};
#endif
  return {portable::run_bytes, portable::quantize_bytes, "portable"};
}

Kernels half_kernels() {
#if defined(NATIVE_X86)
  const native::Cpu& cpu = native::cpu();
  if (cpu.fast_bf16) {
    return {avx512::run<avx512::Halves>, avx512::quantize_halves, "avx512-bf16"};
  }
  if (cpu.avx512) {
    return {avx512::run<avx512::Unfolded>, avx512::quantize_unfolded, "unfolded-avx512", kFloats};
  }
  if (cpu.avx2) return {halves::run_avx2, halves::unfold_avx2, "unfolded-avx2", kFloats, kNear};
#endif
  return {halves::run, halves::unfold, "portable", kFloats};
}

}  // namespace product

namespace native {
namespace {

enum Kind { kInteger, kIntegerBlocks, kBfloat16 };

constexpr int64_t kQuantizedRows = 8;      // of one piece of work
constexpr int64_t kFewValues = 32768;      // these are quantized before other threads wake up
constexpr int64_t kManyPanels = 16;        // pieces enough for all threads without cutting the rows
constexpr int64_t kRows = 384, kFewRows = 96;  // of one piece; multiples of a tile's
constexpr int64_t kTiles = 12;             // rows that make whole tiles of every kernel
constexpr int64_t kAhead = 2;              // panels: what lies between two pieces of one thread

struct Work {
  product::Kernels kernels;
  product::Job job;  // of the whole matrix
  const float* x;
  char* words;
  float* row_scales;
  int32_t* zeros;
  int64_t n, block_n;  // values of a row, and of a block of it
  int64_t panels, piece_rows, chunks;
};

void quantize_piece(void* shared, size_t number) {
  const Work& w = *static_cast<const Work*>(shared);
  const int64_t first = static_cast<int64_t>(number) * kQuantizedRows;
  for (int64_t i = first; i < std::min(first + kQuantizedRows, w.job.n_rows); ++i) {
    for (int64_t block = 0, at = i * w.job.blocks; block < w.job.blocks; ++block, ++at) {
      const product::Words words = product::words_of(w.job, block);
      const int64_t start = block * w.block_n, left = std::max<int64_t>(0, w.n - start);
      w.kernels.quantize(w.x + i * w.n + start, std::min(w.block_n, left), words.end - words.first,
                         w.words + i * w.job.row_bytes + words.first * w.kernels.row_word,
                         w.row_scales + at, w.zeros + at);
    }
  }
}

void multiply_piece(void* shared, size_t number) {
  const Work& w = *static_cast<const Work*>(shared);
  const int64_t panel = static_cast<int64_t>(number) / w.chunks;
  const int64_t row = static_cast<int64_t>(number) % w.chunks * w.piece_rows;
  const int64_t column = panel * product::kPanel;
  const int64_t panel_bytes = w.job.depth * product::kPanel * product::kWord;
  product::Job j = w.job;
  j.rows += row * j.row_bytes;
  j.panel += panel * panel_bytes;
  j.next = row == 0 && panel + kAhead < w.panels ? j.panel + kAhead * panel_bytes : nullptr;
  j.n_rows = std::min(w.piece_rows, j.n_rows - row);
  j.columns = std::min(product::kPanel, j.columns - column);
  j.row_scales = w.row_scales + row * j.blocks;
  j.zeros = w.zeros + row * j.blocks;
  if (j.scales) j.scales += column;
  if (j.sums) j.sums += column;
  j.bias += column;
  j.out += row * j.stride + column;
  if (j.add) j.add += row * j.stride + column;
  w.kernels.run(j);
}

void compute(Table api, int kind, void* context) {
  static const product::Kernels bytes = product::byte_kernels(), halves = product::half_kernels();
  static thread_local std::vector<char> words;
  static thread_local std::vector<float> scales;
  static thread_local std::vector<int32_t> zeros, sums;
  const Tensor x = input(api, context, 0), weight = input(api, context, 1);
  const size_t at = kind == kBfloat16 ? 2 : 4;
  const Tensor bias = input(api, context, at), add = input(api, context, at + 1);
  Work w{};
  w.kernels = kind == kBfloat16 ? halves : bytes;
  w.x = static_cast<const float*>(x.data);
  w.n = x.dims[x.rank - 1];
  w.panels = weight.dims[0];
  w.job.n_rows = 1;
  for (size_t i = 0; i + 1 < x.rank; ++i) w.job.n_rows *= x.dims[i];
  w.job.panel = static_cast<const char*>(weight.data);
  w.job.depth = weight.dims[1];
  w.job.row_bytes = w.job.depth * w.kernels.row_word;
  w.job.columns = w.job.stride = bias.dims[0];
  w.job.bias = static_cast<const float*>(bias.data);
  w.job.add = static_cast<const float*>(add.data);
  w.job.blocks = 1;
  if (kind != kBfloat16) {
    const Tensor stored = input(api, context, 3);
    w.job.scales = static_cast<const float*>(input(api, context, 2).data);
    w.job.sums = static_cast<const int32_t*>(stored.data);
    if (kind == kIntegerBlocks) {
      const auto* first = static_cast<const int16_t*>(stored.data);
      w.job.blocks = stored.dims[0];
      sums.assign(first, first + w.job.blocks * w.job.columns);
      w.job.sums = sums.data();
    }
  }
  w.job.block_words = (w.job.depth + w.job.blocks - 1) / w.job.blocks;
  w.block_n = w.job.blocks == 1 ? w.n : w.job.block_words * product::kWord;
  int64_t dims[kMostAxes];
  std::copy(x.dims, x.dims + kMostAxes, dims);
  dims[x.rank - 1] = w.job.columns;
  w.job.out = static_cast<float*>(output(api, context, dims, x.rank));
  words.resize(std::max(words.size(), static_cast<size_t>(w.job.n_rows * w.job.row_bytes)));
  scales.resize(std::max(scales.size(), static_cast<size_t>(w.job.n_rows * w.job.blocks)));
  zeros.resize(scales.size());
  w.job.rows = w.words = words.data();
  w.row_scales = scales.data();
  w.zeros = zeros.data();
  const int64_t pieces = (w.job.n_rows + kQuantizedRows - 1) / kQuantizedRows;
  if (w.job.n_rows * w.n <= kFewValues) {
    for (int64_t i = 0; i < pieces; ++i) quantize_piece(&w, static_cast<size_t>(i));
  } else {
    parallel_for(api, context, &quantize_piece, static_cast<size_t>(pieces), &w);
  }
  w.piece_rows = w.panels >= kManyPanels ? kRows : kFewRows;
  if (const int64_t most = w.kernels.near_bytes / w.job.row_bytes / kTiles * kTiles; most) {
    w.piece_rows = std::min(w.piece_rows, most);
  }
  w.chunks = (w.job.n_rows + w.piece_rows - 1) / w.piece_rows;
  parallel_for(api, context, &multiply_piece, static_cast<size_t>(w.panels * w.chunks), &w,
               Share::kFree);
}

}  // namespace

std::vector<Op> product_ops() {
  return {
      make("IntegerProduct", {kFloat, kInt8, kFloat, kInt32, kFloat, kFloat}, kFloat, compute,
           kInteger, 1),
      make("IntegerBlockProduct", {kFloat, kInt8, kFloat, kInt16, kFloat, kFloat}, kFloat, compute,
           kIntegerBlocks, 1),
      make("Bfloat16Product", {kFloat, kBfloat16Type, kFloat, kFloat}, kFloat, compute, kBfloat16,
           1),
  };
}

}  // namespace native
