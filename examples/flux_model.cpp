// SPDX-License-Identifier: Apache-2.0
#include "flux_model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace flux {
namespace {

using tutti::DType;
using tutti::Tensor;

constexpr int64_t kRows = 32, kColumns = 32;  // of packed latents; a picture has 16 pixels for each
constexpr float kScale = 0.3519f, kShift = -0.0078f;  // model/vae/config.json

tutti::BuildOptions f32_weights(const std::string& folder) {
  tutti::BuildOptions options;
  options.weights = folder;
  options.weights_dtype = DType::f32;
  return options;
}

// Packed latents [1, h w, 64] to [1, 16, 2h, 2w]: each token is 16 channels of 2 x 2.
Tensor unpack(const Tensor& x) {
  Tensor z = Tensor::zeros(DType::f32, {1, 16, 2 * kRows, 2 * kColumns});
  for (int64_t row = 0; row < kRows; ++row)
    for (int64_t column = 0; column < kColumns; ++column)
      for (int64_t i = 0; i < 64; ++i) {
        const int64_t c = i / 4, y = 2 * row + i / 2 % 2, at = 2 * column + i % 2;
        const float value = x.as<float>()[(row * kColumns + column) * 64 + i];
        z.as<float>()[(c * 2 * kRows + y) * 2 * kColumns + at] = value / kScale + kShift;
      }
  return z;
}

// [1, 3, h, w] in [-1, 1] to 8-bit pixels.
Picture to_picture(const Tensor& image) {
  Picture p{static_cast<uint32_t>(image.shape[3]), static_cast<uint32_t>(image.shape[2]), {}};
  const int64_t pixels = image.shape[2] * image.shape[3];
  for (int64_t i = 0; i < pixels; ++i)
    for (int64_t c = 0; c < 3; ++c) {
      const float value = image.as<float>()[c * pixels + i] / 2 + 0.5f;
      const float level = std::nearbyint(255 * std::fmin(std::fmax(value, 0.0f), 1.0f));
      p.rgb.push_back(static_cast<uint8_t>(level));
    }
  return p;
}

}  // namespace

tutti::TensorMap stored_inputs(const std::string& folder) {
  return tutti::load_tensors(folder + "/reference/fuji.safetensors");
}

tutti::Engine build_transformer(const std::string& folder, const std::string& mesh,
                                const std::string& context) {
  tutti::BuildOptions options = f32_weights(folder + "/model/transformer");
  options.held = {"guidance", "pooled_projections", "encoder_hidden_states", "txt_ids", "img_ids"};
  options.mesh = mesh;
  options.context = context;
  return tutti::Engine::build(folder + "/graphs/transformer.pt2", options);
}

tutti::Engine build_decoder(const std::string& folder) {
  return tutti::Engine::build(folder + "/graphs/vae_decoder.pt2",
                              f32_weights(folder + "/model/vae"));
}

Tensor draw(tutti::Session& transformer, const tutti::TensorMap& stored, int steps,
            const std::function<void(int step)>& progress) {
  Tensor x = tutti::cast(stored.at("noise"), DType::f32);
  // A cast to its own type may share memory.
  const Tensor latents = Tensor::zeros(DType::f32, x.shape);
  std::copy_n(x.as<float>(), x.elements(), latents.as<float>());
  const Tensor sigmas = tutti::cast(stored.at("sigmas"), DType::f32);
  const Tensor times = tutti::cast(stored.at("timesteps"), DType::f32);
  const Tensor time = Tensor::zeros(DType::f32, {1});
  const tutti::TensorMap inputs = {
      {"hidden_states", latents},
      {"timestep", time},
      {"guidance", tutti::cast(stored.at("guidance"), DType::f32)},
      {"pooled_projections", stored.at("clip_pooled")},
      {"encoder_hidden_states", stored.at("t5_embeds")},
      {"txt_ids", tutti::cast(stored.at("text_ids"), DType::f32)},
      {"img_ids", tutti::cast(stored.at("image_ids"), DType::f32)},
  };
  const int stride = kSteps / steps;
  for (int step = 0; step < steps; ++step) {
    time.as<float>()[0] = times.as<float>()[step * stride] / 1000;
    const tutti::TensorMap outputs = transformer.run(inputs);
    const float* velocity = outputs.begin()->second.as<float>();
    const float distance =
        sigmas.as<float>()[(step + 1) * stride] - sigmas.as<float>()[step * stride];
    for (int64_t i = 0; i < latents.elements(); ++i)
      latents.as<float>()[i] += distance * velocity[i];
    if (progress) progress(step + 1);
  }
  return latents;
}

Picture decode(const tutti::Engine& decoder, const Tensor& latents) {
  tutti::Session session = decoder.session();
  return to_picture(session.run({{decoder.inputs()[0].name, unpack(latents)}}).begin()->second);
}

int largest_difference(const Picture& a, const Picture& b) {
  if (a.rgb.size() != b.rgb.size()) return 255;
  int largest = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i)
    largest = std::max(largest, std::abs(a.rgb[i] - b.rgb[i]));
  return largest;
}

}  // namespace flux
