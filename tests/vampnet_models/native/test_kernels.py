"""Kernels against plain C++: those of ARM64 in an emulator, where that and zig are here."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from profiles.host import describe_host
from vampnet_models.native.library import OPERATORS, compiler

EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")

PRODUCTS = r"""
#include <cstdio>
#include <vector>
#include "product/neon.h"
using namespace product;

int main() {
  int different = 0;
  unsigned seed = 1;
  auto next = [&] { return seed = seed * 1664525u + 1013904223u; };
  for (int64_t rows = 1; rows < 15; ++rows) {
    for (int64_t columns : {1, 16, 17, 63, 64}) {
      const int64_t depth = 7 + rows;
      std::vector<char> words(rows * depth * 4), panel(depth * 256);
      std::vector<int32_t> zeros(rows), sums(64);
      std::vector<float> row_scales(rows), scales(64), bias(64), add(rows * 64), a(rows * 64), b(a);
      for (char& x : words) x = static_cast<char>(next() >> 24);
      for (char& x : panel) x = static_cast<char>(next() >> 24);
      for (int32_t& x : zeros) x = static_cast<int32_t>(next() >> 24);
      for (float& x : add) x = static_cast<float>(next() >> 24);
      for (int i = 0; i < 64; ++i) {
        scales[i] = 0.01f * static_cast<float>(i + 1);
        bias[i] = static_cast<float>(i);
        for (int64_t k = 0; k < depth * 4; ++k) {
          sums[i] += static_cast<int8_t>(panel[(k / 4 * 64 + i) * 4 + k % 4]);
        }
      }
      for (float& x : row_scales) x = 0.02f;
      Job job{words.data(), depth * 4, panel.data(), depth, rows, columns, zeros.data(),
              row_scales.data(), sums.data(), scales.data(), bias.data(), add.data(), a.data(), 64,
              nullptr};
      portable::run_bytes(job);
      job.out = b.data();
      neon::run(job);
      for (size_t i = 0; i < a.size(); ++i) {
        const float most = a[i] < 0 ? -a[i] : a[i];
        const float off = a[i] < b[i] ? b[i] - a[i] : a[i] - b[i];
        different += off > 1e-6f * most + 1e-6f;
      }
    }
  }
  std::printf("%d different, dot products: %d\n", different, native::cpu().arm_dot);
}
"""

CONVOLUTIONS = r"""
#include <cstdio>
#include <vector>
#include "codec/convolution.h"
using namespace convolution;

int main() {
  int different = 0;
  unsigned seed = 1;
  auto next = [&] { return (seed = seed * 1664525u + 1013904223u) * 0x1p-32f - 0.5f; };
  for (int64_t positions = 1; positions <= kPositions; ++positions) {
    const int64_t channels = 1 + positions % 5, taps = 1 + positions % 7, row = 2 * kPositions;
    std::vector<float> window(channels * row), panel(channels * taps * kPanel);
    std::vector<float> a(kPanel * kPositions), b(a);
    std::vector<int64_t> offsets(taps);
    for (int64_t k = 0; k < taps; ++k) offsets[k] = 3 * k;
    for (float& x : window) x = next();
    for (float& x : panel) x = next();
    Tile tile{positions,      window.data(), row, channels, taps,
              offsets.data(), panel.data(),  a.data()};
    run_portable(tile);
    tile.sums = b.data();
    run_neon(tile);
    for (int64_t r = 0; r < kPanel; ++r) {
      for (int64_t i = 0; i < positions; ++i) {
        const float off = a[r * kPositions + i] - b[r * kPositions + i];
        different += off > 1e-5f || off < -1e-5f;
      }
    }
  }
  std::printf("%d different, %s\n", different, kernel().name);
}
"""

ATTENTION = r"""
#include <cmath>
#include <cstdio>
#include <vector>
#include "attention/attention.h"

int main() {
  int different = 0;
  unsigned seed = 1;
  auto next = [&] { return (seed = seed * 1664525u + 1013904223u) * 0x1p-32f - 0.5f; };
  for (int64_t n : {1, 3, 50, 101}) {
    const int64_t size = 5 + n % 7, stride = 2 * size;
    std::vector<float> q(n * stride), k(q), v(q), out(q), bias(2 * n);
    for (auto* each : {&q, &k, &v, &bias}) {
      for (float& x : *each) x = 4.0f * next();
    }
    attention::run({q.data(), k.data(), v.data(), &bias[n - 1], out.data(), n, n, size, stride,
                    0.5f}, true);
    for (int64_t i = 0; i < n; ++i) {
      std::vector<double> weights(n);
      double sum = 0.0;
      for (int64_t j = 0; j < n; ++j) {
        double dot = 0.0;
        for (int64_t d = 0; d < size; ++d) dot += double(q[i * stride + d]) * k[j * stride + d];
        sum += weights[j] = std::exp(0.5 * dot + bias[n - 1 + j - i]);
      }
      for (int64_t d = 0; d < size; ++d) {
        double mean = 0.0;
        for (int64_t j = 0; j < n; ++j) mean += weights[j] / sum * v[j * stride + d];
        different += std::fabs(mean - out[i * stride + d]) > 1e-5;
      }
    }
  }
  std::printf("%d different\n", different);
}
"""

HALVES = r"""
#include <cmath>
#include <cstdio>
#include <vector>
#include "product/halves.h"
using namespace product;

