// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/conv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "device/cpu/dnnl_conv.h"
#include "device/cpu/dnnl_matmul.h"
#include "device/cpu/gemm_reference_test.h"
#include "device/cpu/packed_matrix.h"

namespace tutti::cpu {
namespace {

using Bytes = std::vector<unsigned char>;

std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (int i = 0; i < kIsaCount; ++i)
    if (is_supported(static_cast<Isa>(i))) all.push_back(static_cast<Isa>(i));
  return all;
}

int64_t volume(const Spatial& size) { return size[0] * size[1] * size[2]; }

/// Images one after the other, channels first; or with the channels of a pixel beside each other.
ImageLayout dense(DType dtype, int64_t channels, const Spatial& size, bool channels_last = false) {
  if (channels_last) {
    return {dtype,
            volume(size) * channels,
            1,
            {size[1] * size[2] * channels, size[2] * channels, channels}};
  }
  return {dtype, volume(size) * channels, volume(size), {size[1] * size[2], size[2], 1}};
}

/// A problem with dense layouts, whose output is as large as `padding_after` makes it.
ConvProblem make_problem(int64_t images, int64_t groups, int64_t in, int64_t out, Spatial size,
                         Spatial kernel, Spatial stride = {1, 1, 1}, Spatial padding = {0, 0, 0},
                         Spatial dilation = {1, 1, 1}, Spatial padding_after = {0, 0, 0},
                         bool transposed = false, DType dtype = DType::f32) {
  ConvProblem p{images, groups, in, out, size, {}, kernel, stride, padding, dilation, transposed};
  for (size_t d = 0; d < 3; ++d) {
    const int64_t reach = dilation[d] * (kernel[d] - 1) + 1;
    const int64_t pad = padding[d] + padding_after[d];
    p.out_size[d] = transposed ? (size[d] - 1) * stride[d] + reach - pad
                               : (size[d] + pad - reach) / stride[d] + 1;
  }
  p.input = dense(dtype, in, size);
  p.output = dense(dtype, out, p.out_size);
  p.weight_dtype = dtype;
  const int64_t taps = volume(kernel);
  p.weight_strides = {(transposed ? out : in) / groups * taps, taps};
  return p;
}

int64_t offset(const ImageLayout& layout, int64_t image, int64_t channel, const Spatial& at) {
  int64_t offset = image * layout.image_stride + channel * layout.channel_stride;
  for (size_t d = 0; d < 3; ++d) offset += at[d] * layout.spatial_strides[d];
  return offset;
}

template <class F>
void each_position(const Spatial& size, const F& f) {
  Spatial at;
  for (at[0] = 0; at[0] < size[0]; ++at[0])
    for (at[1] = 0; at[1] < size[1]; ++at[1])
      for (at[2] = 0; at[2] < size[2]; ++at[2]) f(at);
}

/// Elements a layout spans.
int64_t span_of(const ImageLayout& layout, int64_t images, int64_t channels, const Spatial& size) {
  if (images * channels * volume(size) == 0) return 1;
  return offset(layout, images - 1, channels - 1, {size[0] - 1, size[1] - 1, size[2] - 1}) + 1;
}

/// The sum for one element of the output, from the definition: input i and tap k meet in output o
/// where o * stride + k * dilation - padding == i, transposed: i * stride + k * dilation - padding
/// == o.
double sum_at(const ConvProblem& p, const Bytes& x, const Bytes& w, int64_t image, int64_t o,
              const Spatial& at) {
  const int64_t in = p.in_channels / p.groups, out = p.out_channels / p.groups;
  const int64_t group = o / out;
  double sum = 0;
  for (int64_t c = group * in; c < (group + 1) * in; ++c) {
    int64_t tap = p.transposed ? c * p.weight_strides[0] + o % out * p.weight_strides[1]
                               : o * p.weight_strides[0] + c % in * p.weight_strides[1];
    each_position(p.kernel, [&](const Spatial& k) {
      Spatial from;
      bool inside = true;
      for (size_t d = 0; d < 3; ++d) {
        if (p.transposed) {
          const int64_t distance = at[d] + p.padding[d] - k[d] * p.dilation[d];
          inside = inside && distance >= 0 && distance % p.stride[d] == 0;
          from[d] = distance / p.stride[d];
        } else {
          from[d] = at[d] * p.stride[d] + k[d] * p.dilation[d] - p.padding[d];
        }
        inside = inside && from[d] >= 0 && from[d] < p.in_size[d];
      }
      if (inside) {
        sum += reference::read(x.data(), p.input.dtype, offset(p.input, image, c, from)) *
               reference::read(w.data(), p.weight_dtype, tap);
      }
      ++tap;
    });
  }
  return sum;
}

/// What is stored for a sum.
double finish(const ConvProblem& p, const std::vector<Bytes>& operands, int64_t image, int64_t o,
              const Spatial& at, double x) {
  for (const ConvPostOp& step : p.post_ops) {
    const auto operand = [&] {
      return reference::read(operands[static_cast<size_t>(step.op.operand)].data(),
                             step.operand.dtype, offset(step.operand, image, o, at));
    };
    if (step.op.kind == PostOp::Kind::add) x += operand();
    if (step.op.kind == PostOp::Kind::multiply) x *= operand();
    if (step.op.kind == PostOp::Kind::scale) x *= static_cast<double>(step.op.factor);
    if (step.op.kind == PostOp::Kind::unary) x = reference::unary(step.op.unary, x);
    if (step.op.kind == PostOp::Kind::round)
      x = static_cast<double>(static_cast<float>(bf16(static_cast<float>(x))));
  }
  return x;
}

double tolerance(const ConvProblem& p) {
  if (p.output.dtype == DType::bf16) return 1.0 / 128;
  if (p.output.dtype == DType::f16) return 1.0 / 1024;
  return 2e-7 * static_cast<double>(20 + p.in_channels / p.groups * volume(p.kernel));
}

/// Weights as the problem wants them.
Bytes pack(const ConvProblem& p, Isa isa, const Bytes& weights) {
  if (!p.winograd) return weights;
  const int64_t c = p.in_channels, o = p.out_channels;
  std::vector<float> matrix(static_cast<size_t>(16 * c * o));
  winograd_weights(weights.data(), p.weight_dtype, o, c, matrix.data());
  const PackedLayout layout = PackedLayout::of(isa, DType::f32);
  Bytes packed(layout.bytes(16 * c, o));
  pack_matrix(layout, 16 * c, o, matrix.data(), {DType::f32, o, 1, {}}, packed.data());
  return packed;
}

/// The memory of a problem with random contents.
class Fixture {
 public:
  Fixture(const ConvProblem& problem, bool rough) : p_(problem) {
    const ConvProblem& p = p_;
    x_ = reference::random_array(p.input.dtype,
                                 span_of(p.input, p.images, p.in_channels, p.in_size), 1, rough);
    const int64_t weights = p.in_channels * (p.out_channels / p.groups) * volume(p.kernel);
    w_ = reference::random_array(p.weight_dtype, weights, 2, rough);
    for (const ConvPostOp& step : p.post_ops) {
      if (step.op.kind != PostOp::Kind::add && step.op.kind != PostOp::Kind::multiply) continue;
      const size_t at = static_cast<size_t>(step.op.operand);
      operands_[at] = reference::random_array(
          step.operand.dtype, span_of(step.operand, p.images, p.out_channels, p.out_size),
          static_cast<unsigned>(3 + at));
    }
    before_ = reference::random_array(
        p.output.dtype, span_of(p.output, p.images, p.out_channels, p.out_size) + 7, 99);
  }

