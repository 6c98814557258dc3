// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "compiled_model.h"
#include "core/test_data.h"

namespace tutti {
namespace {

// A stored run of a model: the prefixes of its inputs and outputs in the files.
struct Case {
  std::string model;
  std::string data;  // NAME.inputs.safetensors, NAME.outputs.safetensors; the model's when empty
  std::string input_prefix, output_prefix;
  double tolerance = 5e-5;
};

void PrintTo(const Case& c, std::ostream* os) { *os << c.model << " " << c.input_prefix; }

class Models : public testing::TestWithParam<std::tuple<Case, bool, const char*>> {};

TEST_P(Models, GiveTheStoredOutputs) {
  const auto& [c, fuse, matmul] = GetParam();
  if (!has_matmul(matmul)) GTEST_SKIP() << "this build has no " << matmul;
  const std::string data = test_model(c.data.empty() ? c.model : c.data);
  CompileOptions options;
  options.fuse = fuse;
  options.matmul = matmul;
  CompiledModel model(import_pt2(test_model(c.model) + ".pt2"), options);
  const Tensors found = model.run(tensors_of(data + ".inputs.safetensors", c.input_prefix));
  const Tensors expected = tensors_of(data + ".outputs.safetensors", c.output_prefix);
  EXPECT_FALSE(expected.empty());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(found.count(name)) << name;
    EXPECT_LE(relative_error(found.at(name), tensor), c.tolerance) << name;
  }
}

const Case kCases[] = {
    {"flux"},
    {"flux_uneven"},
    {"flux_bf16", "", "", "", 2e-2},
    {"llama"},
    {"llama", "llama.lengths", "len2.", "len2."},
    {"llama", "llama.lengths", "len7.", "len7."},
    {"llama", "llama.lengths", "len31.", "len31."},
    {"gpt2"},
    {"gpt2", "gpt2.lengths", "len2.", "len2."},
    {"gpt2", "gpt2.lengths", "len7.", "len7."},
    {"gpt2", "gpt2.lengths", "len31.", "len31."},
    {"t5_encoder"},
    {"clip_text"},
    {"vae_decoder"},
    {"versions/dynamic", "", "step0.", "step0."},
    {"versions/dynamic", "", "step1.", "step1."},
    {"versions/dynamic", "", "step2.", "step2."},
    {"versions/tied"},
    {"versions/llama_decomposed"},
    {"versions/llama_torch213"},
    {"versions/llama_torch215"},
};

INSTANTIATE_TEST_SUITE_P(Stored, Models,
                         testing::Combine(testing::ValuesIn(kCases), testing::Bool(),
                                          testing::Values("own", "onednn")));

TEST(Matmuls, AreRunByTheImplementationThatWasChosen) {
  const Tensors inputs = tensors_of(test_model("flux") + ".inputs.safetensors");
  for (const char* name : {"own", "onednn", "plain"}) {
    if (!has_matmul(name) && name != std::string_view("plain")) continue;
    CompileOptions options;
    options.matmul = name;
    CompiledModel model(import_pt2(test_model("flux") + ".pt2"), options);
    model.run(inputs);
    int products = 0, chosen = 0;
    for (const Step& step : model.program().plans.at(0).run) {
      if (step.op.name() != "fused_matmul") continue;
      ++products;
      chosen += step.implementation == name;
    }
    EXPECT_GT(products, 20);
    // oneDNN does not write into parts of a concatenation.
    EXPECT_GE(chosen, name == std::string_view("onednn") ? products * 3 / 4 : products) << name;
  }
}

TEST(Matmuls, RefuseAnUnknownImplementation) {
  for (const char* name : {"onednn", "mkl"}) {
    if (has_matmul(name)) continue;
    CompileOptions options;
    options.matmul = name;
    CompiledModel model(import_pt2(test_model("flux") + ".pt2"), options);
    try {
      model.run(tensors_of(test_model("flux") + ".inputs.safetensors"));
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(name == std::string_view("mkl") ? "mkl" : "oneDNN"),
                std::string::npos)
          << error.what();
    }
  }
}

