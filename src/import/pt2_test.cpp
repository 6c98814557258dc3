// SPDX-License-Identifier: Apache-2.0
#include "import/pt2.h"

#include "import/run_for_tests.h"

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
  EXPECT_EQ(join_list(names),
            "batch_a, batch_list_0, batch_list_1, pair_0, pair_1, mask, unused");
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

}  // namespace
}  // namespace tutti