int main() {
  int different = 0;
  unsigned seed = 1;
  auto next = [&] { return (seed = seed * 1664525u + 1013904223u) * 0x1p-32f - 0.5f; };
  for (int64_t n : {1, 4, 9}) {
    for (int64_t columns : {1, 9, 64}) {
      const int64_t values = 5 + n + columns, depth = (values + 1) / 2;
      std::vector<float> x(n * values), weights(2 * depth * 64), bias(64, 0.5f), out(n * 64);
      std::vector<uint32_t> panel(depth * 64);
      std::vector<char> words(n * depth * 8);
      for (float& each : x) each = next();
      for (int64_t i = 0; i < depth * 64; ++i) {
        const uint32_t even = halves::rounded(next()), odd = halves::rounded(next());
        panel[i] = even >> 16 | odd;
        std::memcpy(&weights[i / 64 * 128 + i % 64], &even, 4);
        std::memcpy(&weights[i / 64 * 128 + 64 + i % 64], &odd, 4);
      }
      for (int64_t i = 0; i < n; ++i) {
        halves::unfold(&x[i * values], values, depth, &words[i * depth * 8], nullptr, nullptr);
      }
      halves::run({words.data(), depth * 8, reinterpret_cast<char*>(panel.data()), depth, n,
                   columns, nullptr, nullptr, nullptr, nullptr, bias.data(), nullptr, out.data(),
                   64, nullptr});
      const auto* rows = reinterpret_cast<const float*>(words.data());
      for (int64_t i = 0; i < n * columns; ++i) {
        const int64_t r = i / columns, c = i % columns;
        double sum = 0.5;
        for (int64_t k = 0; k < values; ++k) {
          const double value = rows[r * 2 * depth + k];
          different += std::fabs(value - x[r * values + k]) > 0.002;
          sum += value * weights[k * 64 + c];
        }
        different += std::fabs(sum - out[r * 64 + c]) > 1e-5;
      }
    }
  }
  std::printf("%d different\n", different);
}
"""

ROWS = r"""
#include <cstdio>
#include <vector>
#include "product/avx2.h"
using namespace product;

int main() {
  int different = 0;
  unsigned seed = 1;
  auto next = [&] { return (seed = seed * 1664525u + 1013904223u) * 0x1p-32f - 0.3f; };
  for (int64_t n = 1; n < 70; ++n) {
    const int64_t depth = (n + 3) / 4, behind = 16;
    std::vector<float> x(n);
    for (float& v : x) v = n % 9 ? 100.0f * next() : 0.0f;
    if (n % 5 == 0) x[n / 2] = n % 2 ? NAN : INFINITY;
    std::vector<char> plain(4 * depth), bytes(4 * depth + behind, 7), wide(8 * depth + behind, 7);
    float scales[3];
    int32_t zeros[3];
    portable::quantize_bytes(x.data(), n, depth, plain.data(), scales, zeros);
    avx2::quantize<false>(x.data(), n, depth, bytes.data(), scales + 1, zeros + 1);
    avx2::quantize<true>(x.data(), n, depth, wide.data(), scales + 2, zeros + 2);
    for (int i = 1; i < 3; ++i) {
      different += zeros[i] != zeros[0];
      different += std::isfinite(scales[0]) ? scales[i] != scales[0] : std::isfinite(scales[i]);
    }
    for (int64_t i = 0; i < n && std::isfinite(scales[0]); ++i) {
      int16_t value;
      std::memcpy(&value, &wide[i / 4 * 8 + i % 2 * 4 + i % 4 / 2 * 2], sizeof value);
      different += bytes[i] != plain[i];
      different += value != static_cast<uint8_t>(plain[i]);
    }
    for (int64_t i = 0; i < behind; ++i) {
      different += bytes[4 * depth + i] != 7;
      different += wide[8 * depth + i] != 7;
    }
  }
  std::printf("%d different, avx2: %d\n", different, native::cpu().avx2);
}
"""


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")
@pytest.mark.skipif("avx2" not in describe_host().flags, reason="this processor has no AVX2")
def test_rows_get_the_same_bytes_by_avx2_and_nothing_behind_them(tmp_path: Path) -> None:
    source, made = tmp_path / "main.cpp", tmp_path / "main"
    source.write_text(ROWS, encoding="utf-8")
    command = [str(compiler()), "-std=c++17", "-O2", "-I", str(OPERATORS)]
    subprocess.run([*command, "-o", str(made), str(source)], check=True)
    done = subprocess.run([str(made)], capture_output=True, text=True, check=True)
    assert done.stdout == "0 different, avx2: 1\n"


@pytest.mark.skipif(EMULATOR is None, reason="no qemu-aarch64 is here")
@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed")
@pytest.mark.parametrize(
    ("program", "said"),
    [
        (PRODUCTS, "0 different, dot products: 1\n"),
        (CONVOLUTIONS, "0 different, neon\n"),
        (ATTENTION, "0 different\n"),
        (HALVES, "0 different\n"),
    ],
)
def test_kernels_of_arm64_answer_as_plain_cpp(program: str, said: str, tmp_path: Path) -> None:
    source, made = tmp_path / "main.cpp", tmp_path / "main"
    source.write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-linux-musl", "-static"]
    command += ["-std=c++17", "-O2", "-I", str(OPERATORS), "-o", str(made), str(source)]
    subprocess.run(command, check=True)
    done = subprocess.run([str(EMULATOR), str(made)], capture_output=True, text=True, check=True)
    assert done.stdout == said