  /// The output of a run with weights packed for `isa`.
  template <class C>
  Bytes run(C& conv, int threads, Isa isa) const {
    const Bytes packed = pack(p_, isa, w_);
    Pool pool(threads);
    Bytes y = before_, workspace(conv.workspace_bytes() + 64, 0xff);
    const void* pointers[kMaxPostOps];
    for (size_t i = 0; i < kMaxPostOps; ++i) pointers[i] = operands_[i].data();
    conv.run({x_.data(), packed.data(), y.data(), pointers}, workspace.data(), pool);
    for (size_t i = 0; i < 64; ++i) EXPECT_EQ(workspace[conv.workspace_bytes() + i], 0xff);
    return y;
  }

  /// Every element of the output is right, every byte beside them untouched.
  void check(const Bytes& y) const {
    const ConvProblem& p = p_;
    Bytes wanted = before_;
    for (int64_t image = 0; image < p.images; ++image)
      for (int64_t o = 0; o < p.out_channels; ++o)
        each_position(p.out_size, [&](const Spatial& at) {
          const double value = finish(p, operands_, image, o, at, sum_at(p, x_, w_, image, o, at));
          const int64_t to = offset(p.output, image, o, at);
          ASSERT_NEAR(reference::read(y.data(), p.output.dtype, to), value,
                      tolerance(p) * std::max(1.0, std::abs(value)))
              << "image " << image << ", channel " << o << ", pixel " << at[0] << " " << at[1]
              << " " << at[2];
          const size_t bytes = size_of(p.output.dtype);
          std::memcpy(wanted.data() + static_cast<size_t>(to) * bytes,
                      y.data() + static_cast<size_t>(to) * bytes, bytes);
        });
    EXPECT_TRUE(wanted == y) << "memory beside the output was written";
  }

