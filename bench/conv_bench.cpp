// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

#include <vector>

#include "device/cpu/conv.h"
#include "device/cpu/isa.h"
#include "device/cpu/packed_matrix.h"
#include "device/cpu/pool.h"

namespace {

using tutti::DType;
using namespace tutti::cpu;

struct Shape {
  int64_t in, out, size, kernel;  // square images and kernels, as large after as before
  int64_t stride = 1;
  int64_t groups = 1;
  bool transposed = false;
  bool direct = false;  // not by Winograd's algorithm, where that would pay
  bool finish = false;  // with bias, silu and residual
  int threads = 1;
  Isa isa = best_isa();
};

std::vector<float> numbers(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    values[static_cast<size_t>(i)] = static_cast<float>(i * 7919 % 2039) / 1024 - 1;
  return values;
}

ImageLayout images(int64_t channels, const Spatial& size) {
  return {DType::f32, channels * size[1] * size[2], size[1] * size[2], {0, size[2], 1}};
}

ConvProblem problem_of(const Shape& s) {
  ConvProblem p;
  p.groups = s.groups;
  p.in_channels = s.in;
  p.out_channels = s.out;
  p.in_size = {1, s.size, s.size};
  p.kernel = {1, s.kernel, s.kernel};
  p.stride = {1, s.stride, s.stride};
  p.transposed = s.transposed;
  const int64_t after = s.transposed ? s.size * s.stride : s.size / s.stride;
  p.out_size = {1, after, after};
  const int64_t padding = s.kernel == s.stride ? 0 : (s.kernel - 1) / 2;
  p.padding = {0, padding, padding};
  p.input = images(s.in, p.in_size);
  p.output = images(s.out, p.out_size);
  const int64_t taps = s.kernel * s.kernel;
  p.weight_strides = {(s.transposed ? s.out : s.in) / s.groups * taps, taps};
  p.winograd = !s.direct && winograd_pays(p);
  if (s.finish) {
    p.post_ops = {{PostOp::add(0, {}), {DType::f32, 0, 1, {}}},
                  {PostOp::apply(Unary::silu), {}},
                  {PostOp::add(1, {}), p.output}};
  }
  return p;
}

void run(benchmark::State& state, Shape shape) {
  if (!is_supported(shape.isa))
    return state.SkipWithError("this machine lacks the instruction set");
  const ConvProblem p = problem_of(shape);
  const std::vector<float> x = numbers(p.input.image_stride),
                           other = numbers(p.output.image_stride);
  std::vector<float> w = numbers(shape.in * shape.out / shape.groups * shape.kernel * shape.kernel);
  std::vector<float> y(other.size());
  if (p.winograd) {
    std::vector<float> matrix(static_cast<size_t>(16 * shape.in * shape.out));
    winograd_weights(w.data(), DType::f32, shape.out, shape.in, matrix.data());
    const PackedLayout layout = PackedLayout::of(shape.isa, DType::f32);
    w.resize(static_cast<size_t>(layout.elements(16 * shape.in, shape.out)));
    pack_matrix(layout, 16 * shape.in, shape.out, matrix.data(), {DType::f32, shape.out, 1, {}},
                w.data());
  }
  const Conv conv(p, shape.threads, shape.isa);
  Pool pool(shape.threads);
  std::vector<char> workspace(conv.workspace_bytes() + 64);
  const auto address = reinterpret_cast<uintptr_t>(workspace.data());
  const void* operands[] = {other.data(), other.data()};
  for (auto _ : state) {
    conv.run({x.data(), w.data(), y.data(), operands}, workspace.data() + (64 - address % 64) % 64,
             pool);
    benchmark::ClobberMemory();
  }
  const int64_t pixels = p.transposed ? shape.size * shape.size : p.out_size[1] * p.out_size[2];
  const double flops = 2.0 * static_cast<double>(shape.in * shape.out / shape.groups *
                                                 shape.kernel * shape.kernel * pixels);
  state.counters["GFLOP/s"] =
      benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

Shape direct(Shape shape) {
  shape.direct = true;
  return shape;
}
Shape finished(Shape shape) {
  shape.finish = true;
  return shape;
}
Shape threads(int count, Shape shape) {
  shape.threads = count;
  return shape;
}
Shape on(Isa isa, Shape shape) {
  shape.isa = isa;
  return shape;
}

constexpr auto kTransposed = true;

BENCHMARK_CAPTURE(run, c64_8x8, Shape{64, 64, 8, 3});
BENCHMARK_CAPTURE(run, c64_8x8_finished, finished(Shape{64, 64, 8, 3}));
BENCHMARK_CAPTURE(run, c64_8x8_direct, direct(Shape{64, 64, 8, 3}));
BENCHMARK_CAPTURE(run, c64_16x16, Shape{64, 64, 16, 3});
BENCHMARK_CAPTURE(run, c64_16x16_direct, direct(Shape{64, 64, 16, 3}));
BENCHMARK_CAPTURE(run, c64_64x64, Shape{64, 64, 64, 3});
BENCHMARK_CAPTURE(run, c32_512x512, Shape{32, 32, 512, 3});
BENCHMARK_CAPTURE(run, c32_512x512_direct, direct(Shape{32, 32, 512, 3}));
BENCHMARK_CAPTURE(run, c128_256x256, Shape{128, 128, 256, 3});
BENCHMARK_CAPTURE(run, c128_256x256_direct, direct(Shape{128, 128, 256, 3}));
BENCHMARK_CAPTURE(run, c320_64x64, Shape{320, 320, 64, 3});
BENCHMARK_CAPTURE(run, c320_64x64_direct, direct(Shape{320, 320, 64, 3}));
BENCHMARK_CAPTURE(run, c512_64x64, Shape{512, 512, 64, 3});
BENCHMARK_CAPTURE(run, c512_64x64_direct, direct(Shape{512, 512, 64, 3}));
BENCHMARK_CAPTURE(run, c512_7x7, Shape{512, 512, 7, 3});
BENCHMARK_CAPTURE(run, c512_64x64_point, Shape{512, 512, 64, 1});
BENCHMARK_CAPTURE(run, c32_to_3_256x256, Shape{32, 3, 256, 3});
BENCHMARK_CAPTURE(run, c128_128x128_stride2, Shape{128, 128, 128, 3, 2});
BENCHMARK_CAPTURE(run, patches16_512x512, Shape{3, 1152, 512, 16, 16});
BENCHMARK_CAPTURE(run, first_224x224_7x7_stride2, Shape{3, 64, 224, 7, 2});
BENCHMARK_CAPTURE(run, depthwise_c256_56x56, Shape{256, 256, 56, 3, 1, 256});
BENCHMARK_CAPTURE(run, depthwise_c256_56x56_stride2, Shape{256, 256, 56, 3, 2, 256});
BENCHMARK_CAPTURE(run, groups4_c256_32x32, Shape{256, 256, 32, 3, 1, 4});
BENCHMARK_CAPTURE(run, transposed_2x2_c256_32x32, Shape{256, 128, 32, 2, 2, 1, kTransposed});
BENCHMARK_CAPTURE(run, transposed_4x4_c256_32x32, Shape{256, 128, 32, 4, 2, 1, kTransposed});
BENCHMARK_CAPTURE(run, avx2_c64_64x64, on(Isa::avx2, Shape{64, 64, 64, 3}));
BENCHMARK_CAPTURE(run, avx2_c320_64x64_direct, on(Isa::avx2, direct(Shape{320, 320, 64, 3})));
BENCHMARK_CAPTURE(run, portable_c64_64x64, on(Isa::portable, Shape{64, 64, 64, 3}));
BENCHMARK_CAPTURE(run, two_threads_c64_8x8, threads(2, Shape{64, 64, 8, 3}))->UseRealTime();
BENCHMARK_CAPTURE(run, two_threads_c320_64x64, threads(2, Shape{320, 320, 64, 3}))->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
