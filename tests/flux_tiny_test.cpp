// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "compiled_model.h"
#include "core/test_data.h"
#include "import/weights.h"

namespace tutti {
namespace {

Graph with_weights(const std::string& graph, const std::string& weights) {
  Graph g = import_pt2(test_model("flux_tiny/graphs/" + graph));
  bind_weights(g, *open_weights(test_model("flux_tiny/model/" + weights)), DType::f32);
  return g;
}

Tensor f32(const Tensors& from, std::string_view name) {
  return cast(from.find(name)->second, DType::f32);
}

TEST(FluxTiny, LatentsFollowTheStoredOnesFor20Steps) {
  CompiledModel model(with_weights("transformer.pt2", "transformer"), {});
  const Tensors stored = tensors_of(test_model("flux_tiny/reference/fuji.safetensors"));
  const Tensor sigmas = f32(stored, "sigmas"), times = f32(stored, "timesteps");
  Tensor x = f32(stored, "noise");
  const std::map<int, double> tolerance = {{1, 2e-5}, {10, 5e-5}, {20, 2e-4}};
  for (int step = 0; step < 20; ++step) {
    Tensor time = Tensor::zeros(DType::f32, {1});
    time.as<float>()[0] = times.as<float>()[step] / 1000;
    const Tensors outputs = model.run({{"hidden_states", x},
                                       {"timestep", time},
                                       {"guidance", f32(stored, "guidance")},
                                       {"pooled_projections", f32(stored, "clip_pooled")},
                                       {"encoder_hidden_states", f32(stored, "t5_embeds")},
                                       {"txt_ids", f32(stored, "text_ids")},
                                       {"img_ids", f32(stored, "image_ids")}});
    const float* velocity = outputs.begin()->second.as<float>();
    const float distance = sigmas.as<float>()[step + 1] - sigmas.as<float>()[step];
    for (int64_t i = 0; i < x.elements(); ++i) x.as<float>()[i] += distance * velocity[i];
    const auto wanted = tolerance.find(step + 1);
    if (wanted == tolerance.end()) continue;
    const Tensor expected = f32(stored, join("latents_", step + 1));
    EXPECT_LE(relative_error(x, expected), wanted->second) << "step " << step + 1;
  }
}

TEST(FluxTiny, TheDecoderGivesTheStoredImage) {
  CompiledModel model(with_weights("vae_decoder.pt2", "vae"), {});
  const Tensors stored = tensors_of(test_model("flux_tiny/reference/fuji.safetensors"));
  const Tensor x = f32(stored, "latents_20");
  // [1, h w, 64] -> [1, 16, 2h, 2w], h = w = 32
  Tensor z = Tensor::zeros(DType::f32, {1, 16, 64, 64});
  for (int64_t row = 0; row < 64; ++row)
    for (int64_t column = 0; column < 64; ++column)
      for (int64_t c = 0; c < 16; ++c) {
        const int64_t token = row / 2 * 32 + column / 2, i = c * 4 + row % 2 * 2 + column % 2;
        z.as<float>()[(c * 64 + row) * 64 + column] =
            x.as<float>()[token * 64 + i] / 0.3519f - 0.0078f;
      }
  const Function& run = model.program().graph.function("run");
  const Tensor image = model.run({{run.value(run.inputs[0]).name, z}}).begin()->second;
  EXPECT_LE(relative_error(image, f32(stored, "image")), 1e-3);  // stored in f16
}

}  // namespace
}  // namespace tutti
