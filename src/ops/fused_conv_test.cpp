// SPDX-License-Identifier: Apache-2.0
#include "ops/fused_conv.h"

#include "device/cpu/packed_matrix.h"
#include "ops/all.h"
#include "ops/conv_kernel.h"
#include "ops/fused_matmul.h"
#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

using Kind = EpilogueStep::Kind;

FusedConv fused(const Conv& conv, Epilogue steps = {}) { return {conv, {std::move(steps)}, {}, 0}; }

const Conv kSame{{1, 1}, {1, 1}, {1, 1}, {1, 1}};

// The same with packed weights, and those.
std::pair<FusedConv, Tensor> pack(FusedConv op, const Tensor& w, cpu::Isa isa) {
  op.packed = to_string(cpu::PackedLayout::of(isa, DType::f32));
  op.outputs = w.shape[0];
  const Tensor matrix = run_op(WinogradWeights{}, {w})[0];
  return {op, run_op(PackMatrix{op.packed}, {matrix})[0]};
}

// Runs the implementation of this name, or says that there is none for these operands.
std::optional<Tensor> run_kernel(const Op& op, const std::vector<Tensor>& in, int layout,
                                 std::string_view name) {
  std::vector<TensorType> types;
  for (const Tensor& t : in) types.push_back({t.dtype, to_shape(t.shape)});
  const TensorType type = op.infer(types)[0];
  const Tensor y = in_layout(Tensor::zeros(type.dtype, constant_dims(type.shape)), layout);
  const auto [kernel, found] =
      prepare_kernel({op, in, std::span(&y, 1), 2}, name == "plain" ? "" : name);
  if (found != name) return std::nullopt;
  std::vector<char> workspace(kernel->workspace() + 64);
  cpu::Pool pool(2);
  const auto address = reinterpret_cast<uintptr_t>(workspace.data());
  kernel->run({in, std::span(&y, 1), workspace.data() + (64 - address % 64) % 64, pool});
  return y;
}

// Compares the own kernel with the plain implementation in all layouts, and oneDNN in those that it
// takes.
void expect_own(const FusedConv& op, const std::vector<Tensor>& in, double tolerance = 1e-5) {
  int taken = 0;
  for (int layout = 0; layout < kLayouts; ++layout) {
    std::vector<Tensor> relaid{in_layout(in[0], layout), in[1]};
    for (size_t i = 2; i < in.size(); ++i) relaid.push_back(in_layout(in[i], layout));
    const auto y = run_kernel(op, relaid, (layout + 1) % kLayouts, "own");
    taken += y.has_value();
    if (y) expect_values(*y, values_of(run_op(op, in)[0]), tolerance);
    const auto other = run_kernel(op, relaid, layout, "onednn");
    if (other) expect_values(*other, values_of(run_op(op, in)[0]), tolerance);
  }
  EXPECT_EQ(taken, kLayouts);
}

TEST(FusedConv, IsAConvolutionAndStepsOnItsSums) {
  const Tensor x = random_tensor(DType::f32, {2, 4, 5, 6}, 1);
  const Tensor w = random_tensor(DType::f32, {3, 4, 3, 3}, 2);
  const Tensor bias = random_tensor(DType::f32, {3, 1, 1}, 3);
  const Tensor other = random_tensor(DType::f32, {2, 3, 5, 6}, 4);
  const FusedConv op = fused(kSame, {{Kind::add, 2}, {Kind::unary}, {Kind::mul, 3}});
  Values wanted = values_of(run_op(kSame, {x, w})[0]);
  const Values biases = values_of(bias), factors = values_of(other);
  for (size_t i = 0; i < wanted.size(); ++i)
    wanted[i] = std::max(wanted[i] + biases[i / 30 % 3], 0.0) * factors[i];
  expect_in_all_layouts(op, {x, w, bias, other}, wanted, 1e-5);
  const auto [packed, matrix] = pack(op, w, cpu::Isa::portable);
  expect_in_all_layouts(packed, {x, matrix, bias, other}, wanted, 1e-5);
}

TEST(FusedConv, RoundsWhereItsStepsSay) {
  const Tensor x = tensor_of(DType::bf16, {1, 2, 1}, {1, 0x1p-9});
  const Tensor w = tensor_of(DType::bf16, {1, 2, 1}, {1, 1});
  const Tensor bias = tensor_of(DType::bf16, {1, 1}, {0x1p-9});
  const Conv line{{1}, {0}, {0}, {1}};
  expect_values(run_op(fused(line, {{Kind::add, 2}}), {x, w, bias})[0], {1});
  const Tensor more = tensor_of(DType::bf16, {1, 1}, {0x1p-8});
  expect_values(run_op(fused(line, {{Kind::add, 2}}), {x, w, more})[0], {1 + 0x1p-7});
  expect_values(run_op(fused(line, {{Kind::round}, {Kind::add, 2}}), {x, w, more})[0], {1});
}

