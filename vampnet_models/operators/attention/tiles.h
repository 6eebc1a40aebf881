// The blocked attention of one head, in the words of the namespace that includes it.
//
// No include guard: attention.h includes it once per instruction set, which a template's parameters
// cannot choose. It takes ATTENTION_TARGET, Word, Lanes, kPerWord, load, add, pack, words_of,
// pack_values and pack_weights.

template <int kParts>  // registers of keys that there are
ATTENTION_TARGET inline void score_tile(const Word* q, int64_t depth, const Word* panel,
                                        const Head& h, int64_t row, int64_t key, float* scores,
                                        int64_t padded) {
  __m512 sum[kRows][kParts];
  for (int r = 0; r < kRows; ++r) {
    const int64_t query = row + r < h.rows ? row + r : h.rows - 1;
    for (int c = 0; c < kParts; ++c)
      sum[r][c] = start(h.bias + key - query + c * kLane, h.keys - key - c * kLane);
  }
  for (int64_t d = 0; d < depth; ++d) {
    Lanes k[kParts];
#pragma GCC unroll 3
    for (int c = 0; c < kParts; ++c) k[c] = load(panel + d * kKeys + c * kLane);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Word x = q[r * depth + d];
#pragma GCC unroll 3
      for (int c = 0; c < kParts; ++c) sum[r][c] = add(sum[r][c], x, k[c]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kParts; ++c) _mm512_store_ps(scores + r * padded + c * kLane, sum[r][c]);
}

ATTENTION_TARGET inline void out_tile(const Word* weights, int64_t padded, int64_t words,
                                      const Word* v, int64_t width, const float* sums,
                                      const Head& h, int64_t row, int64_t channel) {
  __m512 sum[kOutRows][4];
  for (auto& each : sum)
    for (auto& part : each) part = _mm512_setzero_ps();
  for (int64_t t = 0; t < words; ++t) {
    const Word* at = v + t * width;
    const Lanes v0 = load(at), v1 = load(at + 16), v2 = load(at + 32), v3 = load(at + 48);
#pragma GCC unroll 6
    for (int r = 0; r < kOutRows; ++r) {
      const Word x = weights[r * padded + t];
      sum[r][0] = add(sum[r][0], x, v0);
      sum[r][1] = add(sum[r][1], x, v1);
      sum[r][2] = add(sum[r][2], x, v2);
      sum[r][3] = add(sum[r][3], x, v3);
    }
  }
  for (int r = 0; r < kOutRows && row + r < h.rows; ++r) {
    const __m512 share = _mm512_set1_ps(1.0f / sums[r]);
    float* out = h.out + (row + r) * h.stride + channel;
    for (int c = 0; c < 4; ++c)
      _mm512_mask_storeu_ps(out + c * kLane, mask_of(h.size - channel - c * kLane),
                            _mm512_mul_ps(sum[r][c], share));
  }
}

ATTENTION_TARGET inline void run(const Head& h, Space& space) {
  const int64_t padded = round_up(h.keys, kKeys), width = round_up(h.size, kOut);
  const int64_t depth = (h.size + kPerWord - 1) / kPerWord;
  const int64_t words = (h.keys + kPerWord - 1) / kPerWord;
  space.used = 0;
  const size_t taken = padded * depth + words * width + (kBlock + 8) * (depth + padded) + depth;
  // Each of the five starts at a multiple of 64 bytes.
  if (space.bytes.size() < taken * sizeof(Word) + 1024)
    space.bytes.resize(taken * sizeof(Word) + 1024);
  Word* keys = space.take<Word>(padded * depth);
  Word* values = space.take<Word>(words * width);
  Word* q = space.take<Word>((kBlock + 8) * depth);
  float* scores = space.take<float>((kBlock + 8) * padded);
  Word* room = space.take<Word>(depth);
  float sums[kBlock + 8];
  std::memset(keys, 0, padded * depth * sizeof(Word));
  for (int64_t j = 0; j < h.keys; ++j) {
    const Word* row = words_of(h.k + j * h.stride, h.size, depth, room);
    Word* column = keys + j / kKeys * kKeys * depth + j % kKeys;
    for (int64_t d = 0; d < depth; ++d) column[d * kKeys] = row[d];
  }
  for (int64_t t = 0; t < words; ++t) {
    const float* v = h.v + kPerWord * t * h.stride;
    const float* odd = kPerWord * t + 1 < h.keys ? v + h.stride : nullptr;
    pack_values(v, odd, h.size, width, values + t * width);
  }
  for (int64_t first = 0; first < h.rows; first += kBlock) {
    const int64_t rows = h.rows - first < kBlock ? h.rows - first : kBlock;
    for (int64_t i = 0; i < rows; ++i)
      pack(h.q + (first + i) * h.stride, h.size, depth, h.scale, q + i * depth);
    for (int64_t key = 0; key < h.keys; key += kKeys) {
      const int64_t left = h.keys - key;
      const auto tile = left > 2 * kLane ? score_tile<3>
                        : left > kLane   ? score_tile<2>
                                         : score_tile<1>;
      for (int64_t i = 0; i < rows; i += kRows)
        tile(q + i * depth, depth, keys + key * depth, h, first + i, key,
             scores + i * padded + key, padded);
    }
    const int64_t filled = round_up(h.keys, kLane);
    for (int64_t i = 0; i < rows; ++i) {
      sums[i] = soften(scores + i * padded, filled);
      pack_weights(scores + i * padded, filled);
    }
    for (int64_t i = 0; i < rows; i += kOutRows)
      for (int64_t channel = 0; channel < h.size; channel += kOut)
        out_tile(reinterpret_cast<const Word*>(scores + i * padded), padded, words,
                 values + channel, width, sums + i, h, first + i, channel);
  }
}
