// SPDX-License-Identifier: Apache-2.0
#include "import/pt2.h"

#include "import/run_for_tests.h"
#include "import/weights.h"

namespace tutti {
namespace {

struct Case {
  const char* name;    // of the .pt2 file below tests/models
  const char* files;   // its inputs and outputs; name when empty
  const char* prefix;  // of the tensors of one run
  double tolerance;    // of the largest value
};

constexpr double kF32 = 5e-5, kBf16 = 2e-2;

class Model : public testing::TestWithParam<Case> {};

TEST_P(Model, GivesPytorchsOutputs) {
  const Case& c = GetParam();
  Graph graph = import_pt2(test_model(join(c.name, ".pt2")));
  const std::string files = *c.files ? c.files : c.name;
  const auto inputs = tensors_in(test_model(files + ".inputs.safetensors"), c.prefix);
  const auto expected = tensors_in(test_model(files + ".outputs.safetensors"), c.prefix);
  expect_near(run_graph(graph, inputs), expected, c.tolerance, files);
}

INSTANTIATE_TEST_SUITE_P(
    Import, Model,
    testing::Values(
        Case{"flux", "", "", kF32}, Case{"flux_uneven", "", "", kF32},
        Case{"flux_bf16", "", "", kBf16}, Case{"t5_encoder", "", "", kF32},
        Case{"clip_text", "", "", kF32}, Case{"vae_decoder", "", "", kF32},
        Case{"llama", "", "", kF32}, Case{"llama", "llama.lengths", "len2.", kF32},
        Case{"llama", "llama.lengths", "len7.", kF32},
        Case{"llama", "llama.lengths", "len31.", kF32}, Case{"gpt2", "", "", kF32},
        Case{"gpt2", "gpt2.lengths", "len2.", kF32}, Case{"gpt2", "gpt2.lengths", "len7.", kF32},
        Case{"gpt2", "gpt2.lengths", "len31.", kF32}, Case{"versions/llama_torch215", "", "", kF32},
        Case{"versions/llama_decomposed", "", "", kF32}, Case{"versions/tied", "", "", kF32},
        Case{"versions/dynamic", "", "step0.", kF32}, Case{"versions/dynamic", "", "step1.", kF32},
        Case{"versions/dynamic", "", "step2.", kF32}));

// Four decoding steps over a cache in buffers.
void check_cache(const std::string& name) {
  Graph graph = import_pt2(test_model(name + ".pt2"));
  const std::string inputs = test_model(name + ".inputs.safetensors");
  const std::string outputs = test_model(name + ".outputs.safetensors");
  for (int step = 0; step < 4; ++step) {
    const std::string prefix = join("step", step, ".");
    const auto found = run_graph(graph, tensors_in(inputs, prefix));
    expect_near(found, tensors_in(outputs, prefix), kF32, name + prefix);
  }
  TensorsByName residents;
  for (const Resident& resident : graph.residents) {
    if (resident.kind == Resident::Kind::carried) residents[resident.name] = resident.data;
  }
  EXPECT_EQ(residents.size(), 3u);
  expect_near(residents, tensors_in(outputs, "final."), kF32, name);
}

TEST(Pt2, CarriesBuffersThatAreWrittenInPlace) { check_cache("versions/kv_cache"); }

TEST(Pt2, CarriesBuffersThatAreOutputsOfTheGraph) { check_cache("versions/kv_cache_functional"); }

TEST(Pt2, NamesInputsAndOutputsOfNestedStructures) {
  Graph graph = import_pt2(test_model("versions/nested.pt2"));
  const Function& run = graph.function("run");
  const auto stored = tensors_in(test_model("versions/nested.inputs.safetensors"));
  TensorsByName inputs;
  std::vector<std::string> names;
  for (ValueId id : run.inputs) {
    names.push_back(run.value(id).name);
    inputs[names.back()] = stored.at(join("in_", names.size() - 1));
  }
  EXPECT_EQ(join_list(names), "batch_a, batch_list_0, batch_list_1, pair_0, pair_1, mask, unused");
  const auto outputs = run_graph(graph, inputs);
  expect_near(outputs, tensors_in(test_model("versions/nested.outputs.safetensors")), kF32, "");
  EXPECT_EQ(outputs.at("out.0.none").data, nullptr);
  EXPECT_EQ(values_of(outputs.at("out.0.const")), Values{7});
}

TEST(Pt2, KeepsSymbolsTheirRangesAndDerivedOnes) {
  const Graph graph = import_pt2(test_model("versions/dynamic.pt2"));
  ASSERT_EQ(graph.symbols.size(), 2u);
  EXPECT_EQ(graph.symbols.at("s17").max, 8);
  EXPECT_EQ(graph.symbols.at("s27").min, 3);
  ASSERT_EQ(graph.constraints.size(), 1u);
  EXPECT_EQ(to_string(graph.constraints[0].dim), "2*s27");
  EXPECT_EQ(graph.constraints[0].max, 128);
  const Function& run = graph.function("run");
  const std::vector<Dims> shapes = {{3, 10, 16}, {3, 21, 16}, {3, 24}};
  EXPECT_THROW(bind_symbols(graph, run, shapes), Error);
}

TEST(Pt2, LeavesResidentsOfTypeOnlyWithoutBytes) {
  ImportReport report;
  const Graph graph = import_pt2(test_model("flux_dev_graph.pt2"), {"", &report});
  EXPECT_EQ(report.nodes, 5501u);
  EXPECT_EQ(report.operators.at("torch.ops.aten.linear.default"), 504u);
  EXPECT_EQ(graph.residents.size(), 1160u);
  for (const Resident& resident : graph.residents) EXPECT_EQ(resident.data.data, nullptr);
  EXPECT_EQ(to_string(graph.function("run").type(graph.function("run").outputs[0].value)),
            "bf16[1, 4096, 64]");
}

TEST(Pt2, RefusesTheLayoutsOfEarlierVersions) {
  for (const char* name : {"versions/llama_torch26.pt2", "versions/llama_torch28.pt2"}) {
    try {
      import_pt2(test_model(name));
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::unsupported) << error.what();
    }
  }
}

// A graph of flux_tiny with the weights of its folder.
Graph flux_tiny(const std::string& graph_name, const std::string& folder) {
  Graph graph = import_pt2(test_model("flux_tiny/graphs/" + graph_name));
  const auto weights = open_weights(test_model("flux_tiny/model/" + folder));
  const BoundWeights bound = bind_weights(graph, *weights, DType::f32);
  EXPECT_EQ(bound.bound, graph.residents.size());
  EXPECT_EQ(bound.converted, bound.bound);
  return graph;
}

// The last reference numbers are f16.
constexpr double kF16 = 1e-3;

// One step from the pipeline's noise on a grid of `rows` by `columns` tokens.
void check_step(const std::string& graph_name, const std::string& picture, int64_t rows,
                int64_t columns) {
  Graph graph = flux_tiny(graph_name, "transformer");
  const auto reference = tensors_in(test_model("flux_tiny/reference/" + picture));
  TensorsByName inputs;
  inputs["hidden_states"] = reference.at("noise");
  inputs["encoder_hidden_states"] = reference.at("t5_embeds");
  inputs["pooled_projections"] = reference.at("clip_pooled");
  inputs["guidance"] = reference.at("guidance");
  inputs["timestep"] = tensor_of(DType::f32, {1}, {values_of(reference.at("timesteps"))[0] / 1000});
  inputs["txt_ids"] = Tensor::zeros(DType::f32, {64, 3});
  inputs["img_ids"] = Tensor::zeros(DType::f32, {rows * columns, 3});
  for (int64_t i = 0; i < rows * columns; ++i) {
    inputs["img_ids"].as<float>()[3 * i + 1] = static_cast<float>(i / columns);
    inputs["img_ids"].as<float>()[3 * i + 2] = static_cast<float>(i % columns);
  }
  const TensorsByName outputs = run_graph(graph, inputs);
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_LE(relative_error(outputs.begin()->second, reference.at("velocity_1")), kF16);
}

TEST(Pt2, TakesWeightsFromAFolder) { check_step("transformer.pt2", "fuji.safetensors", 32, 32); }

TEST(Pt2, RunsOtherSizesOfADynamicGraph) {
  check_step("transformer_dynamic.pt2", "wide.safetensors", 24, 40);
}

TEST(Pt2, DecodesAPicture) {
  Graph graph = flux_tiny("vae_decoder_dynamic.pt2", "vae");
  const auto reference = tensors_in(test_model("flux_tiny/reference/fuji.safetensors"));
  const Values packed = values_of(reference.at("latents_20"));
  // [32, 32, 16, 2, 2] -> [16, 64, 64], unscaled
  constexpr double kScale = 0.3519, kShift = -0.0078;
  Values z(16 * 64 * 64);
  for (int64_t i = 0; i < 32 * 32 * 64; ++i) {
    const int64_t row = i / (32 * 64), column = i / 64 % 32, c = i % 64 / 4, y = i % 4 / 2,
                  x = i % 2;
    z[static_cast<size_t>((c * 64 + row * 2 + y) * 64 + column * 2 + x)] =
        packed[static_cast<size_t>(i)] / kScale + kShift;
  }
  const TensorsByName outputs =
      run_graph(graph, {{"z", tensor_of(DType::f32, {1, 16, 64, 64}, z)}});
  EXPECT_LE(relative_error(outputs.begin()->second, reference.at("image")), kF16);
}

}  // namespace
}  // namespace tutti