 private:
  ConvProblem p_;
  Bytes x_, w_, before_;
  std::vector<Bytes> operands_ = std::vector<Bytes>(kMaxPostOps);
};

int taken_by_onednn = 0;

/// Runs the problem on every instruction set with 1 and 3 threads, which change no bit; and by
/// oneDNN, where that takes it.
void expect_right(const ConvProblem& p, bool rough = true) {
  const Fixture fixture(p, rough);
  for (Isa isa : isas()) {
    SCOPED_TRACE(to_string(isa));
    const Conv one(p, 1, isa), three(p, 3, isa);
    const Bytes y = fixture.run(one, 1, isa);
    EXPECT_TRUE(y == fixture.run(three, 3, isa)) << "threads change the result";
    fixture.check(y);
  }
  for (int threads : {1, 3}) {
    auto conv = DnnlConv::prepare(p, threads);
    if (!conv) continue;
    ++taken_by_onednn;
    SCOPED_TRACE("oneDNN");
    fixture.check(fixture.run(*conv, threads, best_isa()));
    fixture.check(fixture.run(*conv, threads, best_isa()));
  }
}

TEST(CpuConv, IsTakenByOneDnnWhereThatIsBuiltIn) {
  taken_by_onednn = 0;
  expect_right(make_problem(2, 1, 5, 40, {1, 7, 9}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}));
  EXPECT_EQ(taken_by_onednn, dnnl_version_text().empty() ? 0 : 2);
}

ConvPostOp bias(int operand, DType dtype = DType::f32) {
  return {PostOp::add(operand, {}), {dtype, 0, 1, {0, 0, 0}}};
}

TEST(CpuConv, ComputesPointsAndLines) {
  expect_right(make_problem(2, 1, 5, 7, {1, 1, 150}, {1, 1, 5}, {1, 1, 1}, {0, 0, 2}));
  expect_right(make_problem(2, 1, 3, 4, {1, 1, 97}, {1, 1, 4}, {1, 1, 3}, {0, 0, 1}, {1, 1, 2}));
  expect_right(make_problem(3, 1, 20, 33, {1, 5, 7}, {1, 1, 1}));
  expect_right(make_problem(1, 1, 70, 29, {1, 9, 13}, {1, 1, 1}, {1, 2, 2}));
  expect_right(make_problem(1, 1, 600, 3, {1, 1, 1}, {1, 1, 1}));
}

