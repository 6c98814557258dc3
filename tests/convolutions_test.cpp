// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>

#include "compile/repack.h"
#include "compiled_model.h"
#include "device/cpu/dnnl_matmul.h"
#include "ops/constant.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/fused_conv.h"

namespace tutti {
namespace {

Tensor numbers(DType dtype, const Dims& shape, unsigned seed) {
  Tensor t = Tensor::zeros(DType::f32, shape);
  std::mt19937 random(seed);
  for (int64_t i = 0; i < t.elements(); ++i)
    t.as<float>()[i] = (static_cast<float>(random() % 65) - 32) / 64;
  return cast(t, dtype);
}

/// A block as image decoders have it: y = conv2(silu(conv1(x))) + x, then relu(up(y)) twice as
/// large, and a projection of y.
Graph decoder(DType dtype) {
  Graph graph;
  graph.functions.push_back({.name = "run"});
  Function& f = graph.functions[0];
  const ValueId x = f.add_input("x", {dtype, {2, 20, 9, 8}});
  unsigned seed = 10;
  const auto weight = [&](const std::string& name, const Dims& shape) {
    const Tensor data = numbers(dtype, shape, seed++);
    const ResidentId id =
        graph.add_resident({name, {dtype, to_shape(shape)}, Resident::Kind::bound, data});
    return f.read(id, name, {dtype, to_shape(shape)});
  };
  const auto conv = [&](const std::string& name, const Conv& op, ValueId in, const Dims& shape) {
    const ValueId w = weight(name + ".w", shape);
    const int64_t outputs = op.transposed ? shape[1] : shape[0];
    return f.add1(op, {in, w, weight(name + ".b", {outputs})});
  };
  const Conv same{{1, 1}, {1, 1}, {1, 1}, {1, 1}};
  const auto apply = [&](Elementwise fn, std::vector<ValueId> in) {
    return f.add1(ElementwiseOp{fn}, in);
  };
  const ValueId hidden = apply(Elementwise::silu, {conv("first", same, x, {24, 20, 3, 3})});
  const ValueId y = apply(Elementwise::add, {x, conv("second", same, hidden, {20, 24, 3, 3})});
  const Conv up{{2, 2}, {1, 1}, {1, 1}, {1, 1}, 1, true};
  const Conv point{{1, 1}, {0, 0}, {0, 0}, {1, 1}};
  f.outputs.push_back({"up", apply(Elementwise::relu, {conv("up", up, y, {20, 5, 4, 4})})});
  f.outputs.push_back({"point", conv("point", point, y, {7, 20, 1, 1})});
  return graph;
}

void expect_near(const Tensors& found, const Tensors& wanted, double tolerance) {
  ASSERT_EQ(found.size(), wanted.size());
  for (const auto& [name, tensor] : wanted)
    EXPECT_LE(relative_error(found.at(name), tensor), tolerance) << name;
}

std::vector<Step> convolutions(const Program& program) {
  std::vector<Step> found;
  for (const Step& step : program.plans.at(0).run)
    if (step.op.as<FusedConv>() || step.op.as<Conv>()) found.push_back(step);
  return found;
}

TEST(Convolutions, GiveTheSameCompiledAsStepByStep) {
  for (const auto& [dtype, tolerance] :
       {std::pair{DType::f32, 1e-5}, {DType::bf16, 1.0 / 64}, {DType::f16, 1.0 / 512}}) {
    const Tensors x{{"x", numbers(dtype, {2, 20, 9, 8}, 1)}};
    CompileOptions plain;
    plain.fuse = false;
    CompiledModel one(decoder(dtype), plain, 1), other(decoder(dtype), {});
    expect_near(other.run(x), one.run(x), tolerance);
  }
}

TEST(Convolutions, GiveTheSameByEveryImplementation) {
  const Tensors x{{"x", numbers(DType::f32, {2, 20, 9, 8}, 1)}};
  CompiledModel wanted(decoder(DType::f32), {}, 1);
  for (const char* name : {"own", "plain", "onednn"}) {
    CompileOptions options;
    options.matmul = name;
    if (name == std::string_view("onednn") && cpu::dnnl_version_text().empty()) continue;
    CompiledModel model(decoder(DType::f32), options);
    expect_near(model.run(x), wanted.run(x), 1e-5);
    size_t by_name = 0;
    for (const Step& step : convolutions(model.program())) by_name += step.implementation == name;
    EXPECT_GE(by_name, 2u) << name;
  }
}

TEST(Convolutions, TakeUpWhatFollowsThem) {
  CompiledModel model(decoder(DType::f32), {});
  model.run({{"x", numbers(DType::f32, {2, 20, 9, 8}, 1)}});
  EXPECT_EQ(model.program().plans[0].run.size(), 4u);
  for (const Step& step : convolutions(model.program())) EXPECT_EQ(step.implementation, "own");
}

TEST(Convolutions, StoreThreeByThreeWeightsPacked) {
  CompiledModel model(decoder(DType::f32), {});
  model.run({{"x", numbers(DType::f32, {2, 20, 9, 8}, 1)}});
  int packed = 0;
  for (const Step& step : convolutions(model.program()))
    packed += step.op.as<FusedConv>() && !step.op.as<FusedConv>()->packed.empty();
  EXPECT_EQ(packed, 2);
}

TEST(Convolutions, PackedForAnotherInstructionSetGiveTheSameBits) {
  if (cpu::best_isa() == cpu::Isa::portable) GTEST_SKIP() << "one instruction set only";
  const cpu::Isa best = cpu::current_isa();
  const Tensors x{{"x", numbers(DType::f32, {2, 20, 9, 8}, 1)}};
  CompiledModel wanted(decoder(DType::f32), {}, 1);
  const Tensors expected = wanted.run(x);
  cpu::set_isa(cpu::Isa::portable);
  CompiledModel portable(decoder(DType::f32), {}, 1);
  portable.run(x);
  cpu::set_isa(best);
  auto program = std::make_shared<Program>(portable.program());
  EXPECT_TRUE(repack_for(*program, best));
  runtime::Session session(program, 1);
  std::vector<Tensor> outputs;
  for (const Port& port : program->plans[0].outputs)
    outputs.push_back(Tensor::zeros(port.dtype, port.shape));
  session.run(0, std::vector<Tensor>{x.at("x")}, outputs);
  for (size_t i = 0; i < outputs.size(); ++i)
    EXPECT_EQ(relative_error(outputs[i], expected.at(program->plans[0].outputs[i].name)), 0);
}

}  // namespace
}  // namespace tutti