// As on a machine whose oneDNN is absent or takes less.
TEST(Matmuls, RunByAnotherImplementationWhereTheirsIsAbsent) {
  const Tensors inputs = tensors_of(test_model("flux") + ".inputs.safetensors");
  CompiledModel model(import_pt2(test_model("flux") + ".pt2"), {});
  const Tensors wanted = model.run(inputs);
  auto program = std::make_shared<Program>(model.program());
  for (Step& step : program->plans[0].run)
    if (step.op.name() == "fused_matmul") step.implementation = "elsewhere";
  runtime::Session session(program, 1);
  std::vector<Tensor> in;
  for (const Port& port : program->plans[0].inputs) in.push_back(contiguous(inputs.at(port.name)));
  const Port& port = program->plans[0].outputs[0];
  const std::vector<Tensor> out = {Tensor::zeros(port.dtype, port.shape)};
  session.run(0, in, out);
  EXPECT_EQ(relative_error(out[0], wanted.at(port.name)), 0);
}

class Caches : public testing::TestWithParam<std::tuple<std::string, bool>> {};

TEST_P(Caches, SurviveRunAndGiveEveryStepsOutputs) {
  const auto& [name, fuse] = GetParam();
  CompileOptions options;
  options.fuse = fuse;
  CompiledModel model(import_pt2(test_model(name) + ".pt2"), options);
  const Tensors expected = tensors_of(test_model(name) + ".outputs.safetensors");
  for (int step = 0; step < 4; ++step) {
    const std::string prefix = join("step", step, ".");
    const Tensors found = model.run(tensors_of(test_model(name) + ".inputs.safetensors", prefix));
    for (const auto& [output, tensor] : found)
      EXPECT_LE(relative_error(tensor, expected.at(prefix + output)), 5e-5) << prefix << output;
  }
  int compared = 0;
  for (const Resident& resident : model.program().graph.residents) {
    if (resident.kind != Resident::Kind::carried) continue;
    ++compared;
    EXPECT_LE(relative_error(model.session().carried(resident.name),
                             expected.at("final." + resident.name)),
              5e-5)
        << resident.name;
  }
  EXPECT_EQ(compared, 3);
}

INSTANTIATE_TEST_SUITE_P(Stored, Caches,
                         testing::Combine(testing::Values("versions/kv_cache",
                                                          "versions/kv_cache_functional"),
                                          testing::Bool()));

// Inputs stored as in_0, in_1, ... in the order of the call's flattened tensors.
TEST(Models, NestedArgumentsGiveTheStoredOutputs) {
  const std::string path = test_model("versions/nested");
  CompiledModel model(import_pt2(path + ".pt2"), {});
  const Tensors stored = tensors_of(path + ".inputs.safetensors");
  const Function& run = model.program().graph.function("run");
  Tensors inputs;
  for (size_t i = 0; i < run.inputs.size(); ++i)
    inputs[run.value(run.inputs[i]).name] = stored.at(join("in_", i));
  const Tensors found = model.run(inputs);
  for (const auto& [name, tensor] : tensors_of(path + ".outputs.safetensors"))
    EXPECT_LE(relative_error(found.at(name), tensor), 5e-5) << name;
}

// sqrt(sum of squared differences) over sqrt(sum of squares).
double l2_distance(const Tensor& found, const Tensor& expected) {
  const Tensor a = cast(found, DType::f64), b = cast(expected, DType::f64);
  double difference = 0, square = 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    difference += std::pow(a.as<double>()[i] - b.as<double>()[i], 2);
    square += std::pow(b.as<double>()[i], 2);
  }
  return std::sqrt(difference / square);
}

TEST(Models, Bf16IsAsNearToF32AsPyTorchsBf16) {
  const std::string path = test_model("flux_bf16");
  CompiledModel model(import_pt2(path + ".pt2"), {});
  const Tensor found = model.run(tensors_of(path + ".inputs.safetensors")).at("out.0");
  const Tensor truth = tensors_of(path + ".f32ref.safetensors").at("out.0");
  const Tensor stored = tensors_of(path + ".outputs.safetensors").at("out.0");
  EXPECT_LE(l2_distance(found, truth), 1.2 * l2_distance(stored, truth));
}

}  // namespace
}  // namespace tutti