TEST(CpuConv, ComputesImages) {
  expect_right(make_problem(2, 1, 5, 6, {1, 7, 9}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}));
  expect_right(make_problem(1, 1, 16, 40, {1, 16, 16}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1},
                            {0, 1, 1}));
  expect_right(make_problem(1, 1, 8, 30, {1, 40, 70}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1},
                            {0, 1, 1}));
  expect_right(make_problem(2, 1, 9, 17, {1, 15, 11}, {1, 3, 5}, {1, 2, 3}, {0, 2, 0}, {1, 2, 1},
                            {0, 0, 4}));
  expect_right(make_problem(1, 1, 3, 20, {1, 32, 32}, {1, 16, 16}, {1, 16, 16}));
  expect_right(make_problem(1, 1, 130, 5, {1, 6, 6}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}));
}

TEST(CpuConv, ComputesVolumes) {
  expect_right(
      make_problem(2, 1, 4, 6, {4, 5, 6}, {2, 3, 3}, {1, 2, 1}, {1, 0, 2}, {1, 1, 2}, {0, 1, 2}));
  expect_right(
      make_problem(1, 1, 7, 15, {3, 9, 40}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}));
}

TEST(CpuConv, SplitsChannelsIntoGroups) {
  expect_right(make_problem(2, 3, 6, 9, {1, 5, 4}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}));
  expect_right(make_problem(1, 2, 34, 70, {1, 8, 9}, {1, 3, 3}, {1, 1, 2}, {0, 1, 1}));
}

TEST(CpuConv, ComputesDepthwise) {
  expect_right(make_problem(2, 6, 6, 6, {1, 5, 40}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}));
  expect_right(make_problem(1, 5, 5, 15, {3, 7, 90}, {2, 3, 5}, {1, 2, 2}, {1, 1, 2}, {1, 1, 3}));
  ConvProblem p = make_problem(2, 4, 4, 4, {1, 1, 70}, {1, 1, 4}, {1, 1, 1}, {0, 0, 3});
  p.post_ops = {bias(0), {PostOp::apply(Unary::silu), {}}};
  expect_right(p);
  expect_right(make_problem(1, 3, 3, 6, {1, 5, 9}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1},
                            {0, 1, 1}, false, DType::bf16));
}

TEST(CpuConv, ComputesTransposed) {
  const auto transposed = [](int64_t groups, int64_t in, int64_t out, Spatial size, Spatial kernel,
                             Spatial stride, Spatial padding, Spatial dilation, Spatial after) {
    return make_problem(2, groups, in, out, size, kernel, stride, padding, dilation, after, true);
  };
  expect_right(transposed(1, 3, 4, {1, 1, 9}, {1, 1, 4}, {1, 1, 2}, {0, 0, 1}, {1, 1, 1}, {}));
  expect_right(
      transposed(1, 17, 33, {1, 6, 9}, {1, 4, 4}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}, {0, 1, 1}));
  expect_right(
      transposed(2, 4, 6, {1, 3, 5}, {1, 2, 3}, {1, 2, 3}, {0, 1, 0}, {1, 1, 2}, {0, -1, 0}));
  expect_right(
      transposed(1, 2, 3, {2, 3, 4}, {1, 3, 3}, {1, 2, 1}, {0, 1, 1}, {1, 1, 1}, {0, 0, 1}));
  // Pixels that no tap reaches.
  expect_right(
      transposed(1, 5, 6, {1, 4, 4}, {1, 1, 2}, {1, 3, 3}, {0, 0, 0}, {1, 1, 1}, {0, -2, -1}));
}

