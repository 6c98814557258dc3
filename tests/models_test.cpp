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

class Models : public testing::TestWithParam<std::tuple<Case, bool>> {};

TEST_P(Models, GiveTheStoredOutputs) {
  const auto& [c, fuse] = GetParam();
  const std::string data = test_model(c.data.empty() ? c.model : c.data);
  CompileOptions options;
  options.fuse = fuse;
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
    {"gpt2"},
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
                         testing::Combine(testing::ValuesIn(kCases), testing::Bool()));

}  // namespace
}  // namespace tutti