TEST(FusedConv, OwnKernelEqualsThePlainOne) {
  const Tensor x = random_tensor(DType::f32, {2, 6, 9, 10}, 1);
  const auto w = [](const Dims& shape) { return random_tensor(DType::f32, shape, 2); };
  const Tensor bias = random_tensor(DType::f32, {8, 1, 1}, 3);
  const Epilogue add{{Kind::add, 2}};
  expect_own(fused(kSame, add), {x, w({8, 6, 3, 3}), bias});
  expect_own(fused({{2, 1}, {0, 2}, {1, 1}, {1, 2}, 2}, add), {x, w({8, 3, 3, 3}), bias});
  expect_own(fused({{2, 2}, {1, 1}, {1, 1}, {1, 1}, 2, true, {1, 0}}, add),
             {x, w({6, 4, 4, 4}), bias});
  expect_own(fused({{1, 1}, {1, 1}, {1, 1}, {1, 1}, 6}), {x, w({6, 1, 3, 3})});
  expect_own(fused({{1}, {1}, {1}, {1}}), {random_tensor(DType::f32, {2, 3, 30}, 4), w({5, 3, 3})});
  expect_own(fused({{1, 2, 1}, {1, 0, 1}, {0, 0, 1}, {1, 1, 1}}),
             {random_tensor(DType::f32, {1, 3, 4, 5, 6}, 4), w({5, 3, 2, 2, 3})});
}

TEST(FusedConv, OwnKernelTakesPackedWeights) {
  const Tensor w = random_tensor(DType::f32, {20, 18, 3, 3}, 2);
  const Tensor x = random_tensor(DType::f32, {2, 18, 7, 10}, 1);
  const Tensor other = random_tensor(DType::f32, {2, 20, 7, 10}, 3);
  const auto [op, matrix] = pack(fused(kSame, {{Kind::add, 2}}), w, cpu::current_isa());
  expect_own(op, {x, matrix, other});
}

TEST(FusedConv, LeavesWeightsPackedForOthersToThePlainOne) {
  if (cpu::current_isa() == cpu::Isa::portable) GTEST_SKIP() << "one instruction set only";
  const Tensor x = random_tensor(DType::f32, {1, 18, 7, 10}, 1);
  const auto [op, matrix] =
      pack(fused(kSame), random_tensor(DType::f32, {20, 18, 3, 3}, 2), cpu::Isa::portable);
  EXPECT_FALSE(run_kernel(op, {x, matrix}, 0, "own").has_value());
  EXPECT_TRUE(run_kernel(op, {x, matrix}, 0, "plain").has_value());
}

TEST(FusedConv, ComesBackFromItsText) {
  FusedConv op = fused({{2, 1}, {0, 2}, {1, 1}, {1, 2}, 2}, {{Kind::add, 2}, {Kind::unary}});
  op.packed = "f32.nr32";
  op.outputs = 7;
  EXPECT_EQ(make_op("fused_conv", Op(op).attributes()), Op(op));
}

TEST(FusedConv, NamesWhatDoesNotFit) {
  const TensorType x{DType::f32, {2, 4, 7, 9}}, w{DType::f32, {6, 4, 3, 3}};
  const auto infer = [](const FusedConv& op, std::vector<TensorType> in) {
    return [=] { Op(op).infer(in); };
  };
  expect_error(infer(fused(kSame, {{Kind::add, 2}}), {x, w}), {"names input 2 of 2"});
  expect_error(infer(fused(kSame, {{Kind::add, 2}}), {x, w, {DType::f32, {6}}}),
               {"fused_conv: extents", "[6] do not broadcast"});
  FusedConv packed = fused(kSame);
  packed.packed = "f32.nr32";
  packed.outputs = 6;
  expect_error(infer(packed, {x, w}), {"packed w is", "2048 elements"});
  packed.stride = {2, 1};
  expect_error(infer(packed, {x, {DType::f32, {2048}}}), {"stride 1"});
  expect_error(
      [] {
        Op(WinogradWeights{}).infer(std::vector<TensorType>{{DType::f32, {6, 4, 5, 3}}});
      },
      {"winograd_weights: w is f32[6, 4, 5, 3]"});
}

}  // namespace
}  // namespace tutti