TEST(CpuConv, StoresLinesWithGaps) {
  for (const bool transposed : {false, true}) {
    ConvProblem p = make_problem(2, 2, 6, 20, {2, 7, 9}, {2, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1},
                                 {0, 1, 1}, transposed);
    p.output.spatial_strides[1] += 3;
    p.output.spatial_strides[0] = (p.out_size[1] + 1) * p.output.spatial_strides[1];
    p.output.channel_stride = p.out_size[0] * p.output.spatial_strides[0];
    p.output.image_stride = 20 * p.output.channel_stride;
    p.post_ops = {bias(0), {PostOp::add(1, {}), {DType::f32, 0, 0, p.output.spatial_strides}}};
    expect_right(p);
    if (transposed) continue;
    p.groups = p.in_channels;
    p.out_channels = 18;
    p.weight_strides = {18, 18};
    expect_right(p);
  }
}

TEST(CpuConv, ComputesWinograd) {
  const auto winograd = [](int64_t images, int64_t in, int64_t out, Spatial size, Spatial padding,
                           Spatial after) {
    ConvProblem p =
        make_problem(images, 1, in, out, size, {1, 3, 3}, {1, 1, 1}, padding, {1, 1, 1}, after);
    p.winograd = true;
    return p;
  };
  expect_right(winograd(1, 64, 64, {1, 8, 8}, {0, 1, 1}, {0, 1, 1}));
  expect_right(winograd(2, 16, 16, {1, 7, 9}, {0, 1, 1}, {0, 1, 1}));
  expect_right(winograd(1, 19, 45, {1, 12, 37}, {0, 0, 2}, {0, 1, 0}));
  expect_right(winograd(1, 5, 3, {1, 5, 5}, {0, 2, 0}, {0, 1, 3}));
  expect_right(winograd(1, 16, 33, {1, 6, 300}, {0, 1, 1}, {0, 1, 1}));
  expect_right(winograd(1, 24, 70, {1, 60, 20}, {0, 1, 1}, {0, 1, 1}));
}

TEST(CpuConv, FinishesWinogradsTilesAsAnyOthers) {
  ConvProblem p =
      make_problem(2, 1, 20, 35, {1, 7, 11}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, {0, 1, 1});
  p.winograd = true;
  p.post_ops = {bias(0),
                {PostOp::add(1, {}), dense(DType::f32, 35, p.out_size)},
                {PostOp::apply(Unary::silu), {}}};
  expect_right(p);
  p.output.spatial_strides[1] += 3;  // lines with gaps
  p.output.channel_stride += 21;
  p.output.image_stride = 36 * p.output.channel_stride;
  expect_right(p);
  p.output = dense(DType::f32, 35, p.out_size, true);
  p.input = dense(DType::f32, 20, p.in_size, true);
  expect_right(p);
}

TEST(CpuConv, RunsPostOpsInOrder) {
  ConvProblem p =
      make_problem(2, 1, 6, 20, {1, 7, 9}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, {0, 1, 1});
  p.post_ops = {bias(0),
                {PostOp::round(DType::bf16), {}},
                {PostOp::add(1, {}), dense(DType::bf16, 20, p.out_size, true)},
                {PostOp::apply(Unary::gelu_tanh), {}},
                {PostOp::scale(0.5F), {}},
                {PostOp::multiply(2, {}), {DType::f32, 1, 2, {0, 0, 0}}}};
  p.output = dense(DType::bf16, 20, p.out_size);
  expect_right(p, false);
  p = make_problem(2, 2, 6, 8, {1, 4, 5}, {1, 4, 4}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}, {0, 1, 1},
                   true);
  p.post_ops = {bias(0), {PostOp::add(1, {}), dense(DType::f32, 8, p.out_size)}};
  expect_right(p);
}

