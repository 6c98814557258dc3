// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

#include "device/cpu/attention.h"
#include "device/cpu/isa.h"
#include "device/cpu/pool.h"

namespace {

using tutti::Band;
using tutti::DType;
using namespace tutti::cpu;

struct Shape {
  int64_t b, n, n_kv, s, t, d;
  Band band = {};
  bool mask = false;
  bool interleaved = false;  // [b, s, n, d] instead of [b, n, s, d]
  DType dtype = DType::f32;
  int threads = 1;
  Isa isa = best_isa();
};

AttentionStrides strides(int64_t n, int64_t rows, int64_t d, bool interleaved) {
  if (interleaved) return {rows * n * d, d, n * d, 1};
  return {n * rows * d, rows * d, d, 1};
}

std::vector<uint8_t> numbers(int64_t count, DType dtype) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count) * size_of(dtype));
  for (int64_t i = 0; i < count; ++i) {
    if (dtype == DType::f32) {
      reinterpret_cast<float*>(bytes.data())[i] = static_cast<float>(i * 7919 % 2039) / 1024 - 1;
    } else {
      // Small numbers of either sign, whichever 16-bit type it is.
      reinterpret_cast<uint16_t*>(bytes.data())[i] =
          static_cast<uint16_t>(0x3800 + i * 7919 % 509 + (i % 2 << 15));
    }
  }
  return bytes;
}

// Pairs of a query and a key that it sees.
double seen(const Band& band, int64_t s, int64_t t) {
  int64_t pairs = 0;
  for (int64_t i = 0; i < s; ++i) pairs += band.keys(i, 1, t).end - band.keys(i, 1, t).begin;
  return static_cast<double>(pairs);
}

void run(benchmark::State& state, Shape shape) {
  const auto [b, n, n_kv, s, t, d, band, mask, interleaved, dtype, threads, isa] = shape;
  if (!is_supported(isa)) return state.SkipWithError("this machine lacks the instruction set");
  set_isa(isa);
  AttentionSpec spec{b, n, n_kv, s, t, d, d, dtype};
  spec.q = spec.out = strides(n, s, d, interleaved);
  spec.k = spec.v = strides(n_kv, t, d, interleaved);
  spec.scale = 1 / std::sqrt(static_cast<double>(d));
  spec.band = band;
  const std::vector<uint8_t> q = numbers(b * n * s * d, dtype);
  const std::vector<uint8_t> k = numbers(b * n_kv * t * d, dtype), v = k;
  std::vector<uint8_t> out(q.size());
  const std::vector<uint8_t> allowed(static_cast<size_t>(mask ? s * t : 0), 1);
  if (mask) spec.mask = AttentionSpec::Mask{DType::boolean, {0, 0, t, 1}};
  const Attention attention(spec);
  Pool pool(threads);
  std::vector<uint8_t> workspace(attention.workspace_bytes(threads));
  for (auto _ : state) {
    attention.execute({q.data(), k.data(), v.data(), allowed.data(), out.data()}, workspace.data(),
                      pool);
    benchmark::ClobberMemory();
  }
  const double flops = 4.0 * static_cast<double>(b * n * d) * seen(band, s, t);
  state.counters["GFLOP/s"] =
      benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  const double bytes = 2.0 * static_cast<double>(k.size());
  state.counters["kv GB/s"] =
      benchmark::Counter(bytes * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

const auto kF32 = DType::f32;

BENCHMARK_CAPTURE(run, tiny_12x12x16_n2, Shape{1, 2, 2, 12, 12, 16});
BENCHMARK_CAPTURE(run, square_88x24_n8, Shape{1, 8, 8, 88, 88, 24})->UseRealTime();
BENCHMARK_CAPTURE(run, square_256x64_n8, Shape{1, 8, 8, 256, 256, 64})->UseRealTime();
BENCHMARK_CAPTURE(run, square_1024x64, Shape{1, 1, 1, 1024, 1024, 64})->UseRealTime();
BENCHMARK_CAPTURE(run, square_1152x64_n16, Shape{1, 16, 16, 1152, 1152, 64})->UseRealTime();
BENCHMARK_CAPTURE(run, interleaved_1152x64_n16, Shape{1, 16, 16, 1152, 1152, 64, {}, false, true})
    ->UseRealTime();
BENCHMARK_CAPTURE(run, square_1088x24_n8, Shape{1, 8, 8, 1088, 1088, 24})->UseRealTime();
BENCHMARK_CAPTURE(run, interleaved_1088x24_n8, Shape{1, 8, 8, 1088, 1088, 24, {}, false, true})
    ->UseRealTime();
BENCHMARK_CAPTURE(run, square_1024x128, Shape{1, 1, 1, 1024, 1024, 128})->UseRealTime();
BENCHMARK_CAPTURE(run, square_1024x512, Shape{1, 1, 1, 1024, 1024, 512})->UseRealTime();
BENCHMARK_CAPTURE(run, cross_1024x77x64_n8, Shape{1, 8, 8, 1024, 77, 64})->UseRealTime();
BENCHMARK_CAPTURE(run, causal_1024x64_n4, Shape{1, 4, 4, 1024, 1024, 64, {-1, 0}})->UseRealTime();
BENCHMARK_CAPTURE(run, window_128_of_2048x64_n8, Shape{1, 8, 8, 2048, 2048, 64, {127, 0}})
    ->UseRealTime();
BENCHMARK_CAPTURE(run, masked_1024x64_n4, Shape{1, 4, 4, 1024, 1024, 64, {}, true})->UseRealTime();
BENCHMARK_CAPTURE(run, bf16_1024x64_n4,
                  Shape{1, 4, 4, 1024, 1024, 64, {}, false, false, DType::bf16})
    ->UseRealTime();
BENCHMARK_CAPTURE(run, f16_1088x24_n8, Shape{1, 8, 8, 1088, 1088, 24, {}, false, false, DType::f16})
    ->UseRealTime();
BENCHMARK_CAPTURE(run, decode_4096x64_n8, Shape{1, 8, 8, 1, 4096, 64})->UseRealTime();
BENCHMARK_CAPTURE(run, decode_4096x128_n32_kv8, Shape{1, 32, 8, 1, 4096, 128})->UseRealTime();
BENCHMARK_CAPTURE(run, decode_bf16_4096x128_n32_kv8,
                  Shape{1, 32, 8, 1, 4096, 128, {}, false, false, DType::bf16})
    ->UseRealTime();
BENCHMARK_CAPTURE(run, two_threads_1152x64_n16,
                  Shape{1, 16, 16, 1152, 1152, 64, {}, false, false, kF32, 2})
    ->UseRealTime();
BENCHMARK_CAPTURE(run, two_threads_decode_4096x64_n8,
                  Shape{1, 8, 8, 1, 4096, 64, {}, false, false, kF32, 2})
    ->UseRealTime();

BENCHMARK_CAPTURE(run, avx2_1152x64_n16,
                  Shape{1, 16, 16, 1152, 1152, 64, {}, false, false, kF32, 1, Isa::avx2})
    ->UseRealTime();
BENCHMARK_CAPTURE(run, portable_1152x64_n16,
                  Shape{1, 16, 16, 1152, 1152, 64, {}, false, false, kF32, 1, Isa::portable})
    ->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