TEST(CpuConv, ComputesEveryType) {
  for (DType dtype : {DType::bf16, DType::f16}) {
    ConvProblem p = make_problem(1, 1, 20, 24, {1, 9, 10}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1},
                                 {1, 1, 1}, {0, 1, 1}, false, dtype);
    p.post_ops = {bias(0, dtype)};
    expect_right(p, false);
    p.winograd = true;
    expect_right(p, false);
    expect_right(
        make_problem(1, 1, 20, 6, {1, 5, 4}, {1, 1, 1}, {1, 1, 1}, {}, {1, 1, 1}, {}, false, dtype),
        false);
    expect_right(make_problem(1, 1, 6, 5, {1, 5, 4}, {1, 4, 4}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1},
                              {0, 1, 1}, true, dtype),
                 false);
  }
}

TEST(CpuConv, ReadsAndWritesImagesWithTheirChannelsBesideEachOther) {
  ConvProblem p = make_problem(2, 1, 6, 20, {1, 7, 9}, {1, 3, 3}, {1, 2, 1}, {0, 1, 1});
  p.input = dense(DType::f32, 6, p.in_size, true);
  p.output = dense(DType::f32, 20, p.out_size, true);
  expect_right(p);
  p = make_problem(2, 1, 6, 20, {1, 7, 9}, {1, 1, 1});
  p.input = dense(DType::f32, 6, p.in_size, true);
  p.output = dense(DType::f32, 20, p.out_size, true);
  expect_right(p);
}

TEST(CpuConv, TurnsWinogradsWeightsBack) {
  const Bytes w = reference::random_array(DType::f32, int64_t{5} * 3 * 9, 1, true);
  std::vector<float> matrix(16 * 3 * 5), back(5 * 3 * 9);
  winograd_weights(w.data(), DType::f32, 5, 3, matrix.data());
  winograd_weights_back(matrix.data(), 5, 3, back.data());
  for (size_t i = 0; i < back.size(); ++i) {
    EXPECT_NEAR(back[i], reference::read(w.data(), DType::f32, static_cast<int64_t>(i)), 1e-6);
  }
}

TEST(CpuConv, LeavesToWinogradWhatItCanDoAndGainsFrom) {
  const ConvProblem p =
      make_problem(1, 1, 64, 64, {1, 8, 8}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, {0, 1, 1});
  EXPECT_TRUE(winograd_pays(p));
  const auto with = [&](auto change) {
    ConvProblem other = p;
    change(other);
    return winograd_pays(other);
  };
  EXPECT_FALSE(with([](ConvProblem& q) { q.stride[1] = 2; }));
  EXPECT_FALSE(with([](ConvProblem& q) { q.dilation[2] = 2; }));
  EXPECT_FALSE(with([](ConvProblem& q) { q.groups = 2; }));
  EXPECT_FALSE(with([](ConvProblem& q) { q.kernel[2] = 5; }));
  EXPECT_FALSE(with([](ConvProblem& q) { q.transposed = true; }));
  EXPECT_FALSE(with([](ConvProblem& q) { q.out_channels = 3; }));
  EXPECT_FALSE(with([](ConvProblem& q) { q.out_size = {1, 1, 8}; }));
  EXPECT_FALSE(with([](ConvProblem& q) { q.in_size[0] = q.out_size[0] = 2; }));
}

TEST(CpuConv, AcceptsNothingAndRefusesWhatDoesNotFit) {
  expect_right(make_problem(0, 1, 3, 4, {1, 5, 5}, {1, 3, 3}));
  ConvProblem p = make_problem(1, 1, 3, 4, {1, 5, 5}, {1, 3, 3});
  p.groups = 2;
  EXPECT_THROW(Conv(p, 1), Error);
  EXPECT_THROW(Conv(make_problem(1, 1, 3, 4, {1, 5, 5}, {1, 3, 3}), 0), Error);
  const Conv conv(make_problem(1, 2, 2, 2, {1, 5, 5}, {1, 3, 3}), 1);
  Pool pool(2);
  const std::vector<float> numbers(100);
  std::vector<float> y(100);
  EXPECT_THROW(conv.run({numbers.data(), numbers.data(), y.data(), nullptr}, nullptr, pool), Error);
}

}  // namespace
}  // namespace tutti::cpu
